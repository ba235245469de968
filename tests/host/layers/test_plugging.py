"""Things that artists plug the pack into.

Attention patches, videos as sources, other files as sinks, latents on disk.

Shapes: f frames, c latent channels, h w latent size, n tokens, d channels.
"""

from __future__ import annotations

import shutil
from fractions import Fraction

import pytest
import torch
from PIL import Image
from torch import Tensor

FRAMES, SIDE = 5, 64


class ImagePrompt:
    """A pack like IPAdapter.

    Adds attention to the tokens of a picture to every text attention of the UNet.
    """

    def __init__(self, tokens: Tensor, weight: float) -> None:
        self.tokens, self.weight, self.seen = tokens, weight, []

    def apply(self, model):
        """A clone of a MODEL that attends to the tokens (f n d), one picture per frame."""
        from comfy.ldm.modules.attention import CrossAttention, optimized_attention

        modules = model.get_model_object("diffusion_model").modules()
        heads = next(module.heads for module in modules if isinstance(module, CrossAttention))
        tokens, weight, seen = self.tokens, self.weight, self.seen

        # a function, as the host copies patches with every clone: a method would take its object along
        def attend(query: Tensor, key: Tensor, value: Tensor, extra: dict) -> Tensor:
            chunks = len(extra["cond_or_uncond"])
            seen.append((query.shape[0], chunks, extra["block"]))
            picture = tokens[..., : query.shape[-1]].repeat(chunks, 1, 1).to(query)
            text = optimized_attention(query, key, value, heads)
            return text + weight * optimized_attention(query, picture, picture, heads)

        patched = model.clone()
        for section in ("input", "middle", "output"):
            for number in range(12):
                patched.set_model_attn2_replace(attend, section, number)
        return patched


@pytest.fixture
def image_prompt():
    tokens = torch.randn(FRAMES, 4, 512, generator=torch.Generator().manual_seed(3))
    return lambda weight: ImagePrompt(tokens, weight)


