"""Old graphs at a running host.

Scripts and the page are served, files are found by the names that graphs have for them.
"""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from video_ldm.tests.graphs.examples import BASE, GRAPHS, as_ui, node, sampled


def test_a_page_is_answered_with_a_graph_and_a_note(server):
    graph = as_ui(GRAPHS["gen1_loras"])
    answer = server.post("/video_ldm/graphs/convert", graph)
    assert answer["changed"] and "Load Motion LoRA" in answer["report"]
    types = [node["type"] for node in answer["graph"]["nodes"]]
    assert types.count("VLDM_LoadMotionLoRA") == 2 and types[-1] == "MarkdownNote"
    assert server.post("/video_ldm/graphs/convert", {"no": "graph"})["changed"] is False


def test_nodes_that_graphs_are_written_with_are_as_the_host_has_them(node_info):
    from video_ldm.nodes.graphs.targets import TARGETS

    for name, target in TARGETS.items():
        if name == "MarkdownNote":  # the page's own
            continue
        groups = node_info[name]["input"]
        known = {
            key: spec for group in ("required", "optional") for key, spec in groups.get(group, {}).items()
        }
        order = [*groups.get("required", {}), *groups.get("optional", {})]
        named = [part.name for part in target.inputs]
        widgets = [part.name for part in target.inputs if part.widget]
        assert set(named) <= set(order) and set(groups.get("required", {})) <= set(named), name
        assert [key for key in order if key in widgets] == widgets, name
        assert list(target.outputs) == node_info[name]["output"], name
        for part in target.inputs:
            kind = known[part.name][0]
            assert part.type == ("COMBO" if isinstance(kind, list) else kind), (name, part.name)


@pytest.fixture
def models(host):
    """The toy layers where files for AnimateDiff-Evolved lie."""
    folder = host.base / "models" / "animatediff_models" / "sub"
    folder.mkdir(parents=True, exist_ok=True)
    made = folder / "old_motion.safetensors"
    shutil.copy(host.base / "models" / "temporal_layers" / "toy_temporal.safetensors", made)
    yield made
    made.unlink()


@pytest.mark.parametrize(
    "name", ["sub\\old_motion.safetensors", "old_motion.ckpt", "sub/old_motion.safetensors"]
)
def test_files_of_the_old_pack_are_found_by_any_of_their_names(host, models, name):
    import folder_paths
    from video_ldm.nodes.host.files import TEMPORAL_LAYERS, full_path

    folder_paths.filename_list_cache.clear()
    assert full_path(TEMPORAL_LAYERS, name) == str(models)


def here(graph):
    """A graph whose motion models are the toy layers, by a name with another folder and ending."""
    return json.loads(
        json.dumps(graph)
        .replace("mm.ckpt", "AnimateDiff\\\\toy_temporal.ckpt")
        .replace("other.ckpt", "toy_temporal.pth")
    )


def pixels(server, graph):
    """The pictures that node 9 saved."""
    shown = server.run(graph)["9"]
    return np.stack([np.asarray(Image.open(io.BytesIO(server.view(file)))) for file in shown["images"]])


def by_hand(*line, **sampler):
    """A graph of our nodes, written by hand: each of `line` is a node and its inputs beside the model."""
    graph, model = dict(BASE), "1"
    for number, (kind, inputs) in enumerate(line, 100):
        graph[str(number)] = node(kind, model=[model, 0], **inputs)
        model = str(number)
    return {**graph, **sampled(model)}


