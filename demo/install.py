"""`python demo install PATH` and `python demo uninstall PATH`.

The toy models and the toy world's pack in a ComfyUI that is there already, and out of it again.

Standard library only: it runs with any Python, without the environment of the demo.
"""

from __future__ import annotations

import filecmp
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

DEMO = Path(__file__).resolve().parent
MODELS = {
    "checkpoints": ("toy_sd.safetensors",),
    "temporal_layers": ("toy_temporal.safetensors", "toy_between.safetensors"),
    "temporal_decoders": ("toy_decoder.safetensors", "toy_grain_decoder.safetensors"),
    "video_upscalers": ("toy_upscaler.safetensors",),
}
PACK, PACK_FILES = "toy-world", ("__init__.py", "preview.safetensors")
COMMANDS = ("install", "uninstall")


class InstallError(ValueError):
    """The toy models cannot be put there or taken away; the message is one sentence for the user."""


def main(arguments: Sequence[str]) -> None:
    """Run one of COMMANDS for the ComfyUI at a path."""
    if len(arguments) != 2 or arguments[0] not in COMMANDS:
        sys.exit("Say install or uninstall, and the folder of ComfyUI: python demo install ../..")
    command, base = arguments[0], Path(arguments[1]).expanduser()
    try:
        changed = install(base) if command == "install" else uninstall(base)
    except InstallError as error:
        sys.exit(str(error))
    for path in changed:
        print(f"{'put there' if command == 'install' else 'removed'}: {path}")
    print(f"{len(changed)} files. Restart ComfyUI; its Templates have text_to_video under comfyui-video-ldm.")


def install(base: Path) -> list[Path]:
    """Copy what is not there yet: the files that were written.

    Raises InstallError before anything is written, for a folder that is no ComfyUI and for other files of
    these names.
    """
    pairs = list(_pairs(base))
    for source, target in pairs:
        if target.exists() and not _same(source, target):
            raise InstallError(
                f"{target} is there already and is another file. Rename or remove it, and run this again."
            )
    missing = [(source, target) for source, target in pairs if not target.exists()]
    for source, target in missing:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    return [target for _, target in missing]


def uninstall(base: Path) -> list[Path]:
    """Remove the files that are exactly those of the demo, whoever put them there: what was removed.

    Raises InstallError for a folder that is no ComfyUI.
    """
    found = [target for source, target in _pairs(base) if target.exists() and _same(source, target)]
    for target in found:
        target.unlink()
    pack = base / "custom_nodes" / PACK
    if any(target.parent == pack for target in found):
        shutil.rmtree(pack / "__pycache__", ignore_errors=True)
        if not any(pack.iterdir()):
            pack.rmdir()
    return found


def _pairs(base: Path) -> Iterator[tuple[Path, Path]]:
    """Files of the demo and their places in a ComfyUI."""
    if not (base / "custom_nodes").is_dir():
        raise InstallError(
            f"{base} holds no custom_nodes, so it is no ComfyUI. Give the folder that holds custom_nodes and "
            "models."
        )
    for folder, names in MODELS.items():
        for name in names:
            yield DEMO / "models" / name, base / "models" / folder / name
    for name in PACK_FILES:
        yield DEMO / "host_pack" / name, base / "custom_nodes" / PACK / name


def _same(source: Path, target: Path) -> bool:
    return filecmp.cmp(source, target, shallow=False)
