"""The folder of a Video Dataset."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import folder_paths

from .....temporal.errors import InvalidInputError
from .....temporal.training.data.camera import MOVES
from .encoding import Footage
from .lost import captions_without_clips

ALLOWED = "video_ldm_datasets"  # name in extra_model_paths.yaml of folders outside the input folder
SHOWN = 200  # letters of a path that a message shows


def footage_in(
    folder: str, size: tuple[int, int], fps: float, trigger: str, camera: str
) -> tuple[Footage, str]:
    """A folder of clips, or of pictures for a move of the camera, and a line on its content.

    Raises InvalidInputError where there are no clips, or clips without captions and no trigger.
    """
    trigger = trigger or (MOVES[camera].words if camera else "")
    place = place_of(folder)
    footage = Footage(place, fps, size, trigger, camera, latents_of(place))
    found = footage.clips(needs_captions=True, pictures=False)
    captions = sum(video.caption not in ("", trigger) for video in found)
    kind = "pictures" if camera else "clips"
    words = f"; trigger: {trigger}" if trigger else ""
    lost = captions_without_clips(place)
    words += f"; {lost}" if lost else ""
    return footage, f"{len(found)} {kind} in {footage.folder.name}, {captions} with captions{words}"


def place_of(folder: str) -> Path:
    """A folder by its name in the host's input folder, or by its path below one that the owner allows.

    Raises InvalidInputError for any other: a graph from elsewhere is run unread.
    """
    if not folder.strip():
        raise InvalidInputError("No folder of clips is given; write its name into folder.")
    allowed, _ = folder_paths.folder_names_and_paths.get(ALLOWED, ([], None))
    inside = (folder_paths.get_input_directory(), folder_paths.get_output_directory(), *allowed)
    try:
        place = Path(os.path.abspath(Path(inside[0]) / folder.strip()))  # noqa: PTH100
        lies_inside = any(place.is_relative_to(os.path.abspath(root)) for root in inside)  # noqa: PTH100
        found = lies_inside and place.is_dir()
    except (OSError, ValueError):  # a name that no disk can have
        lies_inside, found = True, False
    if not lies_inside:
        raise InvalidInputError(
            f"The folder {folder[:SHOWN]!r} lies outside ComfyUI's input folder. Put the clips there; for a "
            f"folder elsewhere, the owner of this ComfyUI adds it to extra_model_paths.yaml under the name "
            f"{ALLOWED}."
        )
    if not found:
        raise InvalidInputError(
            f"There is no folder {folder[:SHOWN]!r} with clips; give its name in ComfyUI's input folder."
        )
    return place


def latents_of(place: Path) -> Path:
    """Folder for the latents of a data set, inside the host's output folder."""
    name = f"{place.name}-{hashlib.sha1(str(place).encode()).hexdigest()[:8]}"
    return Path(folder_paths.get_output_directory()) / "video_ldm_training" / name


def looks_of(folder: str) -> str:
    """Fingerprint of a folder: names, sizes and times of its files."""
    try:
        files = sorted(place_of(folder).rglob("*"))
        facts = [
            (str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in files if path.is_file()
        ]
    except (InvalidInputError, OSError):
        return ""
    return str(hash(tuple(facts)))
