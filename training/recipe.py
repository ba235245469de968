"""Recipes: the options of a training as a TOML file, under their own names or those of the nodes' inputs."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..temporal.errors import InvalidInputError
from ..temporal.weights.whole_file import cannot_write, check_writable, whole_file

try:
    import tomllib
except ImportError:  # Python 3.10
    import tomli as tomllib  # pyright: ignore[reportMissingImports]

NODE_INPUTS = {  # names of the nodes' inputs that options have another name for
    "learning_rate": "lr",
    "num_frames": "frames",
    "batch_size": "batch",
    "known_frames": "patterns",
    "patch_size": "side",
    "image_learning_rate": "image_lr",
}
NOT_KEPT = ("recipe", "resume", "help")  # of one start of a run, not of the run
SUFFIX = ".safetensors"


def parsed(parser: argparse.ArgumentParser, words: list[str]) -> argparse.Namespace:
    """Options of a command line, which count over those of its `--recipe`, with its prompts read.

    An `--out` that is no file of weights is a folder for the run. Raises InvalidInputError for a recipe or
    prompts that cannot be read.
    """
    parser.add_argument(
        "--recipe",
        metavar="FILE",
        help="TOML file of options, named as here or as the nodes' inputs; what is given here counts more",
    )
    asked = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    asked.add_argument("--recipe")
    file = asked.parse_known_args(words)[0].recipe
    before = list(_words(parser, _read(Path(file)), file)) if file else []
    args = parser.parse_args([*before, *words])
    out = Path(args.out)
    if out.suffix != SUFFIX:
        args.out = str(out / f"{out.name}{SUFFIX}")
    args.as_recipe = _recipe(parser, args)
    if getattr(args, "prompts", None):
        args.prompt = [*args.prompt, *_prompts(Path(args.prompts))]
    return args


def begin(out: Path, args: argparse.Namespace) -> None:
    """Make the folder of a run, and leave its recipe there. Raises OutputError."""
    try:
        if out.parent.name == out.stem:
            out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(out, error) from None
    check_writable(out)
    text = getattr(args, "as_recipe", "")
    if text:
        with whole_file(out.with_suffix(".recipe.toml")) as partial:
            partial.write_text(text, "utf-8")


def _recipe(parser: argparse.ArgumentParser, args: argparse.Namespace) -> str:
    """The options that are not left at their defaults, for `--recipe`."""
    lines = []
    for action in _options(parser).values():
        value = getattr(args, action.dest, None)
        if action.dest in NOT_KEPT or value is None or value == action.default:
            continue
        lines.append(f"{_name(action)} = {_toml(value)}")
    return "".join(f"{line}\n" for line in lines)


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InvalidInputError(
            f"The recipe {path} cannot be read ({reason}); give a TOML file such as a run leaves beside its "
            "file."
        ) from None


def _words(parser: argparse.ArgumentParser, recipe: dict[str, Any], file: str) -> Iterator[str]:
    """A recipe as the words of a command line."""
    options = _options(parser)
    for key, value in recipe.items():
        name = key.replace("-", "_")
        action = options.get(NODE_INPUTS.get(name, name))
        if action is None or action.dest in NOT_KEPT:
            raise InvalidInputError(
                f"The recipe {file} names {key!r}, which is no option of this training; --help lists them."
            )
        option = action.option_strings[0]
        if action.nargs == 0:
            if value is True:
                yield option
        elif isinstance(action.default, list):  # an option that can be repeated
            yield from (f"{option}={part}" for part in (value if isinstance(value, list) else [value]))
        else:
            yield f"{option}={_text(value)}"


def _options(parser: argparse.ArgumentParser) -> dict[str, argparse.Action]:
    """Options by name, with lower dashes."""
    return {_name(action): action for action in parser._actions if action.option_strings}


def _name(action: argparse.Action) -> str:
    return action.option_strings[-1].lstrip("-").replace("-", "_")


def _text(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def _toml(value: Any) -> str:
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml, value))}]"
    return json.dumps(value, ensure_ascii=False)


def _prompts(path: Path) -> list[str]:
    """Lines of a file of prompts that are not empty and do not begin with #."""
    try:
        lines = [line.strip() for line in path.read_text("utf-8").splitlines()]
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InvalidInputError(
            f"The prompts {path} cannot be read ({reason}); give a text file with a prompt in each line."
        ) from None
    prompts = [line for line in lines if line and not line.startswith("#")]
    if not prompts:
        raise InvalidInputError(f"The file {path} holds no prompts; write one into each line.")
    return prompts
