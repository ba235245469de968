"""The reference size of upscaling, 512 x 320 to 2048 x 1280, once through every part.

Time, and memory beside what is announced.

    python -m video_ldm.benchmarks.cost.reference_size

Two pipelines run on the CPU in one process, both in windows in time and tiles in space, to an H.264 film.
Pixel: the bundled toy upscaler in Render Video. SD x4: Video Upscale (SD x4) with an upscaler of 32 channels
instead of 256 and one ResBlock a level, with the levels, attention and inputs of the real one, random weights
and native temporal layers, in windows of 2 frames; then a decoder of 8 channels that enlarges four times.
Memory is the largest resident memory while a step runs, less that before it. Linux only. Frames `(f h w 3)`.
"""

from __future__ import annotations

import ctypes
import gc
import re
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from ...demo.environment import REPO
from ...nodes import host_boot as boot
from ..toy_world import common

HEIGHT, WIDTH, SCALE = 320, 512, 4
FPS = 8.0
GIB = 2**30
UNET = {
    "model_channels": 32, "channel_mult": [1, 2, 2, 4], "num_res_blocks": [1, 1, 1, 1],
    "transformer_depth": [0, 1, 1, 1], "transformer_depth_output": [0, 0, 1, 1, 1, 1, 1, 1],
    "transformer_depth_middle": 1, "context_dim": 64, "num_heads": 8, "num_head_channels": -1,
    "use_linear_in_transformer": True, "use_spatial_transformer": True,
    "disable_self_attentions": [True, True, True, False], "num_classes": 1000, "in_channels": 7,
    "out_channels": 4, "image_size": 128, "legacy": False,
}  # fmt: skip


