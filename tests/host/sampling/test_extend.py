"""Extend Video in the host: prediction segment by segment, what is on disk, going on after a kill."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest
import torch

SIZE = (4, 5, 7)


@pytest.fixture(scope="module")
def model(rig):
    return rig.with_layers()


@pytest.fixture
def run(rig, model, tmp_path):
    from video_ldm.nodes.host.sampling import extend as module
    from video_ldm.nodes.host.sampling.clip import SamplerSettings
    from video_ldm.nodes.host.sampling.interpolate import PromptedModel

    def run(
        latent,
        segments=3,
        seeds=(7,),
        folder=tmp_path / "clips",
        context=2,
        length=5,
        prompts=None,
        **changes,
    ):
        more = {name: changes.pop(name) for name in ("num_frames", "hold_colours") if name in changes}
        choice = module.Extension(segments, length, context, seeds, folder, **more)
        video = PromptedModel(changes.pop("model", model), rig.positive, rig.negative, None)
        sampler = SamplerSettings(seed=0, steps=2, cfg=2.0, sampler_name="euler", scheduler="normal", fps=8.0)
        prompts = prompts or [rig.positive] * segments
        with torch.inference_mode():
            return module.extend(
                latent, choice, video, sampler, prompts, changes.pop("origin", "here"), **changes
            )

    return run


@pytest.fixture
def calls(monkeypatch):
    """Windows that were sampled: what was known in each."""
    from video_ldm.nodes.host.sampling import extend as module

    windows = []
    sample = module.sample_clip

    def spy(video, positive, negative, window, *args):
        windows.append(window)
        return sample(video, positive, negative, window, *args)

    monkeypatch.setattr(module, "sample_clip", spy)
    return windows


def start(count: int) -> dict:
    return {
        "samples": torch.randn(count, *SIZE, generator=torch.Generator().manual_seed(2)),
        "video_ldm_fps": 4.0,
    }


@pytest.mark.parametrize(("given", "expected"), [(1, 1 + 4 + 3 + 3), (2, 2 + 9), (3, 3 + 9)])
def test_length_start_and_rate(run, given, expected):
    latent = start(given)
    (clip,) = run(latent)
    assert clip["samples"].shape == (expected, *SIZE) and clip["video_ldm_fps"] == 4.0
    assert torch.equal(clip["samples"][:given], latent["samples"])
    assert bool(clip["samples"].isfinite().all())


def test_segments_are_named_by_number_and_seed(host):
    from video_ldm.nodes.host.sampling.extend import _part_name

    assert [_part_name([7], 3, part) for part in (0, 2)] == ["segment 1 of 3", "segment 3 of 3"]
    assert [_part_name([7, 9], 3, part) for part in (2, 3)] == [
        "segment 3 of 3, seed 7",
        "segment 1 of 3, seed 9",
    ]


def test_each_segment_goes_on_from_the_last_frames(run, calls):
    (clip,) = run(start(3))
    frames = clip["samples"]
    assert [window["video_ldm_known"].tolist() for window in calls] == [[1, 1, 0, 0, 0]] * 3
    for number, window in enumerate(calls):
        assert torch.equal(window["samples"][:2], frames[1 + 3 * number : 3 + 3 * number])


class Elsewhere(torch.Tensor):
    """Stands for a tensor on an accelerator: so are its parts and what is computed of it, until `cpu`."""

    def cpu(self):
        """Move to where files and other tensors are."""
        return self.as_subclass(torch.Tensor)


def test_a_clip_on_the_device_goes_on_where_finished_segments_are(run, calls):
    """The host's option --gpu-only keeps clips there."""
    given = start(2)
    (clip,) = run({**given, "samples": given["samples"].as_subclass(Elsewhere)})
    assert not any(isinstance(window["samples"], Elsewhere) for window in calls)
    assert torch.equal(clip["samples"], run(given)[0]["samples"])


