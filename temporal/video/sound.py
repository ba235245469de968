"""The sound of a film, as the host's AUDIO brings it.

Shapes: waveform (channels samples) float -1..1.
"""

from __future__ import annotations

import wave
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from einops import rearrange
from torch import Tensor

from ..errors import InvalidInputError


@dataclass(frozen=True)
class Sound:
    """A waveform and its samples per second."""

    waveform: Tensor
    sample_rate: int

    @classmethod
    def of(cls, audio: Mapping[str, Any], seconds: float) -> Sound:
        """The host's AUDIO (1 channels samples), cut to the length of the film.

        Raises InvalidInputError for an empty or strangely shaped one.
        """
        waveform = audio["waveform"]
        if waveform.ndim != 3 or 0 in waveform.shape:
            raise InvalidInputError(
                f"The audio has the shape {tuple(waveform.shape)}; (1, channels, samples) was expected. "
                "Load it with Load Audio."
            )
        rate = int(audio["sample_rate"])
        return cls(waveform[0, :, : round(seconds * rate)].float().cpu(), rate)

    @property
    def channels(self) -> int:
        """Number of waves side by side."""
        return self.waveform.shape[0]

    def arguments(self, path: Path) -> list[str]:
        """ffmpeg's input options for the waveform, which is written to `path`."""
        path.write_bytes(rearrange(self.waveform, "c s -> s c").contiguous().numpy().astype("<f4").tobytes())
        return ["-f", "f32le", "-ar", str(self.sample_rate), "-ac", str(self.channels), "-i", str(path)]

    def write_wav(self, path: Path) -> None:
        """Write a WAV file of 16-bit samples."""
        samples = (rearrange(self.waveform, "c s -> s c") * 32767).round().clamp(-32768, 32767)
        with wave.open(str(path), "wb") as file:
            file.setnchannels(self.channels)
            file.setsampwidth(2)
            file.setframerate(self.sample_rate)
            file.writeframes(samples.numpy().astype("<i2", order="C").tobytes())


def sound_channels(sound: Sound | None) -> int:
    """Channels of a sound, 0 of none."""
    return 0 if sound is None else sound.channels
