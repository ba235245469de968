"""The door of every node.

Values that its schema does not allow are refused before the node begins, whoever gives them.
"""

from __future__ import annotations

import math

import pytest
import torch
from video_ldm.demo.comfy import HostError

FINE = {
    "IMAGE": torch.zeros(2, 8, 8, 3),
    "LATENT": {"samples": torch.zeros(2, 4, 8, 8), "noise_mask": torch.ones(2, 8, 8)},
    "CONDITIONING": [[torch.zeros(1, 3, 48), {}]],
}
BAD = {
    "IMAGE": {
        "grey": torch.zeros(2, 8, 8, 1),
        "no frames": torch.zeros(0, 8, 8, 3),
        "no height": torch.zeros(1, 0, 8, 3),
        "a film of films": torch.zeros(1, 2, 8, 8, 3),
        "sixteen colours": torch.zeros(1, 8, 8, 16),
        "whole numbers": torch.zeros(1, 8, 8, 3, dtype=torch.int64),
        "not a number": torch.full((1, 8, 8, 3), math.nan),
        "a word": "image",
    },
    "LATENT": {
        "no frames": {"samples": torch.zeros(0, 4, 8, 8)},
        "of a video model": {"samples": torch.zeros(1, 4, 2, 8, 8)},
        "of sound": {"samples": torch.zeros(1, 4, 8)},
        "whole numbers": {"samples": torch.zeros(1, 4, 8, 8, dtype=torch.int64)},
        "infinite": {"samples": torch.full((70, 4, 8, 8), math.inf)},
        "a mask without sides": {"samples": torch.zeros(1, 4, 8, 8), "noise_mask": torch.zeros(3)},
        "an empty mask": {"samples": torch.zeros(1, 4, 8, 8), "noise_mask": torch.zeros(0, 8, 8)},
        "nothing inside": {},
    },
    "CONDITIONING": {
        "empty": [],
        "no tokens": [[torch.zeros(1, 0, 48), {}]],
        "pooled": [[torch.zeros(1, 48), {}]],
        "not a number": [[torch.full((1, 3, 48), math.nan), {}]],
    },
}
BAD["IMAGE"]["frames of which one is not a number"] = torch.cat(
    [torch.zeros(99, 8, 8, 3), BAD["IMAGE"]["not a number"]]
)


@pytest.fixture(scope="module")
def parts(host):
    """Schema and input, of every input of every node."""
    from video_ldm.nodes.extension import NODES

    schemas = [node.define_schema() for node in NODES]
    return [(schema, part) for schema in schemas for part in schema.inputs]


@pytest.fixture
def refused(host):
    """Sentence of the door for one value; a failure when it lets the value in."""
    from video_ldm.nodes.host.door import check_inputs
    from video_ldm.temporal.errors import InvalidInputError

    def refused(schema, part, value) -> str:
        with pytest.raises(InvalidInputError) as error:
            check_inputs(schema, {part.id: value})
        assert part.id in str(error.value) or schema.display_name in str(error.value)
        return str(error.value)

    return refused


def test_every_node_has_the_door(host):
    from video_ldm.nodes.extension import NODES
    from video_ldm.nodes.host import Node

    assert [node for node in NODES if not issubclass(node, Node)] == []


def test_what_a_script_leaves_out_is_the_default(host):
    from video_ldm.nodes.upscale import LoadVideoUpscaler

    schema = LoadVideoUpscaler.define_schema()
    defaults = {part.id: part.default for part in schema.inputs if part.id != "file"}
    short, whole, other = (
        LoadVideoUpscaler.execute("toy_upscaler.safetensors", **given).result[0].settings
        for given in ({}, defaults, {"steps": defaults["steps"] + 1})
    )
    assert short == whole and other.steps == whole.steps + 1


def test_choices_that_are_not_in_the_list_are_refused_with_those_that_are(parts, refused):
    choices = [(s, p) for s, p in parts if p.get_io_type() == "COMBO" and p.id != "file"]
    assert len(choices) > 10
    for schema, part in choices:
        for value in ("beta57", "", None, 3, ["x"]):
            if value is None and part.optional:
                continue
            said = refused(schema, part, value)
            assert value is None or all(choice in said for choice in part.options), (schema.node_id, part.id)