def test_a_long_film_keeps_the_colours_of_its_start_where_asked(run, calls):
    """Also across a stop; segments made without are others."""
    given = start(3)
    given["samples"] += torch.tensor([2.0, 0.0, -1.0]).reshape(3, 1, 1, 1)
    expected = given["samples"][-2:].mean((0, 2, 3))
    run(given, segments=2, hold_colours=True)
    (held,) = run(given, hold_colours=True)
    torch.testing.assert_close(held["samples"][3:].mean((2, 3)), expected.expand(9, -1))
    assert len(calls) == 3
    (free,) = run(given)
    assert len(calls) == 6 and not torch.allclose(free["samples"][3:].mean((2, 3)), expected, atol=1e-2)


def test_several_futures_of_one_start(run):
    one, two = run(start(2), seeds=(1, 2))
    assert torch.equal(one["samples"][:2], two["samples"][:2])
    assert not torch.equal(one["samples"][2:], two["samples"][2:])


def test_each_segment_has_a_seed_of_its_own(run, monkeypatch):
    from video_ldm.nodes.host.sampling import extend as module

    seeds, sample = [], module.sample_clip

    def spy(video, positive, negative, window, settings, *args):
        seeds.append(settings.seed)
        return sample(video, positive, negative, window, settings, *args)

    monkeypatch.setattr(module, "sample_clip", spy)
    run(start(2), seeds=(7, 8))
    noise = {torch.randn(1, generator=torch.Generator().manual_seed(seed)).item() for seed in seeds}
    assert len(noise) == 6 and seeds[::3] == [7, 8]


def test_finished_segments_are_not_made_again(run, calls):
    (clip,) = run(start(2))
    (again,) = run(start(2))
    assert len(calls) == 3 and torch.equal(clip["samples"], again["samples"])
    (longer,) = run(start(2), segments=5)
    assert len(calls) == 5 and torch.equal(longer["samples"][: len(clip["samples"])], clip["samples"])


def test_what_was_made_another_way_is_made_anew(run, calls, rig):
    run(start(2))
    run(start(2), origin="another model")
    run({**start(2), "samples": start(2)["samples"] + 1})
    assert len(calls) == 9
    run(start(2), prompts=[rig.positive, rig.encode("a blue square"), rig.positive])
    assert len(calls) == 11, "the first segment has the prompt it had"


def test_segments_made_with_other_weights_are_made_anew(run, calls):
    (first,) = run(start(2), weights="contents")
    run(start(2), weights="other contents")
    assert len(calls) == 6
    (again,) = run(start(2), weights="contents")
    assert len(calls) == 6 and torch.equal(again["samples"], first["samples"])


def test_segments_from_before_weights_were_looked_at_are_taken_over_once(run, calls):
    (before,) = run(start(2))
    (after,) = run(start(2), weights="contents")
    assert len(calls) == 3 and torch.equal(before["samples"], after["samples"])
    run(start(2), weights="other contents")
    assert len(calls) == 6


