"""Optional libraries that several parts use, with the sentence that misses them."""

from __future__ import annotations

from typing import Any

from .errors import MissingLibraryError


def opencv() -> Any:
    """OpenCV's module. Raises MissingLibraryError when it is not installed."""
    try:
        import cv2
    except ImportError:
        raise MissingLibraryError(
            "Measuring motion needs OpenCV, which is not installed; run pip install opencv-python-headless."
        ) from None
    return cv2
