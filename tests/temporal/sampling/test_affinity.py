"""Likeness of frames to their image: lists of PIA, by distance, stretched for loops, and refusals."""

import ast
import importlib.util
from pathlib import Path

import pytest
import torch
from video_ldm.temporal.errors import InvalidInputError
from video_ldm.temporal.sampling.affinity import PRESETS, chosen
from video_ldm.temporal.sampling.known_frames import nearest_given


def of_frames(preset, given, custom=""):
    return chosen(preset, custom, 0.8).of_frames(nearest_given(torch.tensor(given))[1]).tolist()


@pytest.fixture(scope="module")
def pipeline_pia(tmp_path_factory):
    """The two names of diffusers' pipeline that are needed, without the import of all of diffusers."""
    folder = Path(importlib.util.find_spec("diffusers").origin).parent
    tree = ast.parse((folder / "pipelines" / "deprecated" / "pia" / "pipeline_pia.py").read_text("utf-8"))
    wanted = ("RANGE_list", "prepare_mask_coef_by_statistics")
    tree.body = [
        node for node in tree.body if {getattr(node, "name", None), *_targets(node)}.intersection(wanted)
    ]
    path = tmp_path_factory.mktemp("pia") / "pipeline_pia.py"
    path.write_text(f"import torch\n{ast.unparse(tree)}\n", "utf-8")
    spec = importlib.util.spec_from_file_location("pipeline_pia", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _targets(node):
    return {target.id for target in getattr(node, "targets", ()) if isinstance(target, ast.Name)}


@pytest.mark.parametrize("preset", PRESETS)
def test_sixteen_frames_from_the_first_have_the_published_list(preset, pipeline_pia):
    published = [
        pipeline_pia.prepare_mask_coef_by_statistics(16, 0, number)
        for number in range(len(pipeline_pia.RANGE_list))
    ]
    expected = published[list(PRESETS).index(preset)]
    torch.testing.assert_close(of_frames(preset, [True] + [False] * 15), expected)


def test_an_image_in_the_middle_counts_both_ways_and_the_last_value_stays():
    given = [frame == 2 for frame in range(9)]
    expected = [0.85, 0.9, 1.0, 0.9, 0.85, 0.85, 0.85, 0.8, 0.8]
    torch.testing.assert_close(of_frames("small", given), expected)


def test_of_two_images_the_nearer_counts():
    given = [True, False, False, False, True]
    assert nearest_given(torch.tensor(given))[0].tolist() == [0, 0, 0, 4, 4]
    torch.testing.assert_close(of_frames("medium", given), [1.0, 0.8, 0.8, 0.8, 1.0])


@pytest.mark.parametrize("num_frames", [1, 3, 5, 31])
def test_a_loop_ends_where_it_began_at_any_length(num_frames):
    values = of_frames("loop large", [True] + [False] * (num_frames - 1))
    torch.testing.assert_close(values, values[::-1], atol=1e-5, rtol=0)
    assert values[0] == 1 and (num_frames == 1 or min(values) < 0.61)


def test_a_list_of_the_artist():
    torch.testing.assert_close(of_frames("custom", [True, False, False], " 1, .5,"), [1.0, 0.5, 0.5])
    assert not chosen("custom", "0.9, 0.5", 0.8).keeps_image and chosen("small", "", 0.8).keeps_image


@pytest.mark.parametrize(
    ("preset", "custom", "message"),
    [
        ("huge", "", "Unknown motion 'huge'; choose from small"),
        ("custom", "", "list of affinities is empty"),
        ("custom", "1, much", "'much' is no affinity"),
        ("custom", "1, 1.5", "'1.5' is no affinity"),
        ("custom", "1, nan", "'nan' is no affinity"),
    ],
)
def test_what_is_no_list_is_refused(preset, custom, message):
    with pytest.raises(InvalidInputError, match=message):
        chosen(preset, custom, 0.8)
