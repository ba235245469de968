"""Train the bundled video upscaler of the toy world, 128 x 128 to 512 x 512, on patches of rendered clips.

And measure it.

    OMP_NUM_THREADS=1 python -m video_ldm.demo.train.upscaler train --out toy_upscaler.safetensors
    python -m video_ldm.demo.train.upscaler measure --file toy_upscaler.safetensors

The world is drawn four times as large; what is given to the upscaler is its mean over squares of 4 x 4
pixels. A run that was stopped goes on with the same command. A step takes a quarter of a second on one core,
so the default run takes ten minutes. The second half trains the temporal layers; `--minutes` stops after a
time and keeps what there is.

Given frames `((b f) 3 h w)`, large ones `((b f) 3 4h 4w)`, both in 0..1.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from einops import rearrange
from torch import Tensor
from torch.nn import functional

from ...temporal.sampling.clip import Clip
from ...temporal.training.checkpoint import load_state, save_state
from ...temporal.training.data.ahead import DrawnAhead
from ...temporal.training.decoder.trainer import flicker_of_error
from ...temporal.training.report import contact_sheet
from ...temporal.training.upscaler import UpscalerTrainer, UpscalerTrainingConfig, write_upscaler
from ...temporal.upscaler import UpscalerConfig, UpscaleSettings, VideoUpscaler, load_upscaler, upscale
from ...temporal.upscaler.model import enlarge
from ...training.options import due, every_option
from .. import world
from ..world.scene import DURATION, SIDE, Scene
from .common import half_precision, start_log

SCALE, FRAMES = 4, 8
EDGE = 3.0  # of what bicubic frames lack, in its deviations: edges, and no grain
RATES = (8.0, 16.0, 32.0, 64.0)  # keyframes, and what is between them after one, two and three interpolations
TOY = UpscalerConfig(
    scale=SCALE, patch=4, channels=48, channel_mult=(1, 2), num_res_blocks=1, heads=4, max_frames=FRAMES,
    residual_std=0.028, max_noise_level=0.5, shared_noise=0.8,
)  # fmt: skip


def clip(scene: Scene, fps: float, start: float, num_frames: int = FRAMES) -> Tensor:
    """A clip drawn large, (f 3 512 512) in 0..1."""
    frames = torch.from_numpy(world.render(scene, num_frames, fps, start, SCALE))
    return rearrange(frames, "f h w c -> f c h w").float() / 255


def reduce(large: Tensor) -> Tensor:
    """Given frames (f 3 h w) of large frames (f 3 4h 4w)."""
    return functional.avg_pool2d(large, SCALE)


@dataclass(frozen=True)
class Patches:
    """Patches of `side` given pixels of every step: from so many scenes, so many of each.

    In the first `single` steps, where frames are pictures, as many come from more scenes: two frames of four
    places in each.
    """

    seed: int
    scenes: int
    patches: int
    side: int
    single: int

    def __call__(self, step: int) -> tuple[Tensor, Tensor]:
        """Given and large patches of a step, from the training split; half are where the object is."""
        rng = np.random.default_rng((self.seed, step))
        scenes, frames, patches = self.scenes, FRAMES, self.patches
        if step < self.single:
            scenes, frames, patches = scenes * patches, 2, 4
        large = torch.cat([cut for _ in range(scenes) for cut in self._cuts(rng, frames, patches)])
        return reduce(large), large

    def _cuts(self, rng: np.random.Generator, frames: int, count: int) -> Iterator[Tensor]:
        """Patches (f 3 4s 4s) of one scene, every other one where its object is."""
        scene, fps = world.sample(rng, "train"), float(rng.choice(RATES))
        start = rng.uniform(0, max(0.0, DURATION - (FRAMES - 1) / fps))
        large = clip(scene, fps, start, frames)
        for patch in range(count):
            y, x = rng.integers(0, SIDE - self.side + 1, 2)
            if patch % 2 == 0 and not scene.cars:
                centre = np.array(scene.on_screen(start + rng.uniform(0, frames / fps))[:2])
                corner = centre + rng.normal(0, self.side / 3, 2) - self.side / 2
                x, y = np.clip(np.round(corner), 0, SIDE - self.side).astype(int)
            yield large[..., SCALE * y : SCALE * (y + self.side), SCALE * x : SCALE * (x + self.side)]


def begin(args: argparse.Namespace) -> VideoUpscaler:
    """A new upscaler, or the one of `--init`, whose frames share noise from now on."""
    if args.init is None:
        return VideoUpscaler(replace(TOY, shared_noise=args.shared_noise))
    given = load_upscaler(args.init, dtype=torch.float32)
    upscaler = VideoUpscaler(replace(given.config, shared_noise=args.shared_noise))
    upscaler.load_state_dict(given.state_dict())
    return upscaler


def train(args: argparse.Namespace) -> None:
    """Train from the start or from the state beside the file, and write both again and again."""
    log = start_log()
    torch.manual_seed(args.seed)
    config = UpscalerTrainingConfig(
        num_frames=FRAMES, steps=args.steps, spatial_steps=args.spatial_steps,
        given_steps=args.given_steps, learning_rate=args.rate, warmup=50,
        precision=args.precision, seed=args.seed,
    )  # fmt: skip
    patches = Patches(args.seed, args.scenes, args.patches, args.side, args.spatial_steps)
    trainer = UpscalerTrainer(
        begin(args).to(args.device),
        DrawnAhead(patches, config.steps, args.workers),
        config,
        args.device,
    )
    log.info("%d weights", sum(p.numel() for p in trainer.upscaler.parameters()))
    state = args.out.with_suffix(".state.pt")
    if state.is_file():
        trainer.load_state_dict(load_state(state))
        log.info("resumed at step %d", trainer.step)
    deadline = time.monotonic() + 60 * args.minutes

    def after_step(trainer: UpscalerTrainer) -> None:
        over = trainer.step == config.steps or time.monotonic() > deadline
        if over or due(trainer.step, args.every):
            save_state(state, trainer.state_dict())
            write_upscaler(args.out, trainer, {"world": "toy"})
        if over and trainer.step < config.steps:
            log.info("stopped at step %d; the same command goes on", trainer.step)
            raise SystemExit

    trainer.run(after_step=after_step)


def enlarged(upscaler: VideoUpscaler, given: Tensor, settings: UpscaleSettings) -> Tensor:
    """The upscaler's frames (f 3 4h 4w) of given ones (f 3 h w)."""
    frames = rearrange(given, "f c h w -> f h w c")
    with torch.no_grad(), half_precision(given.device):
        made = torch.cat(list(upscale(upscaler, upscaler.config, [frames], settings)))
    return rearrange(made.float(), "f h w c -> f c h w")


