"""MotionDirector's list without names.

On ModelScope through Load Video Model and Load Motion LoRA, as merging by hand.
"""

from __future__ import annotations

import pytest
import torch

from ..families import test_video_model
from ..families import video_rig as rig

TOLERANCE = 1e-4
RANK = 2
tiny_sizes = test_video_model.tiny_sizes


def layers_in_order(unet):
    """Linear layers that MotionDirector changes, in the order in which diffusers registers them."""
    from diffusers.models.transformers.transformer_temporal import TransformerTemporalModel

    return [
        f"{outer}.{inner}"
        for outer, module in unet.named_modules()
        if isinstance(module, TransformerTemporalModel)
        for inner, layer in module.named_modules()
        if isinstance(layer, torch.nn.Linear) and not inner.startswith("proj_")
    ]


@pytest.fixture
def file(host):
    """Write a list into models/motion_lora: the name to pick. Gone after the test."""
    paths = []

    def write(matrices):
        path = host.base / "models" / "motion_lora" / f"list_under_test_{len(paths)}.pt"
        path.parent.mkdir(exist_ok=True)
        torch.save(matrices, path)
        paths.append(path)
        return path.name

    yield write
    for path in paths:
        path.unlink()


def matrices_for(unet):
    """One list: up and down for every layer."""
    torch.manual_seed(2)
    found = []
    for name in layers_in_order(unet):
        rows, columns = unet.get_submodule(name).weight.shape
        found += [torch.randn(rows, RANK) * 0.2, torch.randn(RANK, columns) * 0.2]
    return found


def with_lora(model, name, strength):
    from video_ldm.nodes.load import LoadMotionLora

    return LoadMotionLora.execute(model, name, strength).result[0]


@pytest.mark.parametrize("spelling", ["original", "diffusers"])
def test_it_is_as_merging_by_hand(load_model, file, spelling):
    unet = rig.modelscope()
    weights = rig.modelscope_as_published(unet) if spelling == "original" else unet.state_dict()
    model, matrices = load_model(weights)[0], matrices_for(unet)
    plain = rig.one_call(model).out
    changed = with_lora(with_lora(model, file(matrices), 0.3), file(matrices), 0.4)
    added = changed.get_additional_models_with_key("video_ldm.motion_lora")
    held = sum(weight.numel() for patcher in added for weight in patcher.model.parameters())
    assert held == 2 * sum(matrix.numel() for matrix in matrices)
    call = rig.one_call(changed)
    with torch.no_grad():
        for name, up, down in zip(layers_in_order(unet), matrices[::2], matrices[1::2], strict=True):
            unet.get_submodule(name).weight += 0.7 * up @ down
    assert rig.error(call.out, rig.modelscope_out(unet, call, rig.FRAMES)) < TOLERANCE
    assert rig.error(plain, call.out) > 0.01


def test_lists_that_do_not_fit_are_refused(load_model, file):
    from video_ldm.temporal.errors import CheckpointFormatError

    unet = rig.modelscope()
    model, matrices = load_model(unet.state_dict())[0], matrices_for(unet)
    swapped = [matrices[1], matrices[0], *matrices[2:]]
    cases = [
        (matrices[:20], r"is a list of 20 matrices; .* has 340\. It may be the spatial LoRA"),
        (swapped, r"the factors of transformer_in\.transformer_blocks\.0\.attn1\.to_q have shapes \(2, "),
    ]
    for given, message in cases:
        with pytest.raises(CheckpointFormatError, match=message):
            with_lora(model, file(given), 1.0)
