"""Random inputs for every node, in a booted host.

Each run ends in a result or in one sentence of ours, and leaves no trace.

    python -m video_ldm.benchmarks.faults.fuzz --runs 10000 --seed 0
    python -m video_ldm.benchmarks.faults.fuzz --only 4711         # one run again, with its error

Nodes and inputs come from the schemas, so a new node is among them. A run depends on the seed and its number
alone. After it: an error is one of ours, in one printable sentence; what was put in is unchanged; results are
finite; no hook is left in the image model; and every few runs the image model alone still makes the same
picture, bit for bit.
"""

from __future__ import annotations

import hashlib
import logging
import random
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ...tests.in_process import InProcessHost
from ..toy_world.common import markdown, options, write
from .fuzz_files import tiny_files
from .fuzz_values import SIDE, Values

logger = logging.getLogger(__name__)
LONGEST = 1500  # characters of a sentence; more than errors.py keeps is no sentence of ours
EVERY = 50  # runs between two pictures of the image model
OPTIONAL = 0.6  # of the inputs that may be left out are given
TRAININGS = 0.05  # of the runs that draw a training make one: they take as long as all others


@dataclass
class Found:
    """Ends of runs by node, and what should not have been: one line for each fault."""

    ends: dict[str, Counter[str]] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    def count(self, node: str, end: str) -> None:
        """Add the end of one run."""
        self.ends.setdefault(node, Counter(done=0, refused=0, faults=0))[end] += 1

    def total(self, end: str) -> int:
        """Runs of all nodes that ended so."""
        return sum(counts[end] for counts in self.ends.values())


class Fuzz:
    """Runs with random inputs on one host."""

    def __init__(self, host: InProcessHost, seed: int) -> None:
        self.host, self.seed = host, seed
        self.values = Values(host.call)
        self.nodes = sorted(name for name in host.nodes if name.startswith("VLDM_"))
        self.ours = host.pack("temporal.errors").VideoLDMError
        self.picture = self.image()
        roots = {id(model.model): model.model for model in self.values.models()}.values()
        roots = [*roots, self.values.good["VAE"][0].first_stage_model]
        self.modules = [module for root in roots for module in root.modules()]

    def run(self, number: int, found: Found) -> None:
        """One run, counted; its faults are written down."""
        rng = random.Random(f"{self.seed}:{number}")
        node = rng.choice(self.nodes)
        while "_Train" in node and rng.random() > TRAININGS:
            node = rng.choice(self.nodes)
        inputs = self.inputs(rng, node)
        before = fingerprint(inputs)
        end, faults = self.end(node, inputs)
        if fingerprint(inputs) != before:
            faults.append("an input was changed")
        if left := self.hooks():
            faults.append(f"{left} hooks were left")
        if number % EVERY == 0 and not torch.equal(self.image(), self.picture):
            faults.append("the image model makes another picture")
        found.count(node, "faults" if faults else end)
        lines = [f"run {number}, {node}: {fault}" for fault in faults]
        found.faults += lines
        for line in lines:
            logger.warning("%s", line)

    def inputs(self, rng: random.Random, node: str) -> dict[str, Any]:
        """Random values by input; in half of the runs all of them might be right."""
        wild = rng.choice((0.0, 0.0, 0.05, 0.2))
        schema = self.host.nodes[node].define_schema()
        given = [part for part in schema.inputs if not part.optional or rng.random() < OPTIONAL]
        inputs = {part.id: self.values.draw(rng, node, part, wild) for part in given}
        return inputs if wild else self.values.fitted(rng, node, inputs)

    def end(self, node: str, inputs: dict[str, Any]) -> tuple[str, list[str]]:
        """End of a run, and what was wrong with it."""
        try:
            with torch.inference_mode():
                results = self.host.call(node, **inputs)
                bad = [kind for result in results for kind in not_finite(result)]
        except self.ours as error:
            said = str(error)
            good = said.isprintable() and 0 < len(said) <= LONGEST
            return "refused", [] if good else [f"a sentence of {len(said)} characters: {said[:200]!r}"]
        except Exception as error:
            place = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{Path(place.filename).name}:{place.lineno}"
            return "faults", [f"{type(error).__name__} at {where}: {str(error)[:200]!r}"]
        return "done", [f"a result is not finite: {kind}" for kind in bad]

    def hooks(self) -> int:
        """Hooks anywhere in the image models and the VAE."""
        return sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in self.modules)

    def image(self) -> Tensor:
        """Picture of the host's own KSampler with the image model alone."""
        model, text = self.values.plain
        settings = {
            "seed": 1,
            "steps": 2,
            "cfg": 2.0,
            "sampler_name": "euler",
            "scheduler": "normal",
            "denoise": 1.0,
        }
        latent = {"samples": torch.zeros(1, 4, SIDE, SIDE)}
        sampled = self.host.call(
            "KSampler", model=model, positive=text, negative=text, latent_image=latent, **settings
        )
        return sampled[0]["samples"]


