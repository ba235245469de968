"""Count the memory of activations with temporal layers over that without, at full size.

Nothing is computed.

    python -m video_ldm.benchmarks.cost.activations

Models and tensors lie on the meta device: every operation only says how large its results are, and the peak
of what is alive at once is counted. Attention is counted as flash attention does it, without its matrix. The
ratio is what nodes/host/layers/insertion.py tells the host as ACTIVATION_FACTOR. Latents `((b f) 4 h/8 w/8)`,
half precision.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import torch
from torch import nn

from ...demo.train.common import use_host
from ...temporal.formats.animatediff import ORIGINAL
from ...temporal.layers.motion import MotionConfig
from ...temporal.sampling.clip import Clip
from ...temporal.stack.plan import SD1, SD2, UNetShape
from ...temporal.stack.stack import StackConfig, TemporalStack
from ...temporal.training.memory.live import LiveMemory, flash_attention

RESULTS = Path(__file__).resolve().parents[1] / "results" / "activations.json"
FRAMES, CHUNKS = 16, 2
HALF = torch.float16


def host_unet(shape: UNetShape) -> nn.Module:
    """The host's UNet of a shape, in half precision on the meta device."""
    use_host()
    import comfy.ops
    from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel

    return UNetModel(
        image_size=32, in_channels=4, out_channels=4, model_channels=shape.model_channels,
        channel_mult=shape.channel_mult, num_res_blocks=list(shape.num_res_blocks),
        transformer_depth=list(shape.transformer_depth),
        transformer_depth_output=list(shape.transformer_depth_output),
        transformer_depth_middle=shape.transformer_depth_middle, num_heads=shape.num_heads,
        num_head_channels=shape.num_head_channels, use_spatial_transformer=True,
        context_dim=shape.context_dim, use_linear_in_transformer=shape is SD2, legacy=False, dtype=HALF,
        device="meta", operations=comfy.ops.disable_weight_init,
    ).eval()  # fmt: skip


def stacks() -> Iterator[tuple[str, TemporalStack]]:
    """The layers to count, by name."""
    for name, shape in (("SD 1.x", SD1), ("SD 2.x", SD2)):
        config = StackConfig(shape, name, 16, known_frames=True, frame_rate=True)
        yield f"Video LDM on {name}", TemporalStack(config, dtype=HALF, device="meta")
    for family, middle, in_image in (("v2", True, False), ("v1", False, True)):
        motion = MotionConfig(middle, clip_norm=False, clip_norm_image=in_image)
        family = ORIGINAL.families["SD 1.x", middle, 32 if middle else 24]
        config = StackConfig(SD1, "SD 1.x", 32, False, False, family=family, motion=motion)
        yield family, TemporalStack(config, dtype=HALF, device="meta")


def peak(unet: nn.Module, shape: UNetShape, stack: TemporalStack | None, size: int) -> int:
    """Bytes alive at the peak of one call, for latents of size x size.

    FRAMES frames, conditional and unconditional.
    """
    from ...nodes.host.layers.hooks import inserted

    new = {"dtype": HALF, "device": "meta"}
    x, t = torch.empty(CHUNKS * FRAMES, 4, size, size, **new), torch.empty(CHUNKS * FRAMES, **new)
    context = torch.empty(CHUNKS * FRAMES, 77, shape.context_dim, **new)
    options = {"optimized_attention_override": lambda _, q, k, v, *args, **kwargs: torch.empty_like(q)}
    with torch.inference_mode(), LiveMemory() as memory:
        layers = nullcontext()
        if stack is not None:
            known = {"known_latents": x, "known_mask": t} if stack.config.known_frames else {}
            clip = Clip(num_frames=FRAMES, attention=flash_attention, **known)
            layers = inserted(unet, stack, stack.prepare(clip, x))
        with layers:
            unet(x, t, context=context, transformer_options=options)
    return memory.peak


def main() -> None:
    rows = []
    for name, stack in stacks():
        shape = stack.config.unet
        unet = host_unet(shape)
        for size in (32, 64):
            off, on = (peak(unet, shape, layers, size) for layers in (None, stack))
            rows.append(
                {"layers": name, "latent": size, "off_mib": off >> 20, "on_mib": on >> 20, "ratio": on / off}
            )
    RESULTS.write_text(json.dumps({"frames": FRAMES, "chunks": CHUNKS, "peaks": rows}, indent=1) + "\n")
    lines = ["| layers | latent | off (MiB) | on (MiB) | ratio |", "|---|---|---|---|---|"]
    lines += [
        "| {layers} | {latent} x {latent} | {off_mib} | {on_mib} | {ratio:.2f} |".format(**row)
        for row in rows
    ]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
