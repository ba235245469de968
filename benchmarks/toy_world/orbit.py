"""Orbits from one picture after learning films first, against learning pictures first, or nothing.

    OMP_NUM_THREADS=1 python -m video_ldm.benchmarks.toy_world.orbit --folder FOLDER

What Stable Video Diffusion found for many views (section 4.5): a video prior over an image prior over none. A
network of the host in SV3D's layout (1.94 M weights) is trained by the pack's trainer of video models (EDM)
on orbits around drawn solids, told the camera's angles, the first view given. It begins in one of three ways:
from nothing; with the spatial weights of a network that learned single pictures of films (its layers in time
new, so that it begins as that image model); or with all weights of one that learned the films, first frame
given. Films show solids in any colours that turn either way, lift and slide, and never come around. A fourth
begins from nothing and sees orbits for as many steps as the others have with their films. All arms of a seed
see the same orbits, films and noise. Asked of solids that were kept out (orbit_world.py): each number of
`values`. Rows for RESULTS.md are printed; every number is in benchmarks/results/orbit.json. A
run that was stopped goes on with the arms that are missing, and seeds may run side by side.

Latents `(b f 16 4 4)`: a linear code of pictures of 32 x 32. Pictures `(b f 3 32 32)` in 0..1.
"""

from __future__ import annotations

import argparse
import json
import re
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from einops import rearrange, repeat
from torch import Tensor, nn

from ...demo.train.common import reset_parameters, use_host
from ...nodes.host_boot import keep_freed_memory
from ...temporal.training.video_model.config import VideoModelConfig
from ...temporal.training.video_model.edm import euler
from ...temporal.training.video_model.trainer import GivenClips, VideoModelTrainer, predictor
from .orbit_world import (
    CHANNELS,
    VIEWS,
    Code,
    Pose,
    Views,
    around,
    asked,
    decibels,
    films,
    fitted,
    labels,
    orbits,
)
from .sense_world import norms_of

RESULTS = Path(__file__).resolve().parents[1] / "results" / "orbit.json"
LOOK, LABEL = 48, 8  # numbers of a picture's embedding, and of what is told of the camera
HIGHEST, SAMPLING_STEPS, RATE = 80.0, 12, 2e-3
IN_TIME = re.compile(r"\.time_(stack|mixer|pos_embed)\.")


@dataclass(frozen=True)
class Arm:
    """A network by its training before its orbits, and whether it sees orbits for as long as that took."""

    before: str = "nothing"
    longer: bool = False


ARMS = {
    "nothing": Arm(),
    "pictures": Arm("pictures"),
    "films": Arm("films"),
    "nothing, longer": Arm(longer=True),
}


@dataclass(frozen=True, eq=False)
class Lesson:
    """Clips that a network learns from; `alone`: each of their pictures by itself."""

    clips: Views
    code: Code
    steps: int
    batch: int
    seed: int
    alone: bool = False

    def draw(self, step: int) -> GivenClips:
        """The clips of a step, always the same ones."""
        rows = np.random.default_rng((self.seed, step)).integers(len(self.clips.pictures), size=self.batch)
        drawn = Views(self.clips.pictures[rows], self.clips.elevation[rows], self.clips.azimuth[rows])
        return described(drawn, self.code, self.alone)


def sizes() -> dict[str, Any]:
    """Sizes of the network in the host's words, made anew, as the host takes items out of its lists."""
    return {
        "image_size": 4, "in_channels": 2 * CHANNELS, "out_channels": CHANNELS, "model_channels": 64,
        "channel_mult": [1], "num_res_blocks": [1], "transformer_depth": [1],
        "transformer_depth_output": [1, 1], "transformer_depth_middle": 1, "num_head_channels": 16,
        "use_spatial_transformer": True, "use_linear_in_transformer": True, "context_dim": LOOK,
        "legacy": False, "num_classes": "sequential", "adm_in_channels": LABEL, "use_temporal_resblock": True,
        "use_temporal_attention": True, "use_spatial_context": True, "extra_ff_mix_layer": True,
        "merge_strategy": "learned_with_images", "merge_factor": 0.5, "video_kernel_size": [3, 1, 1],
        "dtype": torch.float32,
    }  # fmt: skip


