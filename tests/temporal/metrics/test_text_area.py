"""Text in pictures: drawn words are found, and their boxes are not counted twice."""

import sys
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from video_ldm.temporal.errors import MissingLibraryError
from video_ldm.temporal.metrics.text_area import TextDetector


@pytest.mark.slow
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


def test_what_is_no_line_counts_where_letters_are_read():
    """The detector gives boxes for discs and for pictures of blobs."""
    whole = np.array([[0, 0], [79, 0], [79, 59], [0, 59]], np.float32)
    line = np.array([[0, 10], [79, 10], [79, 19], [0, 19]], np.float32)
    disc = np.array([[20, 30], [40, 30], [40, 50], [20, 50]], np.float32)
    detector, asked = TextDetector.__new__(TextDetector), []

    def area(boxes, texts) -> float:
        def engine(_, use_rec: bool, **__):
            asked.append(use_rec)
            kept = [(b, t) for b, t in zip(boxes, texts, strict=True) if t or not use_rec]
            found, said = zip(*kept, strict=True) if kept else (None, None)
            return SimpleNamespace(boxes=found, txts=said if use_rec else None)

        asked.clear()
        detector.engine = engine
        return detector.area(np.zeros((60, 80, 3), np.uint8)) * 60 * 80

    assert area([], []) == 0 and area([line], ["two words"]) == 800 and asked == [False]
    assert area([whole], [""]) == 0 and area([whole, line], ["", "NEWS"]) == 800 and asked == [False, True]
    assert area([disc, line], ["O", "NEWS"]) == 800 and area([disc], ["OK"]) == 21 * 21
    assert area([line[:, ::-1]], ["a column"]) > 0 and asked == [False]


@pytest.mark.slow
def test_a_disc_is_no_text():
    frame = np.full((160, 320, 3), 90, np.uint8)
    cv2.circle(frame, (176, 88), 44, (222, 34, 34), -1, cv2.LINE_AA)
    assert TextDetector().area(frame) == 0
