"""Random inputs for every node, three hundred runs of the fuzz that the command tries ten thousand times."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from video_ldm.benchmarks.faults import fuzz

RUNS, PARTS = 300, 3


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.filterwarnings("ignore")
def test_every_node_ends_in_a_result_or_in_one_sentence_and_leaves_no_trace(host, monkeypatch, part):
    import comfy.utils

    monkeypatch.setattr(comfy.utils, "PROGRESS_BAR_ENABLED", False)
    found = fuzz.trial(host, range(part, RUNS, PARTS), seed=0)
    assert found.faults == []
    assert found.total("done") > 20 and found.total("refused") > 20


def a_fuzz(host_call, hooks=0):
    """The judge alone, of a node that does what a test wants."""
    judge = object.__new__(fuzz.Fuzz)
    judge.host = SimpleNamespace(call=lambda node, **inputs: host_call(**inputs))
    judge.ours = ValueError
    return judge


def test_the_judge_sees_each_kind_of_fault():
    def raised(error):
        def call(**_inputs):
            raise error

        return a_fuzz(call).end("node", {})

    assert raised(ValueError("Give another.")) == ("refused", [])
    for words in ("", "x" * 2000, "two\nlines"):
        assert raised(ValueError(words))[1]
    end, faults = raised(KeyError("samples"))
    assert end == "faults" and faults[0].startswith("KeyError at test_fuzz.py:")
    broken = {"samples": torch.full((1, 4, 2, 2), torch.nan)}
    assert a_fuzz(lambda: (broken,)).end("node", {}) == (
        "done",
        ["a result is not finite: shape (1, 4, 2, 2)"],
    )
    assert a_fuzz(lambda: (torch.zeros(1), "text")).end("node", {}) == ("done", [])


def test_an_input_that_was_changed_has_another_fingerprint():
    inputs = {"latent": {"samples": torch.zeros(2, 3), "batch_index": [0, 1]}, "texts": [[torch.ones(1), {}]]}
    before = fuzz.fingerprint(inputs)
    assert fuzz.fingerprint(inputs) == before
    for change in (
        lambda: inputs["latent"]["samples"].add_(1),
        lambda: inputs["latent"].update(more=1),
        lambda: inputs["latent"]["batch_index"].reverse(),
        lambda: inputs["texts"][0][0].mul_(-1),
    ):
        change()
        assert fuzz.fingerprint(inputs) != before
        before = fuzz.fingerprint(inputs)