def new_network(seed: int) -> nn.Module:
    """A network of the host in the layout of SV3D, whose layers in time begin as if they were not there."""
    import comfy.ops
    from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel

    torch.manual_seed(100 + seed)
    unet = UNetModel(**sizes(), operations=norms_of(8, comfy.ops.disable_weight_init))
    reset_parameters(unet)
    for name, part in unet.named_modules():
        in_time = IN_TIME.search(f"{name}.") and name.endswith(("to_out.0", "net.2", "time_pos_embed.2"))
        if in_time or name.endswith(("out_layers.3", "proj_out")) or name == "out.2":
            nn.init.zeros_(part.weight)
            nn.init.zeros_(part.bias)
    return unet


def described(views: Views, code: Code, alone: bool = False) -> GivenClips:
    """Clips with their first view given; alone, pictures with nothing given but their embedding."""
    latents, looked = code.encode(views.pictures), views.pictures
    given = torch.zeros_like(latents)
    if not alone:
        given = repeat(latents[:, 0], "b c h w -> b f c h w", f=VIEWS)
        looked = repeat(looked[:, 0], "b c h w -> b f c h w", f=VIEWS)
    small = nn.functional.avg_pool2d(rearrange(looked, "b f c h w -> (b f) c h w"), 8)
    return GivenClips(
        rearrange(latents, "b f c h w -> (b f) c h w"),
        rearrange(given, "b f c h w -> (b f) c h w"),
        rearrange(2 * small - 1, "n c h w -> n 1 (c h w)"),
        rearrange(labels(views), "b f d -> (b f) d"),
        VIEWS,
    )


def called(unet: nn.Module, alone: bool, x: Tensor, level: Tensor, clips: GivenClips) -> Tensor:
    """Output of the host's network; alone, without its layers in time."""
    from ...nodes.host.training.unet import plain_attention

    return unet(
        x,
        level,
        clips.picture,
        clips.label,
        transformer_options={"optimized_attention_override": plain_attention},
        num_video_frames=clips.frames,
        image_only_indicator=torch.ones(clips.count, clips.frames) if alone else None,
    )


def learn(unet: nn.Module, lesson: Lesson, asked_at: Sequence[int] = (), ask: Any = None) -> list[float]:
    """Train all weights of a network and leave their averages in it; the losses.

    `ask` is called with the step where a check is due, when the averages are in place.
    """
    config = VideoModelConfig(
        num_frames=VIEWS, batch=lesson.batch, steps=lesson.steps, learning_rate=RATE,
        final_learning_rate=RATE / 20, warmup=20, ema=0.98, parts="all", noise_mean=0.0, without=0.0,
        picture_noise=0.0, seed=lesson.seed,
    )  # fmt: skip
    trainer = VideoModelTrainer(unet, partial(called, unet, lesson.alone), lesson.draw, config)
    for step in sorted({*asked_at, lesson.steps}):
        trainer.run(step)
        with trainer.average.applied_to(unet):
            if step in asked_at:
                ask(step)
            last = {name: weight.clone() for name, weight in unet.state_dict().items()}
    unet.load_state_dict(last)
    return trainer.losses


def begun(arm: Arm, lessons: dict[str, Lesson], seed: int) -> tuple[nn.Module, dict[str, float]]:
    """A network with what it learned before its orbits, and what that cost."""
    unet, began = new_network(seed), time.process_time()
    if arm.before == "nothing":
        return unet, {"seconds before": 0.0}
    first = new_network(seed)
    losses = learn(first, lessons[arm.before])
    kept = {
        name: weight
        for name, weight in first.state_dict().items()
        if arm.before == "films" or not IN_TIME.search(name)
    }
    unet.load_state_dict({**unet.state_dict(), **kept})
    return unet, {"seconds before": time.process_time() - began, "loss before": float(np.mean(losses[-50:]))}


