"""Films on disk: streaming encoders for video files, animated pictures and sequences of pictures."""

from .formats import FORMATS, Format, check_film, format_named
from .writer import Film, FilmWriter, Sound

__all__ = ["FORMATS", "Film", "FilmWriter", "Format", "Sound", "check_film", "format_named"]
