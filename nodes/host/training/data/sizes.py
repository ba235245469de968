"""Sizes of films and pictures as they are shown."""

from __future__ import annotations

import json
from pathlib import Path

from .....temporal.curation.folder import PICTURES
from .....temporal.errors import InvalidInputError
from .....temporal.training.data.buckets.sizes import Size
from .....temporal.video.reading import probe
from .....temporal.weights.whole_file import whole_file
from .encoding import NO_FILE, Footage

SIZES = "sizes.json"
ORIENTATION, FIRST_THAT_LIES = 0x0112, 5  # of EXIF: from here on, width and height are the other way round


class KnownSizes:
    """Sizes of films and pictures as they are shown, kept so that each is looked at once."""

    def __init__(self, footage: Footage) -> None:
        self.footage, self.path = footage, footage.place / SIZES
        try:
            kept = json.loads(self.path.read_text("utf-8"))
            self.sizes = {str(name): (int(size[0]), int(size[1])) for name, size in kept.items()}
        except (OSError, ValueError, AttributeError, LookupError, TypeError):
            self.sizes: dict[str, Size] = {}

    def __call__(self, path: Path) -> Size:
        """Width and height. Raises InvalidInputError for a file that is not there or no film."""
        if not path.is_file():
            raise InvalidInputError(NO_FILE)
        name = self._name(path)
        if name not in self.sizes:
            if path.suffix.lower() in PICTURES:
                self.sizes[name] = _picture_size(path)
            else:
                film = probe(path)
                self.sizes[name] = film.width, film.height
        return self.sizes[name]

    def keep(self) -> None:
        """Write down what was looked at."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(self.path) as partial:
            partial.write_text(json.dumps(self.sizes), "utf-8")

    def _name(self, path: Path) -> str:
        facts = path.stat()
        name = path.relative_to(self.footage.folder).as_posix()
        return f"{name} {facts.st_mtime_ns} {facts.st_size}"


def _picture_size(path: Path) -> Size:
    """Width and height of a picture, turned as its camera was held.

    Raises InvalidInputError when it cannot be read.
    """
    from PIL import Image

    try:
        with Image.open(path) as image:
            lies = image.getexif().get(ORIENTATION, 1) >= FIRST_THAT_LIES
            return image.size[::-1] if lies else image.size
    except (OSError, ValueError, SyntaxError, TypeError, Image.DecompressionBombError):
        raise InvalidInputError(f"{path} cannot be read as a picture; remove or replace it.") from None
