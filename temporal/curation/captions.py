"""Captions of clips.

They lie beside the films, or a program prints them, or a local server answers with them.

Three captions a clip, as in Stable Video Diffusion (appendix C): of its middle frame, of the clip, and both
summed up by a language model; training draws them with 50, 25 and 25 %.
"""

from __future__ import annotations

import base64
import io
import json
import shlex
import subprocess
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import InvalidInputError
from ..video.reading import fitted, frame_at, probe
from .table import Caption, ClipRow

SIDE = 512  # pixels of the shorter side of the pictures that are shown
CLIP_FRAMES = 4  # of a clip, for a server that reads several pictures
WEIGHTS = {"middle": 0.5, "clip": 0.25, "summary": 0.25}
MIDDLE = "Describe this picture in one sentence."
CLIP = (
    "These are frames of one short clip, in order. Describe in one sentence what moves and how the "
    "camera moves."
)
SUMMARY = 'A picture of a clip was described as "{}" and its motion as "{}". Say both in one sentence.'
PATIENCE = 300  # seconds for one caption

CaptionSource = Callable[[Path, ClipRow], tuple[Caption, ...]]


def _words(command: str) -> list[str]:
    try:
        words = shlex.split(command)
    except ValueError:  # a quote without its end
        words = []
    if not words:
        raise InvalidInputError(
            f"--caption-command is {command!r}, which is no command; write a program and its options."
        )
    return words


def of_command(command: str, root: Path, row: ClipRow) -> tuple[Caption, ...]:
    """Run a program for a clip and keep what it prints.

    {picture} in its command line is a file with the middle frame.

    Raises:
        InvalidInputError: the command cannot be run, fails or prints nothing.
    """
    with tempfile.TemporaryDirectory(prefix="video_ldm_") as folder:
        picture = Path(folder) / "middle.jpg"
        picture.write_bytes(_as_jpeg(_frames(root, row, 1)[0]))
        words = [word.replace("{picture}", str(picture)) for word in _words(command)]
        try:
            said = subprocess.run(
                words, capture_output=True, encoding="utf-8", errors="replace", timeout=PATIENCE
            )
        except (OSError, ValueError, subprocess.TimeoutExpired) as error:
            raise InvalidInputError(f"The caption command {words[0]!r} could not be run: {error}.") from None
    text = said.stdout.strip()
    if said.returncode or not text:
        reason = (said.stderr.strip().splitlines() or ["it printed nothing"])[-1]
        raise InvalidInputError(f"The caption command {words[0]!r} failed for {row.file}: {reason}.")
    return (Caption(text, "command"),)


@dataclass(frozen=True)
class Server:
    """A local server that speaks OpenAI's chat API, and the model it is asked for."""

    address: str
    model: str

    def captions(self, root: Path, row: ClipRow) -> tuple[Caption, ...]:
        """Captions of the middle frame and of the clip, and their summary.

        Raises:
            InvalidInputError: the server does not answer, or not as the API says.
        """
        frames = _frames(root, row, CLIP_FRAMES)
        middle = self._ask(MIDDLE, [frames[len(frames) // 2]])
        clip = self._ask(CLIP, frames)
        texts = {"middle": middle, "clip": clip, "summary": self._ask(SUMMARY.format(middle, clip), [])}
        return tuple(Caption(text, f"{self.model}, {part}", WEIGHTS[part]) for part, text in texts.items())

    def _ask(self, question: str, pictures: Sequence[np.ndarray]) -> str:
        content: list[dict] = [{"type": "text", "text": question}]
        for picture in pictures:
            data = base64.b64encode(_as_jpeg(picture)).decode()
            content.append({"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{data}"}})
        body = {"model": self.model, "messages": [{"role": "user", "content": content}], "temperature": 0}
        request = urllib.request.Request(
            f"{self.address.rstrip('/')}/chat/completions",
            json.dumps(body).encode(),
            {"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
                text = json.load(answer)["choices"][0]["message"]["content"].strip()
        except (
            urllib.error.URLError,
            TimeoutError,
            ValueError,
            LookupError,
            TypeError,
            AttributeError,
        ) as error:
            raise InvalidInputError(
                f"The caption server {self.address} did not answer as OpenAI's chat API does ({error}); "
                "check its address, which ends in /v1, and the model."
            ) from None
        return text


def _frames(root: Path, row: ClipRow, count: int) -> list[np.ndarray]:
    """Frames of a clip at equal distances, its middle for one."""
    film = probe(root / row.file)
    moments = [row.start + row.seconds * (n + 0.5) / count for n in range(count)]
    return [frame_at(film, moment, fitted(film, SIDE)) for moment in moments]


def _as_jpeg(frame: np.ndarray) -> bytes:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(frame).save(file, "JPEG", quality=90)
    return file.getvalue()
