"""The training command for video upscalers on a tiny video: two stages, resumed, with pictures.

And its errors.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from video_ldm.temporal.errors import InvalidInputError
from video_ldm.temporal.upscaler import load_upscaler
from video_ldm.training.upscaler import options as command


def write_video(path, frames=6):
    import imageio_ffmpeg

    writer = imageio_ffmpeg.write_frames(str(path), (64, 48), fps=8, macro_block_size=1, quality=8)
    writer.send(None)
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 255, (12, 16, 3), np.uint8).repeat(4, 0).repeat(4, 1)
    for index in range(frames):
        writer.send(np.roll(picture, index, 1).tobytes())
    writer.close()


WORDS = (
    "--channels 8 --channel-mult 1,2 --res-blocks 1 --heads 2 --frames 3 --fps 8 --size 64x48 --side 8 "
    "--warmup 1 --save-every 2 --cpu --threads 1"
)


def run(words):
    """The command after the host has been started, in this process."""
    from video_ldm.training.upscaler import running as train_upscaler

    args = command.parser().parse_args(words)
    train_upscaler.run(args, command.config_from(args))


def test_the_command_trains_resumes_and_shows(host, tmp_path):
    (tmp_path / "clips").mkdir()
    write_video(tmp_path / "clips" / "a.mp4")
    out = tmp_path / "up.safetensors"
    words = ["--clips", str(tmp_path / "clips"), "--out", str(out), *WORDS.split()]
    run([*words, "--steps", "2"])
    assert load_upscaler(out).config.max_frames == 3
    run([*words, "--steps", "4", "--resume"])
    state = torch.load(tmp_path / "up.state.pt", weights_only=True)
    assert state["step"] == len(state["losses"]) == 4
    from PIL import Image

    assert Image.open(tmp_path / "up.step-000004.png").size == (4 * 32, 3 * 32)
    assert (tmp_path / "up.loss.png").is_file()
    spatial = {n: v for n, v in load_upscaler(out).state_dict().items() if ".temporal." not in n}
    words[3] = str(tmp_path / "again.safetensors")
    run([*words, "--steps", "1", "--spatial-steps", "0", "--init", str(out)])
    again = load_upscaler(tmp_path / "again.safetensors").state_dict()
    assert all(torch.equal(value, again[name]) for name, value in spatial.items())
    with pytest.raises(InvalidInputError, match="a patch of --side 16 is 64 pixels when enlarged"):
        run([*words, "--steps", "1", "--side", "16", "--out", str(tmp_path / "third.safetensors")])
