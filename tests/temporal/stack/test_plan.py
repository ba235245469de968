"""Places of layers. The expected paths were read off the host's own UNetModel, built on the meta device."""

from collections import Counter
from dataclasses import replace

from video_ldm.temporal.stack.family_plans import inside_plan, lvdm_plan, motion_plan, norm_plan, volume_plan
from video_ldm.temporal.stack.plan import SD1, SD2, SDXL, X4, UNetShape, plan

from ..tiny import SHAPE


def paths(shape, kind, section, **settings):
    return [s.path for s in plan(shape, **settings) if (s.kind, s.section) == (kind, section)]


def test_sd1_has_a_conv_after_every_res_block():
    assert paths(SD1, "conv", "input") == [f"input_blocks.{i}.0" for i in (1, 2, 4, 5, 7, 8, 10, 11)]
    assert paths(SD1, "conv", "middle") == ["middle_block.0", "middle_block.2"]
    assert paths(SD1, "conv", "output") == [f"output_blocks.{i}.0" for i in range(12)]


def test_sd1_has_a_transformer_after_every_transformer_block():
    block = "transformer_blocks.0"
    assert paths(SD1, "transformer", "input") == [f"input_blocks.{i}.1.{block}" for i in (1, 2, 4, 5, 7, 8)]
    assert paths(SD1, "transformer", "middle") == [f"middle_block.1.{block}"]
    assert paths(SD1, "transformer", "output") == [f"output_blocks.{i}.1.{block}" for i in range(3, 12)]


def test_heads_and_channels_are_those_of_the_spatial_transformer():
    def at(shape):
        return {(s.level, s.channels, s.heads) for s in plan(shape) if s.kind == "transformer"}

    assert at(SD1) == {(0, 320, 8), (1, 640, 8), (2, 1280, 8), (3, 1280, 8)}
    assert at(SD2) == {(0, 320, 5), (1, 640, 10), (2, 1280, 20), (3, 1280, 20)}


def test_sdxl_follows_every_block_or_the_last_of_each_transformer():
    assert Counter(site.kind for site in plan(SDXL)) == {"conv": 17, "transformer": 70}
    last = plan(SDXL, transformers="last")
    assert Counter(site.kind for site in last) == {"conv": 17, "transformer": 11}
    assert "input_blocks.4.1.transformer_blocks.1" in {site.path for site in last}
    assert "middle_block.1.transformer_blocks.9" in {site.path for site in last}


def test_sites_come_in_order_of_execution():
    assert [site.path for site in plan(SHAPE)][:5] == [
        "input_blocks.1.0",
        "input_blocks.1.1.transformer_blocks.0",
        "input_blocks.3.0",
        "input_blocks.3.1.transformer_blocks.0",
        "middle_block.0",
    ]
    assert plan(SHAPE)[-1].path == "output_blocks.3.1.transformer_blocks.0"
    assert plan(SHAPE)[-1].name == "output_blocks_3_1_transformer_blocks_0"


def test_models_without_a_middle_transformer_or_middle_block():
    assert paths(replace(SHAPE, transformer_depth_middle=-1), "conv", "middle") == ["middle_block.0"]
    assert paths(replace(SHAPE, transformer_depth_middle=-2), "conv", "middle") == []


def test_shape_is_read_from_the_hosts_config():
    config = {
        "model_channels": 64,
        "channel_mult": [1, 2],
        "num_res_blocks": [1, 1],
        "transformer_depth": [1, 1],
        "transformer_depth_output": [1, 1, 1, 1],
        "transformer_depth_middle": 1,
        "context_dim": 24,
        "num_heads": 2,
        "num_head_channels": -1,
        "in_channels": 9,  # inpainting: latent, mask and masked latent
        "out_channels": 4,
        "use_linear_in_transformer": False,
    }
    assert UNetShape.from_config(config) == SHAPE


