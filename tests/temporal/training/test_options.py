"""Options that every training command has."""

from __future__ import annotations

import pytest
from video_ldm.temporal.errors import InvalidInputError
from video_ldm.training.decoder import options as decoder
from video_ldm.training.layers import options as layers
from video_ldm.training.lora import options as lora
from video_ldm.training.options import due
from video_ldm.training.recipe import parsed
from video_ldm.training.upscaler import options as upscaler
from video_ldm.training.video import options as video

MODEL = ["--checkpoint", "a.safetensors"]
COMMANDS = {
    "layers": (layers.parser, MODEL),
    "lora": (lora.parser, [*MODEL, "--layers", "mm.ckpt"]),
    "decoder": (decoder.parser, ["--vae", "v"]),
    "upscaler": (upscaler.parser, []),
    "video": (video.parser, MODEL),
}


def arguments(command, *more):
    parser, words = COMMANDS[command]
    return parsed(parser(), [*words, "--clips", "c", "--out", "o.safetensors", *more])


@pytest.mark.parametrize("command", COMMANDS)
def test_states_are_saved_every_so_many_steps_or_never_and_not_every_minus_one(command, capsys):
    assert arguments(command, "--save-every", "0").save_every == 0
    for text in ("-1", "often", "2.5"):
        with pytest.raises(SystemExit):
            arguments(command, f"--save-every={text}")
        assert f"'{text}' is no number of steps; give 1 or more, or 0 for none" in capsys.readouterr().err


def test_something_is_due_after_every_so_many_steps():
    assert [step for step in range(1, 9) if due(step, 3)] == [3, 6]
    assert not any(due(step, 0) for step in range(9))


@pytest.mark.parametrize(
    ("words", "steps"),
    [
        ([], 5),
        (["--spatial-steps", "10"], 2),
        (["--given-steps", "0"], 0),
        (["--init", "u.safetensors"], 0),
        (["--init", "u.safetensors", "--given-steps", "3"], 3),
    ],
)
def test_a_new_upscaler_sees_given_frames_alone_for_a_fifth_of_its_spatial_steps(words, steps):
    assert upscaler.config_from(arguments("upscaler", "--steps", "50", *words)).given_steps == steps


@pytest.mark.parametrize("words", [[], ["--check-clips", "4", "--check-every", "0"]])
def test_a_run_that_should_end_when_words_are_known_has_to_ask_for_them(words):
    words = ["--reversed", "to the left=to the right", *words]
    with pytest.raises(InvalidInputError, match=r"--stop-when-known is 0\.9, but nothing is checked"):
        layers.config_from(arguments("layers", *words, "--stop-when-known", "0.9"))
    enough = [*words, "--check-clips", "4", "--check-every", "2", "--stop-when-known", "0.9"]
    assert layers.config_from(arguments("layers", *enough)).check_clips == 4