def test_numbers_outside_of_their_range_are_refused(parts, refused):
    numbers = [(s, p) for s, p in parts if p.get_io_type() in ("INT", "FLOAT")]
    assert len(numbers) > 80
    for schema, part in numbers:
        for value in (part.min - 1, part.max + 1, math.nan, math.inf, "3", True, 1j):
            assert f"from {part.min} to {part.max}" in refused(schema, part, value)
        if part.get_io_type() == "INT":
            refused(schema, part, part.min + 0.5)


def test_texts_and_switches_take_nothing_else(parts, refused):
    for schema, part in parts:
        if part.get_io_type() == "STRING":
            assert "it takes text" in refused(schema, part, 3)
            assert "text without halves of characters" in refused(schema, part, "a \ud83c dog")
        if part.get_io_type() == "BOOLEAN":
            assert "it takes true or false" in refused(schema, part, "yes")


@pytest.mark.parametrize(("kind", "case"), [(kind, case) for kind in BAD for case in BAD[kind]])
def test_bad_tensors_are_refused_by_every_node_that_takes_their_kind(parts, refused, kind, case):
    from video_ldm.nodes.host.door import check_inputs

    for schema, part in parts:
        if part.get_io_type() == kind:
            check_inputs(schema, {part.id: FINE[kind]})
            refused(schema, part, BAD[kind][case])


def test_a_link_to_nothing_is_refused(parts, refused):
    for schema, part in parts:
        if not part.optional and part.get_io_type() in ("MODEL", "VAE", "LATENT", "IMAGE"):
            assert "was given nothing at" in refused(schema, part, None)


def test_text_of_another_width_is_refused_before_sampling(host):
    from video_ldm.nodes.host.door import check_inputs
    from video_ldm.nodes.sample import VideoKSampler
    from video_ldm.temporal.errors import IncompatibleModelError

    from .rig import Rig

    rig, schema = Rig(), VideoKSampler.define_schema()
    check_inputs(schema, {"model": rig.model, "positive": rig.positive})
    other = [[torch.zeros(1, 77, 768), {}]]
    with pytest.raises(
        IncompatibleModelError, match="negative is text of 768 numbers a token, but the MODEL"
    ):
        check_inputs(schema, {"model": rig.model, "positive": rig.positive, "negative": other})


def test_a_number_that_comes_through_a_link_is_checked_too(host):
    """The host keeps widgets in their range, but not what is linked."""
    graph = {
        "model": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "toy_sd.safetensors"}},
        "zero": {"class_type": "PrimitiveInt", "inputs": {"value": 0}},
        "text": {
            "class_type": "VLDM_PromptSchedule",
            "inputs": {
                "clip": ["model", 1],
                "prompts": "0: a",
                "num_frames": ["zero", 0],
                "interpolation": "hold",
            },
        },
        "show": {"class_type": "PreviewAny", "inputs": {"source": ["text", 0]}},
    }
    with pytest.raises(HostError, match="num_frames is 0, but it takes a whole number from 1 to 100000"):
        host.run(graph)


def test_an_optional_input_that_a_graph_leaves_out_in_words_has_its_default(host):
    """`null` in an API graph; a script may write all inputs."""
    given = {"values": "0: 1\n7: 2", "num_frames": 8, "interpolation": "linear"}
    optional = [part for part in host.nodes["VLDM_ValueSchedule"].define_schema().inputs if part.optional]
    expected = host.call("VLDM_ValueSchedule", **given)
    assert host.call("VLDM_ValueSchedule", **given, **{part.id: None for part in optional}) == expected
    model = host.call("CheckpointLoaderSimple", ckpt_name="toy_sd.safetensors")[0]
    load = {"model": model, "file": "toy_temporal.safetensors", "strength": 1.0}
    left_out = {
        part.id: None
        for part in host.nodes["VLDM_LoadTemporalLayers"].define_schema().inputs
        if part.optional
    }
    assert len(left_out) > 3
    said = [host.call("VLDM_LoadTemporalLayers", **load, **more)[1] for more in ({}, left_out)]
    assert said[0] == said[1]
