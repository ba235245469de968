"""Recipes: options from a TOML file, under the names of the command line or of the nodes."""

from __future__ import annotations

import pytest
from video_ldm.temporal.errors import InvalidInputError, OutputError
from video_ldm.training.decoder import options as decoder
from video_ldm.training.layers import options as layers
from video_ldm.training.lora import options as lora
from video_ldm.training.recipe import begin, parsed
from video_ldm.training.upscaler import options as upscaler
from video_ldm.training.video import options as video

GIVEN = ["--checkpoint", "a.safetensors", "--clips", "my clips"]


def recipe(tmp_path, text):
    path = tmp_path / "recipe.toml"
    path.write_text(text, "utf-8")
    return ["--recipe", str(path)]


def test_a_recipe_gives_options_and_the_command_line_counts_more(tmp_path):
    words = recipe(
        tmp_path,
        'checkpoint = "a.safetensors"\nlayers = "mm.ckpt"\nclips = "my clips"\nout = "z.safetensors"\n'
        'num_frames = [8, 5]\nlearning-rate = 0.002\nrank = 4\ncpu = true\nprompt = ["a b", "-c"]\n',
    )
    args = parsed(lora.parser(), [*words, "--rank", "8"])
    config, settings = layers.config_from(args), lora.lora_from(args)
    assert (config.num_frames, config.other_lengths, config.learning_rate) == (8, (5,), 0.002)
    assert (settings.rank, args.init, args.clips, args.cpu) == (8, "mm.ckpt", "my clips", True)
    assert args.prompt == ["a b", "-c"]


@pytest.mark.parametrize(
    ("parser", "words"),
    [
        (
            layers.parser,
            [*GIVEN, "--frames", "8,5", "--patterns", "none=1", "--prompt", 'say "hi"', "--cpu"],
        ),
        (lora.parser, [*GIVEN, "--layers", "mm.ckpt", "--trigger", "slow zoom", "--alpha", "2.5"]),
        (decoder.parser, ["--vae", "v", "--clips", "c", "--adversarial", "0.5", "--free"]),
        (upscaler.parser, ["--clips", "c", "--spatial-steps", "7", "--channel-mult", "1,2"]),
        (video.parser, [*GIVEN, "--parts", "all", "--noise-mean", "1.5", "--memory", "small"]),
    ],
    ids=["layers", "lora", "decoder", "upscaler", "video"],
)
def test_the_recipe_of_a_run_is_the_run_once_more(tmp_path, parser, words):
    out = tmp_path / "runs" / "zoom"
    args = parsed(parser(), [*words, "--out", str(out), "--steps", "7", "--resume"])
    assert args.out == str(out / "zoom.safetensors")
    begin(out / "zoom.safetensors", args)
    again = parsed(parser(), ["--recipe", str(out / "zoom.recipe.toml")])
    differ = {key for key, value in vars(args).items() if vars(again)[key] != value}
    assert differ == {"resume", "recipe"}


def test_prompts_are_the_lines_of_a_file(tmp_path):
    path = tmp_path / "prompts.txt"
    path.write_text("# the two\na red circle\n\n  a blue star \n", "utf-8")
    args = parsed(
        layers.parser(), [*GIVEN, "--out", "a.safetensors", "--prompts", str(path), "--prompt", "x"]
    )
    assert args.prompt == ["x", "a red circle", "a blue star"]
    assert "red" not in args.as_recipe and "prompts = " in args.as_recipe
    path.write_text("# none\n")
    with pytest.raises(InvalidInputError, match="holds no prompts"):
        parsed(layers.parser(), [*GIVEN, "--out", "a.safetensors", "--prompts", str(path)])
    with pytest.raises(InvalidInputError, match=r"The prompts .* cannot be read \(No such file"):
        parsed(layers.parser(), [*GIVEN, "--out", "a.safetensors", "--prompts", "gone.txt"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rank = ", r"The recipe .* cannot be read \("),
        ('colour = "red"', r"names 'colour', which is no option of this training"),
        ("resume = true", "names 'resume', which is no option"),
    ],
)
def test_mistakes_are_told(tmp_path, text, message):
    with pytest.raises(InvalidInputError, match=message):
        parsed(lora.parser(), recipe(tmp_path, text))
    with pytest.raises(InvalidInputError, match=r"cannot be read \(No such file"):
        parsed(lora.parser(), ["--recipe", str(tmp_path / "gone.toml")])


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "runs").write_text("a file")
    args = parsed(layers.parser(), [*GIVEN, "--out", str(tmp_path / "runs" / "zoom")])
    with pytest.raises(OutputError):
        begin(tmp_path / "runs" / "zoom" / "zoom.safetensors", args)
