"""Images of known frames at the decode: each one lands on the frame that it was given for."""

from __future__ import annotations

import pytest
import torch

FRAMES = 7
IMAGES = torch.linspace(0, 1, 3).reshape(3, 1, 1, 1).expand(3, 40, 56, 3)
LATENTS = {"samples": torch.ones(1, 4, 5, 7)}


@pytest.fixture
def give(rig):
    """Known Frames: a clip with more frames given."""
    from video_ldm.nodes.host.sampling.known_images import give_frames

    def give(images=(), pattern="indices", indices="", clip=None, latents=None):
        clip = clip or {"samples": torch.zeros(FRAMES, 4, 5, 7)}
        with torch.inference_mode():
            return give_frames(clip, rig.vae, images, latents, pattern, 4, indices)

    return give


def places(clip: dict, images: torch.Tensor) -> dict[int, int]:
    """Number of the image by frame of the clip."""
    from video_ldm.nodes.host.film.given import given_frames

    found = given_frames(clip, images)
    return {
        frame: next(number for number, own in enumerate(images) if torch.equal(own, image))
        for frame, image in found.items()
    }


def test_images_keep_the_order_of_the_list(give):
    assert places(give([IMAGES], indices="5, 0, 2"), IMAGES) == {5: 0, 0: 1, 2: 2}


def test_images_of_a_second_node_come_after_those_of_the_first(give):
    clip = give([IMAGES[1:]], "first", clip=give([IMAGES[:1]], "last"))
    assert places(clip, IMAGES) == {6: 0, 0: 1, 1: 2}


def test_one_image_of_a_loop_is_two_frames(give):
    clip = give([IMAGES[:1]], "loop")
    assert places(clip, IMAGES[:1]) == {0: 0, 6: 0}
    assert places(clip, IMAGES[:2]) == {0: 0, 6: 1}, "as before it was known that they are one"
    both = give([IMAGES[1:2]], indices="3", clip=clip)
    assert places(both, IMAGES[:2]) == {0: 0, 6: 0, 3: 1}


def test_frames_given_as_latents_need_no_image(give):
    clip = give([IMAGES[:1]], indices="4, 2", latents=LATENTS)
    assert places(clip, IMAGES[:1]) == {4: 0}
    assert places(clip, IMAGES[:2]) == {4: 0, 2: 1}, "but may have one"
    more = give([IMAGES[1:2]], "first", clip=clip)
    assert places(more, IMAGES[:2]) == {4: 0, 0: 1}
    assert places(more, IMAGES) == {4: 0, 2: 1, 0: 2}
    two = {"samples": LATENTS["samples"].repeat(2, 1, 1, 1)}
    assert places(give(indices="5, 0", latents=two), IMAGES[:2]) == {5: 0, 0: 1}


def test_the_order_outlives_the_sampler_and_a_cut_of_the_end(host, give, rig):
    made = rig.sample_video(rig.model, latent=give([IMAGES[:2]], indices="-1, 1"), steps=1)
    assert places(made, IMAGES[:2]) == {6: 0, 1: 1}
    cut = host.call("LatentFromBatch", samples=made, batch_index=0, length=FRAMES - 1)[0]
    assert places(cut, IMAGES[:2]) == {1: 1}


def test_without_a_record_images_go_in_the_order_of_the_frames(give):
    clip = give([IMAGES[:2]], indices="5, 0")
    del clip["video_ldm_given"]
    assert places(clip, IMAGES[:2]) == {0: 0, 5: 1}
    more = give([IMAGES[2:]], indices="3", clip=clip)
    assert places(more, IMAGES) == {0: 0, 5: 1, 3: 2}


def test_another_number_of_images_is_refused(give):
    from video_ldm.temporal.errors import InvalidInputError

    cases = [
        (give([IMAGES[:1]], "loop"), "3 known images were given, but this clip wants 1 or 2"),
        (give([IMAGES[:2]], "first"), "3 known images were given, but this clip wants 2"),
        (give(indices="1", latents=LATENTS), "3 known images were given, but this clip wants 1"),
    ]
    for clip, message in cases:
        with pytest.raises(InvalidInputError, match=message):
            places(clip, IMAGES)