def test_nodes_that_were_made_while_the_graph_runs_are_seen(host):
    from comfy_execution.graph import DynamicPrompt
    from video_ldm.nodes.extend import ExtendVideo
    from video_ldm.nodes.host import io
    from video_ldm.nodes.host.graph import ancestors, written

    def origin(prefix, strength, conditioning):
        """Of a node in what another node was expanded to."""
        graph = DynamicPrompt({"1": {"class_type": "Loader", "inputs": {"file": "a"}}})
        inner = {"class_type": "Lora", "inputs": {"model": ["1", 0], "strength": strength}}
        node = {
            "class_type": "VLDM_ExtendVideo",
            "inputs": {"model": [f"{prefix}.1", 0], "positive": conditioning},
        }
        for name, added in ((f"{prefix}.1", inner), (f"{prefix}.2", node)):
            graph.add_ephemeral_node(name, added, "1", "1")
        return ancestors(graph, f"{prefix}.2", ("model", "positive"))

    one, same, other = origin("2.0", 1.0, "a"), origin("3.0", 1.0, "a"), origin("2.0", 0.5, "a")
    assert one["model"]["inputs"]["model"]["inputs"] == {"file": "a"}
    assert written(one) == written(same) != written(other)
    placed = origin("2.0", 1.0, [[torch.zeros(1, 2, 3), {}], [torch.zeros(1, 2, 3), {}]])
    assert written(placed) != written(placed), "nobody knows what else it is equal to"
    assert ancestors(DynamicPrompt({}), "2.0.2", ("model",)) == ancestors(None, None, ("model",)) == {}
    assert io.Hidden.dynprompt in ExtendVideo.define_schema().hidden


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork to be killed")
def test_after_a_kill_it_goes_on_to_the_same_clip(run, calls, monkeypatch, tmp_path):
    from video_ldm.temporal.sampling import rollout

    (whole,) = run(start(2), folder=tmp_path / "whole")
    calls.clear()
    child = os.fork()
    if child == 0:
        write = rollout.write_weights

        def killed(path: Path, *args):
            if "segment_00002" in path.name:
                (path.parent / f".{path.name}.half").write_bytes(b"half a file")
                os.kill(os.getpid(), signal.SIGKILL)
            write(path, *args)

        rollout.write_weights = killed
        run(start(2), folder=tmp_path / "killed")
        os._exit(0)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
    (resumed,) = run(start(2), folder=tmp_path / "killed")
    assert len(calls) == 2, "the first segment was on disk"
    assert torch.equal(resumed["samples"], whole["samples"])


def test_a_damaged_segment_is_made_again_and_said_on_the_node(run, calls, monkeypatch, tmp_path):
    from video_ldm.nodes.host import progress

    said = []
    monkeypatch.setattr(progress, "say", said.append)
    (clip,) = run(start(2))
    (path,) = (tmp_path / "clips" / "seed_7").glob("segment_00002_*")
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(data)
    (again,) = run(start(2))
    assert len(calls) == 4 and torch.equal(again["samples"], clip["samples"])
    sentence = f"The file of segment 2 in {path.parent} does not hold what was written"
    assert said[-1].endswith(f"{sentence}; the segment is made again.")


def test_an_error_loses_nothing_that_is_finished(run, calls, monkeypatch):
    from video_ldm.nodes.host.sampling import extend as module

    sample = module.sample_clip

    def fails(*args):
        if len(calls) == 2:
            raise RuntimeError("out of memory")
        return sample(*args)

    monkeypatch.setattr(module, "sample_clip", fails)
    with pytest.raises(RuntimeError):
        run(start(2))
    monkeypatch.setattr(module, "sample_clip", sample)
    run(start(2))
    assert len(calls) == 3


def test_a_full_disk_loses_nothing_that_is_finished(run, calls, monkeypatch):
    from video_ldm.temporal.errors import InvalidInputError
    from video_ldm.temporal.sampling import rollout

    write = rollout.write_weights

    def full(path, *args):
        if "segment_00003" in path.name:
            raise OSError(28, "No space left on device")
        write(path, *args)

    monkeypatch.setattr(rollout, "write_weights", full)
    with pytest.raises(
        InvalidInputError, match=r"No space left on device.*segments that are finished are kept and used"
    ):
        run(start(2))
    monkeypatch.setattr(rollout, "write_weights", write)
    run(start(2))
    assert len(calls) == 4, "only the segment that was not written is made again"


def test_layers_that_do_not_know_frames_get_them_pinned(run, rig):
    (clip,) = run(start(2), model=rig.with_layers(patcher=rig.stack(known_frames=False)))
    assert torch.equal(clip["samples"][:2], start(2)["samples"])


