"""TorchCompileModel before and after the layers: what it makes, what is compiled, what is left behind.

The backend only counts, as compiling for a processor takes minutes.
"""

from __future__ import annotations

import pytest
import torch


class Counting:
    """Backend of torch.compile that runs each program as it is and counts them."""

    def __init__(self) -> None:
        self.programs = 0

    def __call__(self, program, _inputs):
        self.programs += 1
        return program.forward


def attention(_host, q, k, v, heads, *_args, **_kwargs):
    """Attention that dynamo traces in moments; the host's for a processor asks for the free memory."""
    from video_ldm.temporal.sampling.clip import sdpa

    return sdpa(q, k, v, heads, None)


@pytest.fixture
def layered(rig):
    """The toy model with layers, for a clip of one small size."""
    model = rig.with_layers()
    model.model_options["transformer_options"]["optimized_attention_override"] = attention
    return model


def compiled(model, backend):
    from comfy_api.torch_helpers import set_torch_compile_wrapper

    clone = model.clone()
    set_torch_compile_wrapper(clone, backend=backend)
    return clone


def test_it_is_the_same_clip_whichever_node_comes_first(rig, layered):
    whole, counting = rig.sample(layered), Counting()
    later = compiled(layered, counting)
    assert torch.equal(rig.sample(later), whole)
    programs = counting.programs
    assert programs > 10
    assert rig.hooks_left() == 0
    assert not [m for m in rig.model.model.modules() if type(m).__name__ == "OptimizedModule"]

    first = rig.with_layers(model=compiled(rig.model, counting))
    first.model_options["transformer_options"]["optimized_attention_override"] = attention
    assert torch.equal(rig.sample(first), whole)
    assert counting.programs == programs  # of the second MODEL, and of every step after the first
    assert torch.equal(rig.sample(layered), whole)


def test_no_part_is_compiled_around_a_hook(rig):
    from video_ldm.nodes.host.layers.attached.stacks import stacks_of
    from video_ldm.nodes.host.layers.compiled import parts_between
    from video_ldm.nodes.host.layers.hooks import hooked_paths

    unet = rig.model.model.diffusion_model
    [(stack, _)] = stacks_of(rig.with_layers())
    hooked, parts = hooked_paths(stack), list(parts_between(unet, [stack], norms=False))
    assert not [(part, path) for part in parts for path in hooked if path.startswith(f"{part}.")]
    assert set(hooked) <= {path for path, _ in unet.named_modules()}
    assert "middle_block.1.transformer_blocks.0" in parts and "middle_block.0.in_layers" in parts
    without_norms = list(parts_between(unet, [stack], norms=True))
    assert "middle_block.0.in_layers" not in without_norms
    assert "middle_block.1.transformer_blocks.0" in without_norms


def test_a_model_compiled_by_an_unknown_node_is_refused(rig, layered):
    from video_ldm.temporal.errors import IncompatibleModelError

    strange = compiled(layered, "eager")
    del strange.model_options["torch_compile_kwargs"]
    with pytest.raises(IncompatibleModelError, match=r"does not say how.*Use TorchCompileModel"):
        rig.sample(strange)