@torch.no_grad()
def sampled(unet: nn.Module, clips: GivenClips, code: Code) -> Tensor:
    """Pictures of orbits from noise that is the same for all networks."""
    noise = torch.randn(clips.latents.shape, generator=torch.Generator().manual_seed(7))
    made = euler(predictor(partial(called, unet, False), clips), noise, SAMPLING_STEPS, HIGHEST)
    return code.decode(rearrange(made, "(b f) c h w -> b f c h w", f=VIEWS))


def values(made: Tensor, drawn: Tensor, wanted: Sequence[tuple[Pose, float]]) -> dict[str, Tensor]:
    """Numbers of every orbit `(b,)`, in decibels but for the last.

    `views`: all but the first and the last, as drawn. `behind`: the one from behind. `given`: the first.
    `closing`: the last one made against the first one made. `one solid`: all views made against those of the
    one solid, of all kinds, colours and turns, that fits them best. `own solid`: 1 where that is the right
    one.
    """
    behind = VIEWS // 2
    scores, found = fitted(made, [height for _, height in wanted])
    own = [
        here[:2] == there[:2] and abs((here[2] - there[2] + 180) % 360 - 180) <= 15
        for here, (there, _) in zip(found, wanted, strict=True)
    ]
    return {
        "views": decibels(made[:, 1:-1], drawn[:, 1:-1]),
        "behind": decibels(made[:, behind], drawn[:, behind]),
        "given": decibels(made[:, 0], drawn[:, 0]),
        "closing": decibels(made[:, -1], made[:, 0]),
        "one solid": scores,
        "own solid": torch.tensor(own).float(),
    }


def measured(made: Tensor, drawn: Tensor, wanted: Sequence[tuple[Pose, float]]) -> dict[str, float]:
    """Means of `values` over orbits."""
    return {name: round(float(each.mean()), 4) for name, each in values(made, drawn, wanted).items()}


def run_seed(seed: int, code: Code, wanted: list[tuple[Pose, float]], args: argparse.Namespace) -> None:
    """Train and ask all arms of a seed that are missing in its file."""
    file = args.folder / f"seed-{seed}.json"
    found: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
    views = around([pose for pose, _ in wanted], [height for _, height in wanted])
    clips, seen = described(views, code), films(args.films, seed)
    before = partial(Lesson, seen, code, args.before, args.batch, 1000 + seed)
    lessons = {"films": before(), "pictures": before(alone=True)}
    orbited = orbits(args.orbits, seed)
    for name in args.arms:
        if name in found:
            continue
        arm, asked_at = ARMS[name], {}
        unet, row = begun(arm, lessons, seed)
        steps = args.steps + args.before * arm.longer
        lesson, began = Lesson(orbited, code, steps, args.batch, seed), time.process_time()

        def ask(step: int, unet: nn.Module = unet, asked_at: dict = asked_at) -> None:
            made = sampled(unet, clips, code)
            asked_at[step] = measured(made, views.pictures, wanted)
            print(seed, step, asked_at[step], flush=True)
            torch.save((made * 255).byte(), made_file(args.folder, seed, name, step))  # noqa: B023

        losses = learn(unet, lesson, sorted({args.early, steps}), ask)
        row |= {"seconds": time.process_time() - began, "loss": float(np.mean(losses[-50:]))}
        found[name] = {**row, "asked": asked_at}
        print(seed, name, row, flush=True)
        file.write_text(json.dumps(found))


def made_file(folder: Path, seed: int, arm: str, step: int) -> Path:
    """Path of the pictures of a check."""
    return folder / f"made-{seed}-{arm}-{step}.pt"


