"""Text in pictures: drawn words are found, and their boxes are not counted twice."""

import sys
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from video_ldm.temporal.errors import MissingLibraryError
from video_ldm.temporal.metrics.text_area import TextDetector


def test_drawn_words_cover_about_their_box():
    detector = TextDetector()
    frame = np.full((360, 640, 3), 90, np.uint8)
    assert detector.area(frame) == 0
    cv2.putText(frame, "HELLO WORLD", (60, 200), cv2.FONT_HERSHEY_SIMPLEX, 2, (255, 255, 255), 4)
    ys, xs = np.where((frame == 255).all(axis=-1))
    box = np.ptp(ys) * np.ptp(xs) / (360 * 640)
    assert box < detector.area(frame) < 2.5 * box


def test_a_missing_library_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "rapidocr", None)
    with pytest.raises(MissingLibraryError, match="pip install rapidocr onnxruntime"):
        TextDetector()


def test_a_box_of_the_whole_picture_is_no_text():
    """The detector gives one for pictures of blobs."""
    whole = np.array([[0, 0], [79, 0], [79, 59], [0, 59]], np.float32)
    line = np.array([[0, 10], [79, 10], [79, 19], [0, 19]], np.float32)
    detector = TextDetector.__new__(TextDetector)
    for boxes, area in (([whole], 0.0), ([whole, line], 10 / 60)):
        detector.engine = lambda *_, boxes=boxes, **__: SimpleNamespace(boxes=boxes)
        assert detector.area(np.zeros((60, 80, 3), np.uint8)) == pytest.approx(area)