def fingerprint(value: Any) -> str:
    """Of all numbers and names inside dictionaries and lists."""
    digest = hashlib.sha256()
    for part in _leaves(value):
        digest.update(part)
    return digest.hexdigest()


def _leaves(value: Any) -> Iterator[bytes]:
    if isinstance(value, Tensor):
        yield f"{tuple(value.shape)}{value.dtype}".encode()
        yield (
            value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes()
            if value.numel()
            else b""
        )
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield str(key).encode()
            yield from _leaves(inner)
    elif isinstance(value, list | tuple):
        yield f"[{len(value)}".encode()
        for inner in value:
            yield from _leaves(inner)
    elif isinstance(value, str | bytes | int | float | complex | None):
        yield repr(value).encode()


def not_finite(result: Any) -> list[str]:
    """Kinds of results that hold other than finite numbers; a film is played for that."""
    if hasattr(result, "get_components"):
        result = result.get_components().images
    samples = result.get("samples") if isinstance(result, Mapping) else result
    if isinstance(samples, Tensor) and not bool(torch.isfinite(samples).all()):
        return [f"shape {tuple(samples.shape)}"]
    return []


def trial(
    host: InProcessHost, runs: range, seed: int, after: Callable[[Found, int], None] = lambda *_: None
) -> Found:
    """All runs of a range; `after` is told every hundred of them what was found so far, and in how many."""
    with tiny_files(host):
        fuzz, found = Fuzz(host, seed), Found()
        for done, number in enumerate(runs, start=1):
            fuzz.run(number, found)
            if done % 100 == 0:
                after(found, done)
        if not torch.equal(fuzz.image(), fuzz.picture):
            found.faults.append("the image model makes another picture in the end")
    after(found, len(runs))
    return found


def table(found: Found) -> str:
    """Ends of the runs of each node."""
    rows = [
        [name, *(str(counts[end]) for end in ("done", "refused", "faults"))]
        for name, counts in sorted(found.ends.items())
    ]
    return markdown(("node", "a result", "refused", "faults"), rows)


def main() -> None:
    """Counts as JSON and a table, and a line for every fault."""
    parser = options(__doc__, "fuzz.json")
    parser.add_argument("--runs", type=int, default=10000)
    parser.add_argument("--first", type=int, default=0, help="number of the first run")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, help="one run alone, by its number")
    args = parser.parse_args()
    began = time.monotonic()
    single = args.only is not None
    runs = range(args.only, args.only + 1) if single else range(args.first, args.first + args.runs)

    def after(found: Found, done: int) -> None:
        """Keep what was found so far: so many runs take hours."""
        logger.warning("%d runs, %d faults, %.0f s", done, len(found.faults), time.monotonic() - began)
        ends = {name: dict(counts) for name, counts in sorted(found.ends.items())}
        if not single:
            write({**vars(args), "runs": done}, {"ends": ends, "faults": found.faults}, began)

    with tempfile.TemporaryDirectory() as folder:
        (base := Path(folder, "base")).mkdir()
        host = InProcessHost(base)
        logging.getLogger().setLevel(logging.WARNING)
        sys.modules["comfy.utils"].PROGRESS_BAR_ENABLED = False
        found = trial(host, runs, args.seed, after)
        host.close()
    print(table(found))
    print("\n".join(found.faults) or "no faults")


if __name__ == "__main__":
    main()