def recount(folder: Path, drawn: Tensor, wanted: list[tuple[Pose, float]]) -> dict[str, dict[str, Any]]:
    """Numbers of all arms that are finished, by seed, with those of each orbit at the last check."""
    found = {}
    for file in sorted(folder.glob("seed-*.json")):
        seed = file.stem.removeprefix("seed-")
        found[seed] = json.loads(file.read_text())
        for name, row in found[seed].items():
            last = max(map(int, row["asked"]))
            made = torch.load(made_file(folder, int(seed), name, last), weights_only=True).float() / 255
            each = values(made, drawn, wanted)
            row["orbits"] = {key: [round(float(v), 3) for v in numbers] for key, numbers in each.items()}
    return found


def table(found: dict[str, dict[str, Any]], draws: int = 4000) -> str:
    """Means over seeds and orbits, and what films give more than each other arm on the same ones.

    The 95 % intervals are a bootstrap that draws seeds and orbits anew.
    """
    whole = {name: [row[name]["orbits"] for row in found.values() if name in row] for name in ARMS}
    dice, lines = np.random.default_rng(0), []
    for number in whole["films"][0]:
        means = {name: np.array([row[number] for row in rows]) for name, rows in whole.items() if rows}
        cells = [f"{each.mean():.2f}" for each in means.values()]
        for name in means:
            if name == "films":
                continue
            gap = np.array(
                [
                    np.subtract(row["films"]["orbits"][number], row[name]["orbits"][number])
                    for row in found.values()
                    if name in row and "films" in row
                ]
            )
            seeds, orbited = (dice.integers(n, size=(draws, n)) for n in gap.shape)
            drawn = gap[seeds[:, :, None], orbited[:, None, :]].mean((1, 2))
            low, high = np.percentile(drawn, (2.5, 97.5))
            cells.append(f"{gap.mean():+.2f} ({low:+.2f} to {high:+.2f})")
        lines.append(f"| {number} | {' | '.join(cells)} |")
    return "\n".join([" | ".join(name for name, rows in whole.items() if rows), *lines])


def main() -> None:
    """Train and ask the arms of all seeds, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, required=True, help="for what seeds found, and what was made")
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2])
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    parser.add_argument("--films", type=int, default=1000)
    parser.add_argument("--orbits", type=int, default=240)
    parser.add_argument("--before", type=int, default=400, help="steps on films or pictures")
    parser.add_argument("--steps", type=int, default=300, help="steps on orbits")
    parser.add_argument("--early", type=int, default=100, help="step on orbits of an early check")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--asked", type=int, default=48, help="solids that are asked for")
    parser.add_argument("--out", type=Path, default=RESULTS)
    args = parser.parse_args()
    use_host()
    keep_freed_memory()
    torch.set_num_threads(1)
    args.folder.mkdir(parents=True, exist_ok=True)
    settings = {key: value for key, value in vars(args).items() if isinstance(value, int)}
    kept = args.folder / "settings.json"
    if kept.exists() and json.loads(kept.read_text()) != settings:
        raise SystemExit(f"{args.folder} holds seeds of other settings; give another --folder.")
    kept.write_text(json.dumps(settings))
    code, wanted = Code.of(films(200, 999).pictures), asked(args.asked)
    drawn = around([pose for pose, _ in wanted], [height for _, height in wanted]).pictures
    copied = repeat(drawn[:, 0], "b c h w -> b f c h w", f=VIEWS)
    limits = {
        "the given view seven times": measured(copied, drawn, wanted),
        "drawn, through the code": measured(code.decode(code.encode(drawn)), drawn, wanted),
    }
    for seed in args.seeds:
        run_seed(seed, code, wanted, args)
    found = recount(args.folder, drawn, wanted)
    whole = {"settings": settings, "arms": {name: asdict(arm) for name, arm in ARMS.items()}, **limits}
    args.out.write_text(json.dumps({**whole, "found": found}) + "\n")
    print(table(found))


if __name__ == "__main__":
    main()
