"""A VIDEO that is decoded when it is saved, so that the host's Save Video streams it too."""

from __future__ import annotations

import io as streams
import tempfile
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import IO, Any

import folder_paths
import torch
from comfy_api.latest import Input, Types

from ....temporal.errors import InvalidInputError
from ....temporal.video import Film, Sound
from .frame_stream import FrameStream
from .writing import write

MP4 = ("auto", "mp4")
H264 = ("auto", "h264")


class LazyVideo(Input.Video):
    """A clip as the host's VIDEO; frames are made anew for whoever asks for them."""

    def __init__(self, clip: FrameStream, audio: Mapping[str, Any] | None = None):
        self.clip, self.audio = clip, audio

    def get_components(self) -> Types.VideoComponents:
        """All frames at once, for nodes that want them so."""
        with torch.inference_mode():
            images = torch.cat(list(self.clip.stream()))
        return Types.VideoComponents(images=images, audio=self.audio, frame_rate=self.get_frame_rate())

    def save_to(
        self,
        path: str | Path | IO[bytes],
        format: str = "auto",
        codec: str = "auto",
        metadata: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Write an mp4, frame by frame, to a path or an open file. Raises InvalidInputError for another format."""
        if (
            str(getattr(format, "value", format)) not in MP4
            or str(getattr(codec, "value", codec)) not in H264
        ):
            raise InvalidInputError(
                f"Video From Latents is saved as mp4 with H.264, not as {format} with {codec}. Choose auto, or use Render "
                "Video, which writes other formats."
            )
        if isinstance(path, str | Path):
            self._write(Path(path), metadata)
            return
        temporary = Path(folder_paths.get_temp_directory())  # the host empties it when it starts
        temporary.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="video_ldm_", dir=temporary) as folder:
            file = Path(folder) / "film.mp4"
            self._write(file, metadata)
            path.write(file.read_bytes())

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
        """What it is saved as."""
        return "mp4"

    def _write(self, path: Path, metadata: Mapping[str, Any] | None) -> None:
        clip = self.clip
        sound = None if self.audio is None else Sound.of(self.audio, clip.num_frames / clip.fps)
        with torch.inference_mode():
            write(clip, {path: Film("mp4 (H.264)", clip.fps, notes=metadata or {}, sound=sound)})