LAYERS = ("VLDM_LoadTemporalLayers", {"file": "toy_temporal.safetensors", "strength": 1.0})
WINDOWS = {"closed_loop": False, "repeated_noise": False, "context_schedule": "standard_static"}
STRENGTH = ("VLDM_MotionStrength", {"strength": 0.7, "motion": 1.3})
BY_HAND = {
    "gen1": by_hand(LAYERS),
    "gen1_static": by_hand(
        LAYERS,
        (
            "VLDM_VideoWindows",
            {"context_length": 4, "context_overlap": 1, "fuse_method": "relative", **WINDOWS},
        ),
    ),
    "gen2_advanced": by_hand((LAYERS[0], {**LAYERS[1], "start_percent": 0.1, "end_percent": 0.9}), STRENGTH),
    "noise_per_frame": by_hand(
        LAYERS,
        (
            "VLDM_InitialNoise",
            {"noise_type": "FreeNoise", "seed_per_frame": True, "seed_offset": 2, "frame_offset": 1},
        ),
    ),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_an_old_prompt_makes_the_pictures_of_a_graph_written_by_hand(server, name):
    assert np.array_equal(pixels(server, here(GRAPHS[name])), pixels(server, BY_HAND[name]))


@pytest.mark.parametrize(
    "name", ["gen1_looped", "gen2_mask", "gen2_keyframes", "free_init", "custom_cfg", "prompts", "fizz"]
)
def test_old_prompts_run(server, name):
    assert pixels(server, here(GRAPHS[name])).shape == (8, 64, 64, 3)


def test_a_film_is_written(server):
    graph = here(GRAPHS["film"])
    shown = server.run(graph)["9"]
    assert "webp" in json.dumps(shown)


@pytest.fixture
def setting(host):
    """Write the host's file of settings, which is put back."""
    import folder_paths

    path = Path(folder_paths.get_user_directory()) / "default" / "comfy.settings.json"
    kept = path.read_text("utf-8") if path.exists() else None
    path.parent.mkdir(parents=True, exist_ok=True)
    yield lambda text: path.write_text(text, "utf-8")
    path.unlink() if kept is None else path.write_text(kept, "utf-8")


def test_the_setting_switches_both_off(server, setting):
    from video_ldm.demo.comfy import HostError
    from video_ldm.nodes.host.graphs.server import ROUTE, SETTING

    setting(json.dumps({SETTING: False}))
    with pytest.raises(HostError):
        server.queue(here(GRAPHS["gen1"]))
    assert server.post(ROUTE, as_ui(GRAPHS["gen1"]))["changed"] is False


def test_a_damaged_file_of_settings_changes_nothing(setting):
    from video_ldm.nodes.host.graphs.server import switched_on

    for text in ("{}", "no json", "[]"):
        setting(text)
        assert switched_on() is True


@pytest.fixture(scope="module")
def published(host):
    """Random files in the layouts of AnimateDiff, AnimateLCM and PIA, a picture to animate."""
    from .families import toy_families

    Image.new("RGB", (64, 64), (200, 30, 60)).save(host.base / "input" / "start.png")
    with toy_families.published(host):
        yield


ZOOM, PAN = ("v2_lora_ZoomIn.ckpt", "v2_lora_PanLeft.ckpt")


def layers(file, **inputs):
    return "VLDM_LoadTemporalLayers", {"file": file, "strength": 1.0, **inputs}


def animated(*line, **known):
    """A graph of our nodes whose clip begins with a given image."""
    graph = by_hand(*line)
    sampler = graph["7"]["inputs"]
    graph["41"] = node("LoadImage", image="start.png")
    graph["42"] = node(
        "VLDM_KnownFrames", latent=["4", 0], pattern="first", every=4, indices="0, -1", **known
    )
    defaults = {"cfg_last_frame": 0.0, "noise_type": "independent", "noise_correlation": 0.5, "fps": 0.0}
    graph["7"] = node("VLDM_VideoKSampler", **{**sampler, **defaults, "latent_image": ["42", 0]})
    return graph


PUBLISHED = {  # an old graph, the file that it loads, and the same written by hand
    "v1": ("gen1", "mm_sd_v15.ckpt", by_hand(layers("mm_sd_v15.ckpt", norms="as AnimateDiff-Evolved"))),
    "v2 with LoRAs": (
        "gen1_loras",
        "mm_sd_v15_v2.ckpt",
        by_hand(
            layers("mm_sd_v15_v2.ckpt"),
            ("VLDM_LoadMotionLoRA", {"file": ZOOM, "strength": 0.8}),
            ("VLDM_LoadMotionLoRA", {"file": PAN, "strength": 0.5}),
        ),
    ),
    "v3": (
        "gen2_advanced",
        "v3_sd15_mm.ckpt",
        by_hand(layers("v3_sd15_mm.ckpt", start_percent=0.1, end_percent=0.9), STRENGTH),
    ),
    "AnimateLCM": (
        "gen2",
        "AnimateLCM_sd15_t2v.ckpt",
        by_hand(layers("AnimateLCM_sd15_t2v.ckpt", schedule="lcm_linear_50")),
    ),
    "PIA": (
        "pia",
        "pia.ckpt",
        animated(
            layers("pia.ckpt", norms="as AnimateDiff-Evolved"),
            ("VLDM_ImageMotion", {"motion": "loop large", "affinities": "", "frame_weight": 0.8}),
            images=["41", 0],
            vae=["1", 2],
        ),
    ),
    "AnimateLCM-I2V": (
        "i2v",
        "AnimateLCM_sd15_i2v.ckpt",
        animated(
            layers("AnimateLCM_sd15_i2v.ckpt", schedule="lcm_linear_50"), images=["41", 0], vae=["1", 2]
        ),
    ),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_files_in_their_authors_layouts_make_the_pictures_of_a_graph_written_by_hand(server, published, name):
    old, file, hand = PUBLISHED[name]
    text = (
        json.dumps(GRAPHS[old]).replace("mm.ckpt", file).replace("zoom.ckpt", ZOOM).replace("pan.ckpt", PAN)
    )
    made = pixels(server, json.loads(text))
    assert np.array_equal(made, pixels(server, hand))
    assert not np.array_equal(made, pixels(server, by_hand()))