def test_motion_modules_follow_whole_blocks():
    """AnimateDiff's modules stand after the spatial transformer or else the ResBlock."""
    sites = {site.section: [] for site in motion_plan(SD1, middle=True)}
    for site in motion_plan(SD1, middle=True):
        sites[site.section].append(site.path)
    transformers = [f"input_blocks.{i}.1" for i in (1, 2, 4, 5, 7, 8)]
    assert sites["input"] == [*transformers, "input_blocks.10.0", "input_blocks.11.0"]
    assert sites["middle"] == ["middle_block.1"]
    bare = [f"output_blocks.{i}.0" for i in (0, 1, 2)]
    assert sites["output"] == [*bare, *(f"output_blocks.{i}.1" for i in range(3, 12))]
    assert len(motion_plan(SD1, middle=False)) == 20
    assert [site.path for site in motion_plan(SDXL, middle=False)][:3] == [
        *("input_blocks.1.0", "input_blocks.2.0", "input_blocks.4.1")
    ]


def test_norms_of_the_image_model_are_two_per_res_block_and_the_last():
    paths = [site.path for site in norm_plan(SD1)]
    assert len(paths) == 2 * 22 + 1 and paths[-1] == "out.0"
    assert paths[:2] == ["input_blocks.1.0.in_layers.0", "input_blocks.1.0.out_layers.0"]


def test_layers_inside_transformers_are_one_per_block():
    """LaVie: between text attention and feed-forward.

    Its interpolation model: after it, with keys of other frames.
    """
    blocks = [site.path for site in plan(SD1) if site.kind == "transformer"]
    assert [(site.path, site.kind) for site in inside_plan(SD1, last=False, causal=False)] == [
        (path, "inside") for path in blocks
    ]
    causal = inside_plan(SD1, last=True, causal=True)
    assert [site.path for site in causal if site.kind == "inside_last"] == blocks
    keys = [site.path for site in causal if site.kind == "keys"]
    assert keys == [f"{path}.attn1.{name}" for path in blocks for name in ("to_k", "to_v")]


def test_volumes_of_the_upscaler_stand_before_transformers_and_after_levels():
    sites = volume_plan(X4)
    before = [site.path for site in sites if site.kind == "volume"]
    assert before == [
        *(f"input_blocks.{i}.0" for i in (4, 5, 7, 8, 10, 11)),
        "middle_block.0",
        *(f"output_blocks.{i}.0" for i in range(9)),
    ]
    levels = [(site.path, site.kind, site.channels) for site in sites if site.kind != "volume"]
    assert levels == [
        ("input_blocks.4.0", "level_in", 256),
        ("input_blocks.7.0", "level_in", 512),
        ("input_blocks.10.0", "level_in", 512),
        ("middle_block.0", "level_in", 1024),
        ("middle_block.2", "level_out", 1024),
        ("output_blocks.2.2", "level_out", 1024),
        ("output_blocks.5.2", "level_out", 512),
        ("output_blocks.8.2", "level_out", 512),
        ("output_blocks.11.0", "level_out", 256),
    ]
    assert len({site.name for site in sites}) == len(sites)


def test_levels_without_transformers_end_in_an_upsample_one_place_earlier():
    assert [site.path for site in volume_plan(SD1) if site.kind == "level_out"][1:] == [
        *("output_blocks.2.1", "output_blocks.5.2", "output_blocks.8.2", "output_blocks.11.1")
    ]


def test_the_lvdm_line_follows_the_first_convolution_and_every_spatial_transformer():
    sites = lvdm_plan(SD2, convs=True, frame_rate=True)
    assert [(site.path, site.kind) for site in sites[:4]] == [
        ("time_embed", "rate"),
        ("input_blocks.0.0", "frames"),
        ("input_blocks.1.0", "convs"),
        ("input_blocks.1.1", "frames"),
    ]
    assert Counter(site.kind for site in sites) == {"rate": 1, "frames": 17, "convs": 22}
    plain = lvdm_plan(SD2, convs=False, frame_rate=False)
    assert [site.path for site in plain] == [site.path for site in sites if site.kind == "frames"]
    assert {(site.channels, site.heads) for site in plain} == {(320, 8), (320, 5), (640, 10), (1280, 20)}
