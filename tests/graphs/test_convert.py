"""Old graphs come out with our nodes: the right ones, rightly linked, in the format that came in."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest
from video_ldm.nodes.graphs.convert import convert
from video_ldm.nodes.graphs.old import named_values
from video_ldm.nodes.graphs.table import NEIGHBOURS, OLD_NODES
from video_ldm.nodes.graphs.targets import TARGETS
from video_ldm.tests.graphs.examples import APPLY, GRAPHS, as_ui, gen1, gen2, node, sampled

SCRIPTS = ("gen1_script", "fizz")  # with values that the page keeps nowhere
IDS = (Path(__file__).parent / "ids.txt").read_text("utf-8").split()


def before(graph, name):
    """The line of nodes that leads to one through its model input: their types, from the checkpoint on."""
    line = []
    while name in graph:
        line.insert(0, graph[name]["class_type"])
        name = graph[name]["inputs"].get("model", [None])[0]
    return line


def only(graph, kind):
    """The inputs of the one node of a type."""
    (found,) = (raw["inputs"] for raw in graph.values() if raw["class_type"] == kind)
    return found


def flat(ui):
    """A converted graph of the page as links and values by node, to be compared with the API format."""
    wires = {link[0]: link for link in ui["links"]}
    nodes = {}
    for raw in ui["nodes"]:
        target = TARGETS.get(raw["type"])
        inputs = {}
        if target is not None and raw["type"] not in ("CheckpointLoaderSimple", "EmptyLatentImage"):
            values = [value for value in raw["widgets_values"] if value != "fixed"]
            inputs = dict(zip([part.name for part in target.inputs if part.widget], values, strict=True))
        else:
            inputs = named_values(raw["type"], raw["widgets_values"])[0]
        for part in raw["inputs"]:
            if part["link"] is not None:
                _, source, slot, *_ = wires[part["link"]]
                inputs[part["name"]] = [str(source), slot]
        nodes[str(raw["id"])] = {"class_type": raw["type"], "inputs": inputs}
    return nodes


@pytest.mark.parametrize("name", GRAPHS)
def test_no_old_node_is_left_and_every_link_leads_somewhere(name):
    out = convert(GRAPHS[name]).graph
    assert not {raw["class_type"] for raw in out.values()} & {*OLD_NODES, *NEIGHBOURS}
    for raw in out.values():
        for value in raw["inputs"].values():
            if isinstance(value, list):
                assert value[0] in out, raw
    assert "VLDM_LoadTemporalLayers" in {raw["class_type"] for raw in out.values()}


@pytest.mark.parametrize("name", GRAPHS)
def test_what_goes_in_stays_as_it_was(name):
    given = copy.deepcopy(GRAPHS[name])
    convert(given)
    assert given == GRAPHS[name]
    ui = as_ui(GRAPHS[name])
    kept = copy.deepcopy(ui)
    convert(ui)
    assert ui == kept


@pytest.mark.parametrize("name", [name for name in GRAPHS if name not in SCRIPTS])
def test_both_formats_become_the_same_graph(name):
    api, ui = convert(GRAPHS[name]).graph, flat(convert(as_ui(GRAPHS[name])).graph)
    assert set(ui) == set(api)
    for key, raw in api.items():
        assert ui[key]["class_type"] == raw["class_type"]
        links = {name: value for name, value in raw["inputs"].items() if isinstance(value, list)}
        assert {name: value for name, value in ui[key]["inputs"].items() if isinstance(value, list)} == links
        if raw["class_type"].startswith("VLDM_"):
            plain = {name: value for name, value in raw["inputs"].items() if name not in links}
            assert {name: ui[key]["inputs"][name] for name in plain} == plain


@pytest.mark.parametrize("name", GRAPHS)
def test_wires_of_the_page_agree_with_both_of_their_ends(name):
    out = convert(as_ui(GRAPHS[name])).graph
    nodes = {raw["id"]: raw for raw in out["nodes"]}
    assert len(nodes) == len(out["nodes"])
    ends = set()
    for link, source, slot, target, target_slot, _ in out["links"]:
        assert link in nodes[source]["outputs"][slot]["links"]
        assert nodes[target]["inputs"][target_slot]["link"] == link
        ends.add(link)
    assert ends == {
        part["link"] for raw in nodes.values() for part in raw["inputs"] if part["link"] is not None
    }
    assert out["groups"] == as_ui(GRAPHS[name])["groups"]
    assert out["last_node_id"] >= max(nodes) and out["last_link_id"] >= max(ends)


@pytest.mark.parametrize("name", GRAPHS)
def test_converting_twice_changes_nothing_more(name):
    once = convert(as_ui(GRAPHS[name])).graph
    twice = convert(once)
    assert twice.graph is once and not twice.report.changed


@pytest.mark.parametrize("name", GRAPHS)
def test_nodes_of_others_and_places_stay(name):
    ui = as_ui(GRAPHS[name])
    out = {raw["id"]: raw for raw in convert(ui).graph["nodes"]}
    for raw in ui["nodes"]:
        if raw["type"] not in {*OLD_NODES, *NEIGHBOURS, "KSampler"}:
            same = ("type", "pos", "size", "mode", "widgets_values", "properties")
            assert {key: out[raw["id"]][key] for key in same} == {key: raw[key] for key in same}
        elif raw["id"] in out:
            assert out[raw["id"]]["pos"] in [other["pos"] for other in ui["nodes"]] or out[raw["id"]][
                "pos"
            ] != [0, 0]


def test_the_list_of_ids_and_the_table_agree():
    assert set(IDS) == set(OLD_NODES) and len(IDS) == 145


@pytest.mark.parametrize("name", IDS)
def test_a_node_alone_is_never_left(name):
    for graph in ({"1": node(name)}, as_ui({"1": node(name)})):
        out = convert(graph)
        assert name not in json.dumps(out.graph)
        assert any(out.report.lines.values())


def test_a_loader_becomes_layers_loras_windows():
    out = convert(GRAPHS["gen1_loras"]).graph
    assert before(out, "7") == [
        *(
            "CheckpointLoaderSimple",
            "VLDM_LoadTemporalLayers",
            "VLDM_LoadMotionLoRA",
            "VLDM_LoadMotionLoRA",
            "KSampler",
        )
    ]
    assert [raw["inputs"]["file"] for raw in out.values() if raw["class_type"] == "VLDM_LoadMotionLoRA"] == [
        "zoom.ckpt",
        "pan.ckpt",
    ]
    windows = only(convert(GRAPHS["gen1_looped"]).graph, "VLDM_VideoWindows")
    assert windows["context_schedule"] == "looped_uniform" and windows["closed_loop"] is True
    assert (windows["context_length"], windows["context_overlap"], windows["context_stride"]) == (4, 2, 2)
    assert windows["fuse_method"] == "flat"


def test_a_script_with_inputs_that_are_gone_is_understood():
    out = convert(GRAPHS["gen1_script"]).graph
    assert only(out, "VLDM_LoadTemporalLayers")["schedule"] == "sqrt_linear"
    assert only(out, "VLDM_MotionStrength")["motion"] == 1.2
    assert only(out, "VLDM_VideoWindows")["context_schedule"] == "standard_uniform"


def test_effect_and_scale_become_strength_and_motion():
    out = convert(GRAPHS["gen2_advanced"]).graph
    strength = only(out, "VLDM_MotionStrength")
    assert (strength["strength"], strength["motion"]) == (0.7, 1.3)
    layers = only(out, "VLDM_LoadTemporalLayers")
    assert (layers["start_percent"], layers["end_percent"]) == (0.1, 0.9)
    masked = only(convert(GRAPHS["gen2_mask"]).graph, "VLDM_MotionStrength")
    assert (masked["strength"], masked["strength_outside"], masked["strength_mask"]) == (1.1, 0.2, ["40", 0])


def test_keyframes_hold_from_their_start_to_the_next():
    out = convert(GRAPHS["gen2_keyframes"]).graph
    found = [raw["inputs"] for raw in out.values() if raw["class_type"] == "VLDM_MotionStrength"]
    spans = [(part["start_percent"], part["end_percent"], part["strength"], part["motion"]) for part in found]
    assert spans == [(0.0, 0.5, 1.5, 1.0), (0.5, 1.0, 1.5, 1.5)]  # the second inherits the first one's effect


def test_two_motion_models_keep_their_own_strength():
    out = convert(GRAPHS["gen2_two_models"]).graph
    assert before(out, "7") == [
        "CheckpointLoaderSimple",
        "VLDM_LoadTemporalLayers",
        "VLDM_LoadTemporalLayers",
        "VLDM_MotionStrength",
        "KSampler",
    ]
    assert only(out, "VLDM_MotionStrength")["layers"] == "last loaded"


def test_noise_and_guidance():
    noise = only(convert(GRAPHS["noise_per_frame"]).graph, "VLDM_InitialNoise")
    assert (noise["noise_type"], noise["seed_per_frame"], noise["seed_offset"], noise["frame_offset"]) == (
        *("FreeNoise", True, 2, 1),
    )
    rounds = only(convert(GRAPHS["free_init"]).graph, "VLDM_InitialNoise")
    assert (rounds["rounds"], rounds["filter"], rounds["keep_space"], rounds["keep_time"]) == (
        3,
        "butterworth",
        0.3,
        0.2,
    )
    out = convert(GRAPHS["custom_cfg"]).graph
    found = [raw["inputs"] for raw in out.values() if raw["class_type"] == "VLDM_GuidanceSchedule"]
    assert [(part["cfg"], part["start_percent"], part["end_percent"]) for part in found] == [
        (9.0, 0.0, 0.6),
        (5.0, 0.6, 1.0),
    ]
    assert only(convert(GRAPHS["rescaled_cfg"]).graph, "RescaleCFG")["multiplier"] == 0.6


def test_an_animated_image_goes_through_the_latent():
    out = convert(GRAPHS["pia"]).graph
    assert only(out, "VLDM_ImageMotion")["motion"] == "loop large"
    known = only(out, "VLDM_KnownFrames")
    assert known["images"] == ["41", 0] and known["latent"] == ["4", 0]
    assert out["7"]["class_type"] == "VLDM_VideoKSampler" and out["7"]["inputs"]["seed"] == 3
    assert out[out["7"]["inputs"]["latent_image"][0]]["class_type"] == "VLDM_KnownFrames"
    scaled = only(convert(GRAPHS["i2v"]).graph, "ImageScale")
    assert (scaled["width"], scaled["height"]) == (64, 64)


def test_prompts_keep_their_text_and_values():
    out = convert(GRAPHS["prompts"]).graph
    prompts = only(out, "VLDM_PromptSchedule")
    assert prompts["num_frames"] == 8 and prompts["interpolation"] == "slerp"
    assert "`pw_a`" in prompts["prompts"] and prompts["pw_a"] == ["71", 0]
    fizz = only(convert(GRAPHS["fizz"]).graph, "VLDM_PromptSchedule")
    assert fizz["latent"] == ["4", 0] and fizz["before"] == "good" and fizz["pw_a"] == 0.5


@pytest.mark.parametrize(
    "values",
    [
        ["0: a", 120, False, "good", "", 0, 0, 0.5, 0, 0, 0],  # with the first and last frame to print
        ["0: a", 120, "good", "", 0.5, 0, 0, 0],  # as the first versions stored them
    ],
)
def test_old_layouts_of_fizznodes_are_read(values):
    ui = as_ui({**GRAPHS["gen1"], "2": node("BatchPromptSchedule", text="", max_frames=1, clip=["1", 1])})
    next(raw for raw in ui["nodes"] if raw["id"] == 2)["widgets_values"] = values
    prompts = only(flat(convert(ui).graph), "VLDM_PromptSchedule")
    assert (prompts["prompts"], prompts["num_frames"], prompts["before"]) == ("0: a", 120, "good")
    assert prompts["pw_a"] == 0.5 or values[2] is False


def test_films_keep_their_format_quality_and_rate():
    film = only(convert(GRAPHS["film"]).graph, "VLDM_RenderVideo")
    assert (film["format"], film["fps"], film["pingpong"], film["filename_prefix"]) == (
        "webp (animated)",
        8,
        True,
        "clip",
    )
    film = only(convert(GRAPHS["vhs"]).graph, "VLDM_RenderVideo")
    assert film["format"] == "mp4 (H.264)" and film["quality"] == round(100 * (40 - 20) / (40 - 12))


def test_packs_that_are_there_keep_their_nodes():
    out = convert(GRAPHS["vhs"], lambda name: name.startswith("VHS_")).graph
    assert out["9"] == GRAPHS["vhs"]["9"]
    untouched = convert(GRAPHS["vhs"], lambda name: name in OLD_NODES)
    assert untouched.graph is GRAPHS["vhs"] and not untouched.report.changed


def test_what_is_refused_is_told_with_what_to_use():
    for name, word in (
        ("camera", "Load Motion LoRA"),
        ("views_only", "convolve"),
        ("reference", "repeated_noise"),
    ):
        lost = " ".join(convert(GRAPHS[name]).report.lines["lost"])
        assert word in lost, name
    assert only(convert(GRAPHS["views_only"]).graph, "VLDM_LoadTemporalLayers")["longer_clips"] == "convolve"


def test_ids_that_scripts_read_results_from_stay():
    for name, graph in GRAPHS.items():
        out = convert(graph).graph
        assert {"7", "8", "9"} <= set(out), name
    assert convert(GRAPHS["vhs"]).graph["9"]["class_type"] == "VLDM_RenderVideo"


def test_a_body_that_was_sent_to_the_server_keeps_what_is_around_the_prompt():
    body = {"prompt": GRAPHS["gen1"], "client_id": "bot"}
    out = convert(body).graph
    assert out["client_id"] == "bot" and out["prompt"] == convert(GRAPHS["gen1"]).graph


def test_a_graph_without_old_nodes_is_the_same_object():
    graph = sampled("1")
    assert convert(graph).graph is graph
    assert convert(as_ui(graph)).report.text().startswith("This graph has no nodes")


def test_two_samplers_may_share_motion_models():
    graph = gen2(APPLY)
    graph["90"] = node("ADE_UseEvolvedSampling", model=["1", 0], m_models=["31", 0], beta_schedule="lcm")
    graph["91"] = node("KSampler", **{**graph["7"]["inputs"], "model": ["90", 0]})
    out = convert(graph).graph
    schedules = [
        raw["inputs"]["schedule"] for raw in out.values() if raw["class_type"] == "VLDM_LoadTemporalLayers"
    ]
    assert sorted(schedules) == ["as AnimateDiff-Evolved", "lcm_linear_50"]
    assert before(out, "91")[:2] == ["CheckpointLoaderSimple", "VLDM_LoadTemporalLayers"]


def test_a_loader_without_a_model_still_goes():
    graph = {"1": gen1()}
    del graph["1"]["inputs"]["model"]
    assert convert(graph).graph["1"]["class_type"] == "VLDM_LoadTemporalLayers"


def test_a_schedule_of_the_sample_settings_counts_more_than_the_loaders():
    def graph(kind):
        made = gen2(APPLY, use={"sample_settings": ["60", 0]})
        made["60"] = node("ADE_AnimateDiffSamplingSettings", sigma_schedule=["61", 0])
        made["61"] = node(kind, beta_schedule="lcm >> sqrt_linear")
        return convert(made)

    named, mixed = graph("ADE_SigmaSchedule"), graph("ADE_RawSigmaSchedule")
    assert only(named.graph, "VLDM_LoadTemporalLayers")["schedule"] == "lcm_sqrt_linear_50"
    assert not named.report.lines["lost"]
    assert only(mixed.graph, "VLDM_LoadTemporalLayers")["schedule"] == "as AnimateDiff-Evolved"
    assert "Use schedule of Load Temporal Layers" in " ".join(mixed.report.lines["lost"])


def test_what_sample_settings_lose_is_told_with_what_it_changes_and_what_to_use():
    for name, kind, word in (
        ("noise_layers", "ADE_NoiseLayerAdd", "another clip"),
        ("image_inject", "ADE_NoisedImageInjection", "Known Frames"),
        ("ancestral_opts", "ADE_AncestralOptions", "such as euler"),
        ("seed_override", "PrimitiveInt", "seed of the sampler"),
        ("iteration_opts", "ADE_IterationOptsDefault", "two samplers"),
    ):
        graph = gen2(APPLY, use={"sample_settings": ["60", 0]})
        graph["60"] = node("ADE_AnimateDiffSamplingSettings", **{name: ["61", 0]})
        graph["61"] = node(kind, iterations=2)
        lost = " ".join(convert(graph).report.lines["lost"])
        assert "not carried over:" in lost and word in lost, name
