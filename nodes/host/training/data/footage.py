"""The folder of a Video Dataset."""

from __future__ import annotations

from pathlib import Path

import folder_paths

from .....temporal.errors import InvalidInputError
from .....temporal.training.data.camera import MOVES
from .clips import Footage

SHOWN = 200  # letters of a path that a message shows


def footage_in(
    folder: str, size: tuple[int, int], fps: float, trigger: str, camera: str
) -> tuple[Footage, str]:
    """A folder of clips, or of pictures for a move of the camera, and a line on its content.

    Raises InvalidInputError where there are no clips, or clips without captions and no trigger.
    """
    trigger = trigger or (MOVES[camera].words if camera else "")
    footage = Footage(place_of(folder), fps, size, trigger, camera)
    found = footage.clips(needs_captions=True, pictures=False)
    captions = sum(video.caption not in ("", trigger) for video in found)
    kind = "pictures" if camera else "clips"
    words = f"; trigger: {trigger}" if trigger else ""
    return footage, f"{len(found)} {kind} in {footage.folder.name}, {captions} with captions{words}"


def place_of(folder: str) -> Path:
    """A folder by its path, or by its name in the host's input folder."""
    if not folder.strip():
        raise InvalidInputError("No folder of clips is given; write its path into folder.")
    try:
        place = Path(folder_paths.get_input_directory()) / Path(folder.strip()).expanduser()
        found = place.is_dir()
    except (OSError, RuntimeError, ValueError):  # a name that no disk can have, a user who is not there
        found = False
    if not found or place == place.parent:
        raise InvalidInputError(
            f"There is no folder {folder[:SHOWN]!r} with clips; give its full path, or its name in ComfyUI's "
            "input folder."
        )
    return place


def looks_of(folder: str) -> str:
    """Fingerprint of a folder: names, sizes and times of its files."""
    try:
        files = sorted(path for path in place_of(folder).rglob("*") if "video_ldm_cache" not in path.parts)
        facts = [
            (str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in files if path.is_file()
        ]
    except (InvalidInputError, OSError):
        return ""
    return str(hash(tuple(facts)))
