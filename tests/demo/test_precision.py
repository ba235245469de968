"""Precision of the toy world's scripts: halves only where they are fast."""

from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path

import pytest
import torch
from video_ldm.demo.train import common, temporal
from video_ldm.training.layers import options as layers


@pytest.fixture(params=["AVX2", "AVX512"])
def capability(request, monkeypatch):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: request.param)
    monkeypatch.setattr(sys, "argv", ["temporal"])
    return request.param


def test_a_cpu_without_wide_vectors_computes_in_full_precision(capability):
    x = torch.ones(2, 2)
    with common.half_precision(torch.device("cpu")):
        assert (x @ x).dtype == (torch.bfloat16 if capability == "AVX512" else torch.float32)
    assert common.fast_in_half(torch.device("cuda"))


def test_the_toy_recipe_is_one_that_the_command_takes_and_later_options_win(capability, monkeypatch):
    monkeypatch.setattr(temporal, "index_clips", lambda folder: None)
    monkeypatch.setattr(temporal.runpy, "run_module", lambda *args, **kwargs: None)
    args = Namespace(clips=Path("clips"), only=None, checkpoint="sd", out="out", gpu=False)
    temporal.train(args, ["--batch", "7"])
    given = layers.parser().parse_args(sys.argv[1:])
    assert given.precision == ("bf16" if capability == "AVX512" else "fp32")
    assert (given.batch, given.text_first, given.check_clips) == (7, 0.4, 64)
    assert layers.config_from(given).reversed["moving left"] == "moving right"
