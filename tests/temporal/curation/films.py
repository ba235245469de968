"""Films for tests of curation: drawn textures that move, written with ffmpeg."""

from __future__ import annotations

from pathlib import Path

import imageio_ffmpeg
import numpy as np

FPS = 25


def texture(seed: int, height: int = 90, width: int = 480) -> np.ndarray:
    """A wide picture of coloured blobs (h w 3) uint8; seeds look different."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    picture = np.tile(rng.integers(20, 236, 3).astype(float), (height, width, 1))
    for _ in range(60):
        centre_x, centre_y, radius = rng.uniform(0, width), rng.uniform(0, height), rng.uniform(6, 24)
        picture[(x - centre_x) ** 2 + (y - centre_y) ** 2 < radius**2] = rng.integers(0, 256, 3)
    return picture.astype(np.uint8)


def shot(seed: int, frames: int = 60, speed: float = 0.6) -> np.ndarray:
    """A slow pan over a texture (f 90 160 3)."""
    wide = texture(seed)
    return np.stack([wide[:, int(n * speed) : int(n * speed) + 160] for n in range(frames)])


def dissolve(one: np.ndarray, other: np.ndarray, length: int) -> np.ndarray:
    """Two shots with a cross fade of `length` frames between them."""
    share = np.linspace(0, 1, length + 2)[1:-1, None, None, None]
    mixed = (1 - share) * one[-length:] + share * other[:length]
    return np.concatenate([one[:-length], mixed.round().astype(np.uint8), other[length:]])


def write_film(path: Path, frames: np.ndarray, fps: float = FPS) -> Path:
    """Frames as an H.264 file of high quality."""
    size = (frames.shape[2], frames.shape[1])
    writer = imageio_ffmpeg.write_frames(str(path), size, fps=fps, macro_block_size=2, quality=9)
    writer.send(None)
    for frame in frames:
        writer.send(np.ascontiguousarray(frame))
    writer.close()
    return path