def test_a_prompt_schedule_goes_on_with_the_frames_of_the_clip(run, rig, monkeypatch):
    from video_ldm.nodes.host.sampling import extend as module

    seen = []
    sample = module.sample_clip

    def spy(video, positive, *args):
        seen.append(positive[0][0][:, 0, 0].tolist())
        return sample(video, positive, *args)

    monkeypatch.setattr(module, "sample_clip", spy)
    text = rig.positive[0][0].repeat(7, 1, 1)
    text[:, 0, 0] = torch.arange(7)
    run(start(3), prompts=[[[text, {}]]] * 2, segments=2)
    assert seen == [[1, 2, 3, 4, 5], [4, 5, 6, 6, 6]]


def film(firsts, num_frames=32, fps=8.0):
    from video_ldm.nodes.host.sampling.prompts import FilmPlan

    return FilmPlan(tuple(firsts), num_frames, fps)


@pytest.mark.parametrize(
    ("given", "seconds", "segments"), [(1, 1.0, 2), (3, 1.0, 2), (3, 1.5, 3), (2, 0.5, 1)]
)
def test_a_film_lasts_as_long_as_wished_to_the_frame(run, given, seconds, segments, tmp_path):
    from video_ldm.nodes.host.sampling.extend import Extension, film_of, lasting

    choice = lasting(Extension(9, 5, 2, (7,), tmp_path), given, seconds, 8.0)
    assert choice.segments == segments
    made = film_of(given, choice, 8.0)
    assert made.num_frames == round(8 * seconds) and made.firsts[0] == given
    assert film_of(given, replace(choice, segments=segments), 8.0).firsts[-1] < made.num_frames
    (clip,) = run(start(given), segments=segments, num_frames=choice.num_frames)
    assert len(clip["samples"]) == round(8 * seconds)


def test_a_film_in_seconds_by_the_node(rig, model, calls):
    from video_ldm.nodes.extend import ExtendVideo

    sampler = {"steps": 1, "cfg": 1.0, "sampler_name": "euler", "scheduler": "normal", "fps": 8.0}
    with torch.inference_mode():
        (clips,) = ExtendVideo.execute(
            model,
            rig.positive,
            rig.negative,
            start(2),
            1,
            2.0,
            "1",
            "seconds",
            rig.clip,
            "0: a dog\n1s: a cat",
            5,
            2,
            **sampler,
        ).result
    assert len(clips[0]["samples"]) == 8 and len(calls) == 2, "the start says 4 frames a second"


def test_bad_input(run, rig, tmp_path):
    from video_ldm.nodes.host.sampling.extend import Extension, lasting, parse_seeds
    from video_ldm.nodes.host.sampling.prompts import segment_prompts
    from video_ldm.temporal.errors import InvalidInputError

    (tmp_path / "file").write_text("in the way")
    assert parse_seeds("3, 1,") == (3, 1)
    cases = [
        ("segment of 2 frames that continues 2", lambda: run(start(2), length=2)),
        ("fps is 0", lambda: run({**start(2), "video_ldm_fps": 0.0})),
        ("no frame to go on from", lambda: run(start(0))),
        ("Nothing can be written to", lambda: run(start(2), folder=tmp_path / "file")),
        ("no CLIP", lambda: segment_prompts(None, rig.positive, "a dog", film([2, 5]))),
        (
            "3 lines of prompts for 2 segments",
            lambda: segment_prompts(rig.clip, rig.positive, "a\nb\nc", film([2, 5])),
        ),
        ("^Line 1, 'a dog', names no", lambda: segment_prompts(rig.clip, [], "a dog\n3s: b", film([2, 5]))),
        ("start lasts 2.5 already", lambda: lasting(Extension(9, 5, 2, (7,), tmp_path), 20, 2.5, 8.0)),
        *(
            (r"whole numbers from 0", lambda text=text: parse_seeds(text))
            for text in ("", "a", "1, 1", "-3", "1.5", str(2**64))
        ),
    ]
    for message, wrong in cases:
        with pytest.raises(InvalidInputError, match=message):
            wrong()