def test_attention_patches_see_every_frame_beside_the_layers(rig, image_prompt):
    prompt = image_prompt(0.5)
    rig.sample_video(prompt.apply(rig.with_layers()))
    assert prompt.seen
    assert {frames // chunks for frames, chunks, _ in prompt.seen} == {FRAMES}
    assert {block[0] for _, _, block in prompt.seen} >= {"input", "output"}


def test_attention_patches_and_layers_both_count_in_either_order(rig, image_prompt):
    stack = rig.stack()
    after = rig.sample_video(image_prompt(0.5).apply(rig.with_layers(patcher=stack)))["samples"]
    before = rig.sample_video(rig.with_layers(image_prompt(0.5).apply(rig.model), stack))["samples"]
    alone = rig.sample_video(image_prompt(0.5).apply(rig.model))["samples"]
    layers = rig.sample_video(rig.with_layers(patcher=stack))["samples"]
    assert torch.equal(after, before)
    assert not torch.allclose(after, alone)
    assert not torch.allclose(after, layers)


def test_an_attention_patch_of_weight_0_changes_nothing(rig, image_prompt):
    stack = rig.stack()
    plain = rig.sample_video(rig.with_layers(patcher=stack))["samples"]
    patched = rig.sample_video(image_prompt(0.0).apply(rig.with_layers(patcher=stack)))["samples"]
    assert torch.allclose(patched, plain, atol=1e-5)


def clip_graph() -> dict:
    """A short toy clip, decoded: node "decode" gives IMAGE, node "sample" LATENT."""
    model = {"ckpt_name": "toy_sd.safetensors"}
    text = {"clip": ["model", 1]}
    empty = {"width": SIDE, "height": SIDE, "batch_size": FRAMES}
    sample = {
        **{
            "model": ["model", 0],
            "positive": ["text", 0],
            "negative": ["no", 0],
            "latent_image": ["empty", 0],
        },
        **{"seed": 1, "steps": 1, "cfg": 3.0, "sampler_name": "euler", "scheduler": "normal", "denoise": 1.0},
        **{"cfg_last_frame": 0.0, "noise_type": "independent", "noise_correlation": 0.5, "fps": 8.0},
    }
    decode = {"samples": ["sample", 0], "vae": ["model", 2], "chunk_length": 16, "overlap": 4}
    return {
        "model": {"class_type": "CheckpointLoaderSimple", "inputs": model},
        "text": {"class_type": "CLIPTextEncode", "inputs": {**text, "text": "a red circle"}},
        "no": {"class_type": "CLIPTextEncode", "inputs": {**text, "text": ""}},
        "empty": {"class_type": "EmptyLatentImage", "inputs": empty},
        "sample": {"class_type": "VLDM_VideoKSampler", "inputs": sample},
        "decode": {"class_type": "VLDM_TemporalVAEDecode", "inputs": decode},
    }


SINKS = {
    "SaveWEBM": {"codec": "vp9", "fps": 8.0, "filename_prefix": "clip", "crf": 32.0},
    "SaveAnimatedWEBP": {
        **{"filename_prefix": "clip", "fps": 8.0, "lossless": False},
        **{"quality": 80, "method": "default"},
    },
}


@pytest.mark.parametrize("sink", SINKS)
def test_clips_go_into_other_files(host, sink):
    graph = clip_graph()
    graph["save"] = {"class_type": sink, "inputs": {"images": ["decode", 0], **SINKS[sink]}}
    [file] = host.run(graph).shown["save"]["images"]
    path = host.base / "output" / file["subfolder"] / file["filename"]
    if sink == "SaveAnimatedWEBP":
        with Image.open(path) as picture:
            assert picture.n_frames == FRAMES and picture.size == (SIDE, SIDE)
    else:
        assert path.read_bytes()[:4] == b"\x1a\x45\xdf\xa3"  # EBML, what WebM begins with


def test_a_video_file_is_a_source(host):
    """Load Video, Get Video Components and VAE Encode make a clip of the video's own length."""
    from comfy_api.latest import InputImpl, Types

    frames = torch.rand(FRAMES, SIDE, SIDE, 3, generator=torch.Generator().manual_seed(0))
    (host.base / "input").mkdir(exist_ok=True)
    components = Types.VideoComponents(images=frames, frame_rate=Fraction(8))
    InputImpl.VideoFromComponents(components).save_to(str(host.base / "input" / "source.mp4"))
    graph = clip_graph()
    graph["video"] = {"class_type": "LoadVideo", "inputs": {"file": "source.mp4"}}
    graph["parts"] = {"class_type": "GetVideoComponents", "inputs": {"video": ["video", 0]}}
    graph["empty"] = {"class_type": "VAEEncode", "inputs": {"pixels": ["parts", 0], "vae": ["model", 2]}}
    graph["sample"]["inputs"]["denoise"] = 0.0
    graph["show"] = {"class_type": "PreviewImage", "inputs": {"images": ["decode", 0]}}
    run = host.run(graph)
    assert run.outputs["decode"][0].shape == (FRAMES, SIDE, SIDE, 3)
    assert torch.equal(run.outputs["sample"][0]["samples"], run.outputs["empty"][0]["samples"])


def test_latents_are_saved_and_loaded(host):
    graph = clip_graph()
    save = {"samples": ["sample", 0], "filename_prefix": "latents/clip"}
    graph["save"] = {"class_type": "SaveLatent", "inputs": save}
    run = host.run(graph)
    [file] = run.shown["save"]["latents"]
    written = host.base / "output" / file["subfolder"] / file["filename"]
    (host.base / "input").mkdir(exist_ok=True)
    shutil.copy(written, host.base / "input" / "clip.latent")
    again = {
        "model": graph["model"],
        "load": {"class_type": "LoadLatent", "inputs": {"latent": "clip.latent"}},
        "decode": graph["decode"] | {"inputs": graph["decode"]["inputs"] | {"samples": ["load", 0]}},
        "show": {"class_type": "PreviewImage", "inputs": {"images": ["decode", 0]}},
    }
    reloaded = host.run(again)
    assert torch.equal(reloaded.outputs["load"][0]["samples"], run.outputs["sample"][0]["samples"])
    assert reloaded.outputs["decode"][0].shape == (FRAMES, SIDE, SIDE, 3)
