"""Clips to teach a motion with, and the commands of the guide that uses them."""

from __future__ import annotations

import re
import shlex
from itertools import pairwise

import numpy as np
import pytest
import torch
from video_ldm.demo import clips, environment
from video_ldm.temporal.curation.folder import find_videos, read_frames
from video_ldm.temporal.metrics.flow import flow_between
from video_ldm.training.lora import options as lora
from video_ldm.training.recipe import parsed

GUIDE = environment.REPO / "web" / "docs" / "guides" / "teach_a_motion.md"
BLOCKS = re.findall(r"^```\n(.*?)^```", GUIDE.read_text("utf-8"), re.DOTALL | re.MULTILINE)
COMMANDS = [line for block in BLOCKS for line in block.replace("\\\n", " ").splitlines() if " lora " in line]


def test_the_clips_slide_to_the_left_and_their_captions_do_not_say_so(tmp_path, capsys):
    clips.main([str(tmp_path / "made"), "--count", "3"])
    assert capsys.readouterr().out.startswith("3 clips, pan right")
    videos = find_videos(tmp_path / "made")
    assert len(videos) == 3 and not any("pan" in video.caption for video in videos)
    for video in videos:
        frames = (255 * read_frames(video, clips.FPS, (128, 128))).to(torch.uint8).numpy()
        assert len(frames) == clips.FRAMES
        flow = [flow_between(*pair)[..., 0] for pair in pairwise(frames)]
        left, right = np.percentile(flow, (5, 95))  # a plain ground shows no motion
        assert left < -5 and right < 1


def test_a_folder_that_holds_something_is_left_alone(tmp_path):
    (tmp_path / "mine.mp4").touch()
    with pytest.raises(SystemExit, match="is not empty"):
        clips.main([str(tmp_path)])
    assert [path.name for path in tmp_path.iterdir()] == ["mine.mp4"]


@pytest.mark.parametrize("motion", ["left", "zoom in", "clockwise"])
def test_every_motion_can_be_drawn(motion):
    scene = clips.scene_with(np.random.default_rng(0), motion)
    assert motion in (scene.motion, scene.camera)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_commands_of_the_guide_are_options_of_the_training(command, monkeypatch):
    monkeypatch.chdir(environment.REPO)
    words = shlex.split(command)
    args = parsed(lora.parser(), words[words.index("lora") + 1 :])
    assert args.checkpoint and args.init and lora.lora_from(args).trigger
    if args.checkpoint.startswith("demo/"):
        assert all(
            (environment.REPO / path).exists() for path in (args.checkpoint, args.init, *args.custom_node)
        )
