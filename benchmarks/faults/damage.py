"""Open damaged files of weights: thousands of them, each refused in a sentence or of use.

    python -m video_ldm.benchmarks.faults.damage --count 10000 --out benchmarks/results/damage.json
    python -m video_ldm.benchmarks.faults.damage --families --count 4000   # of video models, adapters

The files are tests/damage.py's, which the suite opens the first five hundred of; file number N is the same on
every run. Counted are sentences, weights that can be used, and what must not be: errors that are not the
pack's own, sentences nobody can read, weights that are not numbers, memory.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from ...temporal.decoder.formats import load_decoder
from ...temporal.errors import VideoLDMError
from ...temporal.formats import load_stack, motion_modules
from ...temporal.formats.motion_lora import read_motion_lora
from ...temporal.upscaler import load_upscaler, save_upscaler
from ...temporal.weights.files import read_weights
from ...tests import damage
from ...tests.memory import MB, Peak
from ...tests.temporal.upscaler.tiny import random_upscaler
from . import damage_families

LONGEST = 1200  # letters of a sentence
LOUD = 300  # letters of a foreign error that the results keep
Opened = Callable[[Path], Mapping[str, Tensor]]


def main() -> None:
    """Open all files, or every n-th of them, and write the counts."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=10000, help="files (%(default)s)")
    parser.add_argument(
        "--part", default="1/1", help="this share of them, such as 2/2, for several processes"
    )
    parser.add_argument(
        "--families", action="store_true", help="good files of video models, SparseCtrl and SDXL adapters"
    )
    parser.add_argument("--out", help="JSON of the counts")
    args = parser.parse_args()
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    part, parts = map(int, args.part.split("/"))
    with tempfile.TemporaryDirectory() as folder:
        numbers = range(part - 1, args.count, parts)
        counts = (run_families if args.families else run)(Path(folder), numbers)
    text = json.dumps(counts, indent=1)
    print(text)
    if args.out:
        Path(args.out).write_text(text + "\n", "utf-8")


def run(folder: Path, numbers: range) -> dict[str, object]:
    """Counts of the damaged files of these numbers."""
    motion_modules.BASES = {**motion_modules.BASES, **damage.BASES}
    good = {**damage.Good.made(folder).files, "upscaler": upscaler(folder)}
    kinds = {**damage.KINDS, "upscaler": (*damage.OURS, *damage.HEADERS, damage.cut, damage.flipped)}
    return counts(folder, numbers, good, loaders(folder, good), kinds)


def run_families(folder: Path, numbers: range) -> dict[str, object]:
    """Counts of damaged video models, SparseCtrl and adapters, each damaged in every way of its container."""
    with damage_families.narrowed():
        made = damage_families.made(folder)
        good, opened = ({name: pair[i] for name, pair in made.items()} for i in (0, 1))
        check_good(folder, good, opened)
        kinds = dict.fromkeys(good, (*damage.ANY, *damage.HEADERS))
        return counts(folder, numbers, good, opened, kinds)


def counts(
    folder: Path,
    numbers: range,
    good: Mapping[str, bytes],
    opened: Mapping[str, Opened],
    kinds: Mapping[str, Sequence[damage.Damage]],
) -> dict[str, object]:
    """Ends of the files of these numbers: each one kind of damage to one good file, all of them in turn."""
    jobs = [(name, kind) for name, several in kinds.items() for kind in several]
    ends, foreign = Counter[str](), []
    slowest, peak, path = 0.0, Peak(), folder / "bad.bin"
    for number in numbers:
        name, kind = jobs[number % len(jobs)]
        path.unlink(missing_ok=True)  # a file that is open may be mapped
        path.write_bytes(kind(good[name], random.Random(number)))
        begin = time.process_time()
        end = one(path, opened[name])
        slowest = max(slowest, time.process_time() - begin)
        ends[end.partition(":")[0]] += 1
        if end not in ("refused", "used"):
            foreign.append(f"{number} {kind.__name__} of {name}: {end}"[:LOUD])
    return {
        "files": sum(ends.values()),
        "kinds of damage": len(jobs),
        "good files": len(good),
        "ends": dict(ends),
        "not as it should be": foreign,
        "slowest, CPU seconds": round(slowest, 2),
        "memory above the start, MB": round(peak.bytes() / MB),
        "torch": torch.__version__,
        "cores": os.cpu_count(),
    }


def one(path: Path, opened: Opened) -> str:
    """End of a file: refused, used, or what is wrong with how it ended."""
    try:
        weights = opened(path)
    except VideoLDMError as error:
        sentence = str(error)
        if not sentence.isprintable() or len(sentence) > LONGEST or sentence[-1] not in ".)":
            return f"unreadable: {sentence!a}"
        return "refused"
    except (ArithmeticError, AssertionError, AttributeError, EOFError, LookupError, MemoryError) as error:
        return f"foreign: {error!r}"
    except (NotImplementedError, OSError, RuntimeError, TypeError, ValueError) as error:
        return f"foreign: {error!r}"
    if not all(bool(torch.isfinite(weight.float()).all()) for weight in weights.values()):
        return "not finite:"
    return "used"


def loaders(folder: Path, good: Mapping[str, bytes]) -> dict[str, Opened]:
    """Loaders of the good files by name; each gives weights."""
    (folder / "stack").write_bytes(good["motion"])
    stack = load_stack(folder / "stack")
    opened: dict[str, Opened] = dict.fromkeys(good, lambda path: load_stack(path).state_dict())
    opened["decoder"] = lambda path: load_decoder(path).state_dict()
    opened["upscaler"] = lambda path: load_upscaler(path).state_dict()
    opened["lora"] = lambda path: read_motion_lora(read_weights(path), stack).factors
    check_good(folder, good, opened)
    return opened


def check_good(folder: Path, good: Mapping[str, bytes], opened: Mapping[str, Opened]) -> None:
    """Fail where a good file is not good."""
    for name, content in good.items():
        (folder / "good.bin").unlink(missing_ok=True)
        (folder / "good.bin").write_bytes(content)
        if one(folder / "good.bin", opened[name]) != "used":
            raise RuntimeError(f"The good file {name} is not good.")


def upscaler(folder: Path) -> bytes:
    """A good file of a video upscaler."""
    save_upscaler(folder / "upscaler", random_upscaler())
    return (folder / "upscaler").read_bytes()


if __name__ == "__main__":
    main()
