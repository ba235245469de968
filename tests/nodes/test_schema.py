"""Parts of nodes on which saved graphs depend: ids, names and order of all that a node takes and gives."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

FROZEN = json.loads((Path(__file__).parent / "frozen.json").read_text(encoding="utf-8"))


def description(node) -> dict:
    """Names and types of a node's inputs and outputs, in order."""
    schema = node.GET_SCHEMA()
    return {
        "inputs": [[i.id, i.get_io_type(), bool(i.optional)] for i in schema.inputs],
        "outputs": [o.get_io_type() for o in schema.outputs],
    }


def test_saved_graphs_still_open(schemas):
    """Only additions at the end are allowed; a new node or input is added to frozen.json when it lands."""
    assert {name: description(node) for name, node in schemas.items()} == FROZEN


def test_every_node_says_what_it_is(schemas):
    for name, node in schemas.items():
        schema = node.GET_SCHEMA()
        assert schema.display_name and schema.description.endswith("."), name
        assert schema.category.startswith("Video LDM/"), name


def test_hosts_whose_search_takes_other_words_find_every_node_by_them(schemas, monkeypatch):
    from comfy_api.latest import io

    @dataclass
    class NewerSchema(io.Schema):
        search_aliases: list[str] = field(default_factory=list)

    monkeypatch.setattr(io, "Schema", NewerSchema)
    for name, node in schemas.items():
        schema = node.define_schema()
        assert len(schema.search_aliases) >= 2, name
        assert schema.display_name.lower() not in schema.search_aliases, name


def test_every_input_and_output_has_a_tooltip(schemas):
    for name, node in schemas.items():
        schema = node.GET_SCHEMA()
        for part in (*schema.inputs, *schema.outputs):
            assert part.tooltip and len(part.tooltip) > 10, (name, part.id)


def test_numbers_have_limits_and_defaults(schemas):
    for name, node in schemas.items():
        for part in node.GET_SCHEMA().inputs:
            if part.get_io_type() in ("INT", "FLOAT"):
                assert part.min is not None and part.max is not None and part.default is not None, (
                    name,
                    part.id,
                )


def test_an_empty_list_says_which_folder_it_looks_into(schemas, monkeypatch):
    import folder_paths

    monkeypatch.setattr(folder_paths, "get_filename_list", lambda folder: [])
    lists = {
        name: next(part.options for part in node.define_schema().inputs if part.id == "file")
        for name, node in schemas.items()
        if any(part.id == "file" for part in node.define_schema().inputs)
    }
    del lists["VLDM_LoadVideoFrames"]  # of the input folder, where films of other tests lie
    assert lists["VLDM_LoadTemporalLayers"] == ["no file yet in models/temporal_layers"]
    assert lists["VLDM_LoadVideoModel"] == ["no file yet in models/checkpoints or models/diffusion_models"]
    assert all(len(options) == 1 and "models/" in options[0] for options in lists.values())


def test_what_most_leave_comes_last(schemas):
    """The page leaves gaps where a hidden input is not the last; optional ones come behind the others."""
    widgets = ("INT", "FLOAT", "STRING", "BOOLEAN", "COMBO")
    hidden = 0
    for name, node in schemas.items():
        shown = sorted(node.GET_SCHEMA().inputs, key=lambda part: bool(part.optional))
        rare = [bool(part.extra_dict.get("advanced")) for part in shown if part.get_io_type() in widgets]
        assert rare == sorted(rare), name
        hidden += sum(rare)
    assert hidden > 40


def test_only_a_sampler_that_makes_another_clip_each_time_changes_its_seed(schemas):
    seeds = {
        name: part.control_after_generate
        for name, node in schemas.items()
        for part in node.GET_SCHEMA().inputs
        if part.id == "seed"
    }
    assert len(seeds) > 4
    assert {name for name, changes in seeds.items() if changes is not False} == {"VLDM_VideoKSampler"}
