"""Share of a picture that text covers: RapidOCR's detector, as the union of its boxes.

Shapes: a frame (h w 3) uint8, RGB.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import MissingLibraryError
from ..libraries import opencv

LONG_SIDE = 736  # pixels that the detector sees of the longer side; small subtitles are lost below


class TextDetector:
    """RapidOCR's detection alone, on one thread. Raises MissingLibraryError when it is not installed."""

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
        cv2 = opencv()

        found = self.engine(
            np.ascontiguousarray(frame[..., ::-1]), use_det=True, use_cls=False, use_rec=False
        )
        boxes = getattr(found, "boxes", None)
        if boxes is None or len(boxes) == 0:
            return 0.0
        mask = np.zeros(frame.shape[:2], np.uint8)
        height, width = frame.shape[:2]
        for box in boxes:
            if (np.ptp(box, axis=0) >= (width - 1, height - 1)).all():
                continue  # the whole picture from corner to corner is how the detector finds no line of text
            cv2.fillPoly(mask, [np.asarray(box).round().astype(np.int32)], 1)
        return float(mask.mean())
