"""Files of Stable Video Diffusion's decoder: both spellings give the original's keys.

Damaged ones are told.
"""

import json
import lzma
from pathlib import Path

import pytest
import torch
from video_ldm.temporal.decoder.plan import KL
from video_ldm.temporal.decoder.svd import respelled_video_decoder, video_decoder, video_decoder_spelling
from video_ldm.temporal.errors import CheckpointFormatError
from video_ldm.temporal.weights.files import WeightsFile

LISTINGS = Path(__file__).parents[1] / "formats" / "listings.json.xz"


def published(family):
    """A published file: every key with its shape, no values."""
    shapes = json.loads(lzma.decompress(LISTINGS.read_bytes()))[family]
    shapes = shapes.get("keys", shapes)
    return {key: torch.empty(shape, device="meta") for key, shape in shapes.items()}


def read(tensors):
    return video_decoder(WeightsFile(Path("svd.safetensors"), {}, tensors))


@pytest.mark.parametrize("family", ["svd_vae_original", "svd_vae_diffusers"])
def test_the_published_files_are_the_full_size_decoder(family):
    decoder = read(published(family))
    assert decoder.shape == KL
    assert decoder.latent_channels == 4


def test_both_spellings_give_the_same_keys_and_shapes():
    a, b = (read(published(f"svd_vae_{spelling}")).tensors for spelling in ("original", "diffusers"))
    assert {k: v.shape for k, v in a.items()} == {k: v.shape for k, v in b.items()}
    assert len(a) == 266 and not any("encoder" in key for key in a)


def test_other_files_hold_no_video_decoder():
    assert read({"decoder.conv_in.weight": torch.empty(8, 4, 3, 3)}) is None


@pytest.mark.parametrize("family", ["svd_vae_original", "svd_vae_diffusers"])
def test_a_file_without_its_end_is_told(family):
    tensors = {k: v for k, v in published(family).items() if "norm_out" not in k}
    with pytest.raises(CheckpointFormatError, match=r"has no 'norm_out\.weight'; it may be damaged"):
        read(tensors)


@pytest.mark.parametrize("spelling", ["original", "diffusers"])
def test_respelling_to_the_spelling_it_has_changes_nothing(spelling):
    file = WeightsFile(Path("svd.safetensors"), {}, published(f"svd_vae_{spelling}"))
    found, outer = video_decoder_spelling(file)
    inside = {key.removeprefix(outer) for key in file.tensors if key.startswith(outer)}
    assert respelled_video_decoder(file, found).keys() == inside


@pytest.mark.parametrize(("spelling", "other"), [("original", "diffusers"), ("diffusers", "original")])
def test_respelling_gives_the_keys_and_shapes_of_the_other_spelling(spelling, other):
    """Attention among them, whose matrices are 1 x 1 convolutions in the original."""
    file, wanted = (WeightsFile(Path("svd"), {}, published(f"svd_vae_{name}")) for name in (spelling, other))
    found, outer = video_decoder_spelling(wanted)
    made = respelled_video_decoder(file, found)
    shapes = {k.removeprefix(outer): v.shape for k, v in wanted.tensors.items() if k.startswith(outer)}
    in_both = {key: shape for key, shape in shapes.items() if "decoder." in key}
    assert in_both and {key: made[key].shape for key in in_both} == in_both
