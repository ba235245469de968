"""A VIDEO that is decoded when it is saved, so that the host's Save Video streams it too."""

from __future__ import annotations

import io as streams
import math
import tempfile
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import IO, Any, cast

import folder_paths
import torch
from comfy_api.latest import Input, Types

from ....temporal.errors import InvalidInputError
from ....temporal.video import Film, Sound
from .frame_stream import FrameStream, part_of
from .writing import write_films

MP4 = ("auto", "mp4")
H264 = ("auto", "h264")
DEPTHS = {None: "mp4 (H.264)", 8: "mp4 (H.264)", 10: "mp4 (H.265 10 bit)"}  # our format of a host's bit depth
CLOSE = 1e-3  # of a frame: times come as rounded decimals


class LazyVideo(Input.Video):
    """A clip as the host's VIDEO; frames are made anew for whoever asks for them."""

    def __init__(self, clip: FrameStream, audio: Mapping[str, Any] | None = None):
        self.clip, self.audio = clip, audio

    def get_components(self) -> Types.VideoComponents:
        """All frames at once, for nodes that want them so."""
        with torch.inference_mode():
            images = torch.cat(list(self.clip.stream()))
        return Types.VideoComponents(
            images=images, audio=cast(Any, self.audio), frame_rate=self.get_frame_rate()
        )

    def save_to(
        self,
        path: str | Path | IO[bytes],
        format: str = "auto",
        codec: str = "auto",
        metadata: Mapping[str, Any] | None = None,
        bit_depth: int | None = None,
        **wishes: Any,
    ) -> None:
        """Write an mp4, frame by frame, to a path or an open file.

        H.264, or H.265 where 10 bits are asked for.

        Raises InvalidInputError for another format, and for wishes of newer hosts that cannot be met.
        """
        chosen = str(getattr(format, "value", format)), str(getattr(codec, "value", codec))
        if chosen[0] not in MP4 or chosen[1] not in H264:
            raise InvalidInputError(
                f"Video From Latents is saved as mp4 with H.264, not as {chosen[0]} with {chosen[1]}. "
                "Choose auto, or use Render Video, which writes other formats."
            )
        asked = {name: wish for name, wish in {"bit_depth": bit_depth, **wishes}.items() if wish is not None}
        if (
            bit_depth not in DEPTHS
            or (bit_depth == 10 and chosen[1] != "auto")
            or asked.keys() - {"bit_depth"}
        ):
            raise InvalidInputError(
                "Video From Latents is saved with 8 bits, or with 10 bits as H.265 where the codec is "
                f"auto; this was asked for: {', '.join(f'{name} {wish}' for name, wish in asked.items())}. "
                "Ask for one of those two, or use Render Video, which writes other formats."
            )
        if isinstance(path, str | Path):
            self._write(Path(path), DEPTHS[bit_depth], metadata)
            return
        temporary = Path(folder_paths.get_temp_directory())  # the host empties it when it starts
        temporary.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="video_ldm_", dir=temporary) as folder:
            file = Path(folder) / "film.mp4"
            self._write(file, DEPTHS[bit_depth], metadata)
            path.write(file.read_bytes())

    def as_trimmed(
        self,
        start_time: float | None = None,
        duration: float | None = None,
        strict_duration: bool = False,
    ) -> LazyVideo | None:
        """The frames shown first from `start_time` on, for `duration` seconds, as lazy as the whole.

        A negative start counts from the end, no duration or 0 goes on to it. None where no frame is left, or,
        when strict, where the film is shorter than asked.
        """
        rate, total = self.get_frame_rate(), self.clip.num_frames
        start = start_time or 0.0
        start = max(start + self.get_duration(), 0.0) if start < 0 else start
        first = math.ceil(start * rate - CLOSE)
        wanted = math.ceil((start + duration) * rate - CLOSE) if duration else total
        stop = min(wanted, total)
        if first >= stop or (strict_duration and wanted > total):
            return None
        return LazyVideo(part_of(self.clip, first, stop), _heard(self.audio, first / rate, stop / rate))

    def get_active_trim_window(self) -> tuple[float, float]:
        """No start and no length: what `get_stream_source` gives is trimmed already."""
        return 0.0, 0.0

    def get_bit_depth(self) -> int:
        """Bits a channel of what is saved when nothing is asked for."""
        return 8

    def get_stream_source(self) -> streams.BytesIO:
        """The film as an mp4 in memory."""
        buffer = streams.BytesIO()
        self.save_to(buffer)
        buffer.seek(0)
        return buffer

    def get_dimensions(self) -> tuple[int, int]:
        """Width and height."""
        return self.clip.width, self.clip.height

    def get_duration(self) -> float:
        """Length in seconds."""
        return float(self.clip.num_frames / self.get_frame_rate())

    def get_frame_count(self) -> int:
        """Number of frames."""
        return self.clip.num_frames

    def get_frame_rate(self) -> Fraction:
        """Frames per second."""
        return Film("", self.clip.fps).frame_rate

    def get_container_format(self) -> str:
        """Container in which it is saved."""
        return "mp4"

    def _write(self, path: Path, format: str, metadata: Mapping[str, Any] | None) -> None:
        clip = self.clip
        sound = None if self.audio is None else Sound.of(self.audio, clip.num_frames / clip.fps)
        with torch.inference_mode():
            write_films(clip, {path: Film(format, clip.fps, notes=metadata or {}, sound=sound)})


def _heard(audio: Mapping[str, Any] | None, start: Fraction, stop: Fraction) -> dict[str, Any] | None:
    """The host's AUDIO between two seconds; None where it has ended before."""
    if audio is None:
        return None
    per_second = int(audio["sample_rate"])
    waveform = audio["waveform"][..., round(start * per_second) : round(stop * per_second)]
    return {**audio, "waveform": waveform} if waveform.shape[-1] else None