def resident(field: str) -> int:
    """A line of this process's memory in bytes: VmRSS now, VmHWM at its largest."""
    found = re.search(rf"{field}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(found[1]) * 1024


@contextmanager
def measured(into: dict[str, Any]) -> Iterator[None]:
    """Seconds and memory of what runs inside."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    before, began = resident("VmRSS"), time.monotonic()
    yield
    into["seconds"] = round(time.monotonic() - began, 1)
    into["memory_gb"] = round((resident("VmHWM") - before) / GIB, 3)


def clip(frames: int) -> torch.Tensor:
    """Given frames of soft clouds that drift."""
    coarse = torch.rand(1, 3, 10, 16, generator=torch.Generator().manual_seed(0))
    cloud = functional.interpolate(coarse, size=(HEIGHT, WIDTH), mode="bicubic").clamp(0, 1)[0]
    return torch.stack([cloud.roll(4 * n, dims=2).permute(1, 2, 0) for n in range(frames)])


def film(folder: Path, name: str, clip: Any) -> Path:
    """A clip as an H.264 film of the pack's own Render Video."""
    import folder_paths

    from ...nodes.host.film.render import FilmSettings, render

    folder_paths.set_output_directory(str(folder))
    return render(clip, FilmSettings("mp4 (H.264)", 80, name), {}, None).path


def size_of(path: Path) -> str:
    """Width and height that ffmpeg finds in a film."""
    import imageio_ffmpeg

    return "{} x {}".format(*next(imageio_ffmpeg.read_frames(str(path)))["size"])


def pixel(folder: Path, frames: int, steps: int) -> list[dict[str, Any]]:
    """Images through the toy upscaler into a film."""
    import comfy.ops

    from ...nodes.host.film.frame_stream import DecodeSettings, frame_stream
    from ...nodes.host.film.upscaler import HostUpscaler
    from ...nodes.host.patcher import new_patcher
    from ...temporal.upscaler import UpscaleSettings, load_upscaler

    model = load_upscaler(common.MODELS / "toy_upscaler.safetensors", ops=comfy.ops.manual_cast)
    settings = UpscaleSettings(steps=steps, tile=256)
    upscaler = HostUpscaler(new_patcher(model, torch.device("cpu")), settings)
    made = frame_stream(None, None, clip(frames), upscaler, FPS, DecodeSettings())
    row = {
        "step": "Render Video with a pixel upscaler",
        "announced_gb": round(sum(made.memory.values()) / GIB, 3),
    }
    with measured(row):
        path = film(folder, "pixel", made)
    return [{**row, "frames": frames, "size": size_of(path)}]


def x4_model() -> Any:
    """MODEL: the SD x4 upscaler with few channels, random weights and temporal layers."""
    import comfy.model_management as mm
    import comfy.model_patcher
    import comfy.ops
    from comfy.supported_models import SD_X4Upscaler

    from ...nodes.host.layers.attached.settings import LayerSettings
    from ...nodes.host.layers.insertion import add_temporal_layers
    from ...nodes.host.layers.shapes import unet_shape
    from ...nodes.host.patcher import new_patcher
    from ...temporal.stack.stack import StackConfig, TemporalStack

    def fresh() -> dict[str, Any]:
        return {key: value[:] if isinstance(value, list) else value for key, value in UNET.items()}

    config = SD_X4Upscaler(fresh())
    config.unet_config = fresh()
    config.set_inference_dtype(torch.float32, None)
    unet = config.get_model({}, "")
    config.unet_config = fresh()  # the host's constructor consumes its lists
    torch.manual_seed(0)
    model = comfy.model_patcher.ModelPatcher(unet, mm.get_torch_device(), mm.unet_offload_device())
    stack = TemporalStack(
        StackConfig(unet_shape(model), "x4", 8, False, True, prediction="v"), ops=comfy.ops.manual_cast
    )
    for module in (unet.diffusion_model, stack):
        for parameter in module.parameters():
            nn.init.normal_(parameter, std=0.02)
    return add_temporal_layers(model, new_patcher(stack, mm.unet_offload_device()), LayerSettings())


def x4_vae() -> Any:
    """VAE: a thin decoder that enlarges four times, as the upscaler's own does."""
    from ...nodes.host.training.vae import load_vae
    from ..host_pack import thin_decoder

    vae = load_vae(str(common.MODELS / "toy_sd.safetensors"))
    vae.first_stage_model.taesd_decoder = thin_decoder(4, stages=2).eval()
    vae.upscale_ratio = vae.downscale_ratio = SCALE
    return vae


def diffusion(folder: Path, frames: int, steps: int) -> list[dict[str, Any]]:
    """Images through Video Upscale (SD x4), then latents into a film."""
    from ...nodes.host.film.frame_stream import DecodeSettings, frame_stream
    from ...nodes.upscale_x4 import VideoUpscaleDiffusion

    model, generator = x4_model(), torch.Generator().manual_seed(1)
    text = [[[torch.randn(1, 77, 64, generator=generator), {}]] for _ in range(2)]
    values = {
        "noise_augmentation": 0.06, "seed": 0, "steps": steps, "cfg": 7.0, "sampler_name": "euler",
        "scheduler": "normal", "fps": FPS, "context_length": 2, "context_overlap": 1, "tile_size": 256,
        "tile_overlap": 64,
    }  # fmt: skip
    row: dict[str, Any] = {"step": "Video Upscale (SD x4)"}
    with measured(row):
        latent, report = VideoUpscaleDiffusion.execute(model, *text, clip(frames), **values).result
    row |= {"announced_gb": float(re.search(r"about ([\d.]+) GB for a step", report)[1]), "frames": frames}
    rows = [{**row, "size": "latents of {3} x {2}".format(*latent["samples"].shape)}]
    made = frame_stream(latent, x4_vae(), None, None, 0.0, DecodeSettings(chunk_length=2))
    row = {"step": "Render Video of its latents", "announced_gb": round(sum(made.memory.values()) / GIB, 3)}
    with measured(row):
        path = film(folder, "x4", made)
    return [*rows, {**row, "frames": frames, "size": size_of(path)}]


def table(rows: list[dict[str, Any]]) -> str:
    """The numbers as Markdown."""
    cells = ("step", "frames", "size", "seconds", "memory_gb", "announced_gb")
    return common.markdown(
        ["step", "frames", "result", "seconds", "memory, GB", "announced, GB"],
        [[str(row["frames"]) if cell == "frames" else row[cell] for cell in cells] for row in rows],
    )


def main() -> None:
    """Measure, print, write."""
    parser = common.options(__doc__, "reference_size.json")
    parser.add_argument("--pixel", type=int, nargs=2, default=(10, 2), metavar=("FRAMES", "STEPS"))
    parser.add_argument("--diffusion", type=int, nargs=2, default=(3, 1), metavar=("FRAMES", "STEPS"))
    args, began = parser.parse_args(), time.monotonic()
    boot.start_host(None, [str(REPO / "demo" / "host_pack")], cpu=True)
    with tempfile.TemporaryDirectory(prefix="video_ldm_") as folder, torch.inference_mode():
        rows = [*pixel(Path(folder), *args.pixel), *diffusion(Path(folder), *args.diffusion)]
    print(table(rows))
    common.write(vars(args), {"steps": rows}, began)


if __name__ == "__main__":
    main()
