"""Share of a picture that text covers: RapidOCR's detector, as the union of its boxes.

Shapes: a frame (h w 3) uint8, RGB.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import MissingLibraryError
from ..libraries import opencv

LINE = 2.5  # length of a line of text, in heights, from which on it need not be read
LETTERS = 2  # of what is shorter
LONG_SIDE = 736  # pixels that the detector sees of the longer side; small subtitles are lost below


class TextDetector:
    """RapidOCR's detection on one thread, and its reading where a box is no line.

    Raises MissingLibraryError when it is not installed.
    """

    def __init__(self) -> None:
        try:
            from rapidocr import RapidOCR  # pyright: ignore[reportMissingImports] optional
        except ImportError:
            raise MissingLibraryError(
                "Finding text needs RapidOCR, which is not installed; run pip install rapidocr "
                "onnxruntime, or leave text out (--skip text)."
            ) from None
        settings = {
            "Global.log_level": "error",
            "Det.limit_type": "max",
            "Det.limit_side_len": LONG_SIDE,
            "EngineConfig.onnxruntime.intra_op_num_threads": 1,
        }
        self.engine: Any = RapidOCR(params=settings)

    def area(self, frame: np.ndarray) -> float:
        """Share of a frame, 0..1, that boxes of text cover."""
        mask = np.zeros(frame.shape[:2], np.uint8)
        for box in self._boxes(np.ascontiguousarray(frame[..., ::-1])):
            opencv().fillPoly(mask, [np.asarray(box).round().astype(np.int32)], 1)
        return float(mask.mean())

    def _boxes(self, picture: np.ndarray) -> Sequence[np.ndarray]:
        """Boxes of lines of text. What is no line is read: a disc is one letter, and blobs are none."""
        found = self.engine(picture, use_det=True, use_cls=False, use_rec=False)
        if found.boxes is None or all(map(_is_line, found.boxes)):
            return () if found.boxes is None else found.boxes
        read = self.engine(picture, use_det=True, use_cls=False, use_rec=True)
        if read.boxes is None:
            return ()
        return [
            box
            for box, said in zip(read.boxes, read.txts, strict=True)
            if _is_line(box) or len(said.strip()) >= LETTERS
        ]


def _is_line(box: np.ndarray) -> bool:
    """True if a box is long and narrow, upright or not."""
    narrow, long = sorted(np.ptp(box, axis=0))
    return long >= LINE * narrow
