"""Damaged files of other publishers' decoders in the host.

Each ends in one sentence, or in a VAE that can be used.
"""

from __future__ import annotations

import pytest
from safetensors.torch import save
from video_ldm.tests.damage_trial import trial

from .test_reference_decoder import vae, weights  # noqa: F401
from .test_video_decoder import folder, opened, original_spelling, reference  # noqa: F401

MAKES = ("svd, diffusers", "svd, original", "ToonCrafter")


@pytest.mark.parametrize("make", MAKES)
def test_each_damaged_decoder_is_refused_in_a_sentence_or_can_be_used(
    make,
    vae,  # noqa: F811
    weights,  # noqa: F811
    reference,  # noqa: F811
    folder,  # noqa: F811
):
    makes = (reference.state_dict(), original_spelling(reference), weights)
    good = save({key: value.contiguous() for key, value in makes[MAKES.index(make)].items()})
    ends = trial(
        folder / "svd.safetensors", good, lambda path: opened(vae, path.name).first_stage_model.state_dict()
    )
    assert ends["refused"] > 5, ends