def psnr(made: Tensor, true: Tensor) -> float:
    """Peak signal to noise ratio in dB, the mean over frames of their own."""
    errors = (made - true).square().flatten(1).mean(1)
    return float((-10 * errors.clamp(min=1e-12).log10()).mean())


@torch.no_grad()
def missed_at_edges(upscaler: VideoUpscaler, large: Tensor) -> tuple[float, float]:
    """Square errors of an upscaler and of bicubic at edges of large frames (f 3 H W), where sampling begins.

    All but the given frames is noise there: an upscaler that does not look at them is as far off as bicubic.
    """
    given, count = reduce(large), len(large)
    residual = (large - enlarge(given, SCALE)) / upscaler.config.residual_std
    noise = torch.randn(residual.shape, generator=torch.Generator().manual_seed(0))
    seen, level = given * 2 - 1, torch.zeros(count)
    v = upscaler(noise, seen, torch.ones(count), level, Clip(count, strength=0.0))
    at_edges = (residual.abs().amax(1, keepdim=True) > EDGE).expand_as(residual)
    ours, bicubic = (float(x[at_edges].square().sum()) for x in (residual + v, residual))
    return ours, bicubic


def measure(args: argparse.Namespace) -> None:
    """PSNR and flicker of held-out clips: bicubic, frame by frame, and with temporal layers."""
    log = start_log()
    upscaler = load_upscaler(args.file, dtype=torch.float32)
    rng = np.random.default_rng(args.seed)
    ways = {
        "frame by frame": UpscaleSettings(args.steps, strength=0.0, noise_level=args.noise_level),
        "video": UpscaleSettings(args.steps, noise_level=args.noise_level),
    }
    values: dict[str, list[tuple[float, float]]] = {"bicubic": [], **{name: [] for name in ways}}
    rows, missed = [], []
    for _ in range(args.clips):
        large = clip(world.sample(rng, "test"), float(rng.choice(RATES)), 0.0)
        given = reduce(large)
        missed.append(missed_at_edges(upscaler, large[:2]))
        made = {"bicubic": enlarge(given, SCALE).clamp(0, 1)}
        made |= {name: enlarged(upscaler, given, settings) for name, settings in ways.items()}
        for name, frames in made.items():
            values[name].append((psnr(frames, large), 255 * flicker_of_error(frames, large).item()))
        middle = slice(SIDE * SCALE // 2 - 64, SIDE * SCALE // 2 + 64)
        rows.append(
            rearrange(
                [frames[:3, :, middle, middle] for frames in (large, *made.values())],
                "k f c h w -> (k f) h w c",
            )
        )
    for name, pairs in values.items():
        quality, shake = np.mean(pairs, 0)
        log.info("%s: PSNR %.2f dB, flicker of the error %.3f of 255", name, quality, shake)
    share = np.divide(*np.sum(missed, 0))
    log.info("at edges %.2f of what bicubic misses is missed where sampling begins, frame by frame", share)
    if args.sheet:
        contact_sheet(args.sheet, rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("train")
    command.add_argument("--out", type=Path, required=True)
    command.add_argument("--init", type=Path, help="an upscaler to go on from")
    command.add_argument("--shared-noise", type=float, default=TOY.shared_noise, help="share in all frames")
    command.add_argument("--steps", type=int, default=2400)
    command.add_argument("--spatial-steps", type=int, default=1200)
    command.add_argument("--given-steps", type=int, default=0, help="of these, on the given frames alone")
    command.add_argument("--minutes", type=float, default=float("inf"))
    command.add_argument("--rate", type=float, default=2e-3)
    command.add_argument("--scenes", type=int, default=1, help="scenes per step")
    command.add_argument("--patches", type=int, default=2, help="patches per scene")
    command.add_argument("--side", type=int, default=32, help="given pixels on a side of a patch")
    command.add_argument("--precision", choices=("fp32", "bf16"), default="bf16")
    command.add_argument("--device", default="cpu", help="such as cuda")
    command.add_argument("--workers", type=int, default=0, help="processes that draw patches ahead")
    every_option(command, "--every", 250, "steps between files")
    command.add_argument("--seed", type=int, default=5)
    command.set_defaults(run=train)
    command = commands.add_parser("measure")
    command.add_argument("--file", type=Path, required=True)
    command.add_argument("--clips", type=int, default=8)
    command.add_argument("--steps", type=int, default=4)
    command.add_argument("--noise-level", type=float, default=0.0)
    command.add_argument("--seed", type=int, default=2028)
    command.add_argument(
        "--sheet", type=Path, help="also write a contact sheet: truth, bicubic, frame by frame, video"
    )
    command.set_defaults(run=measure)
    args = parser.parse_args()
    args.run(args)


if __name__ == "__main__":
    main()
