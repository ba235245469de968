"""Record of given frames in a LATENT after the host's own nodes cut, joined, repeated and enlarged it."""

from __future__ import annotations

import pytest
import torch

FRAMES, SIDE = 8, 5
IMAGES = torch.linspace(0, 1, 3).reshape(3, 1, 1, 1).expand(3, 8 * SIDE, 8 * SIDE, 3)


@pytest.fixture(scope="module")
def rig(host):
    from ..rig import Rig

    return Rig()


@pytest.fixture
def storyboard(rig):
    """A clip of eight frames whose frames 0, 4 and 6 are given, each with its own number in it."""
    from video_ldm.nodes.host.sampling.known import with_frames

    numbers = torch.arange(FRAMES).float().reshape(-1, 1, 1, 1).expand(-1, 4, SIDE, SIDE).clone()
    return with_frames({"samples": numbers}, numbers[[0, 4, 6]], ((0, 0), (4, 1), (6, 2)), images=3)


@pytest.fixture
def node(host):
    """One of the host's own nodes, run by itself."""
    return lambda name, **inputs: host.call(name, **inputs)[0]


def known(latent) -> list[int]:
    """Numbers of the known frames, by what each holds."""
    from video_ldm.nodes.host.sampling.known import known_of

    found = known_of(latent)
    return [] if found is None else found.latents[found.mask][:, 0, 0, 0].int().tolist()


def pictures(latent, images=IMAGES) -> dict[int, int]:
    """Number of the image that a decode puts at each frame."""
    from video_ldm.nodes.host.film.given import given_frames

    values = images[:, 0, 0, 0].tolist()
    return {
        frame: values.index(image[0, 0, 0].item()) for frame, image in given_frames(latent, images).items()
    }


def refused(run) -> str:
    from video_ldm.temporal.errors import InvalidInputError

    with pytest.raises(InvalidInputError) as error:
        run()
    return str(error.value)


@pytest.mark.parametrize(
    ("start", "length", "given", "shown"),
    [
        (0, 8, [0, 4, 6], {0: 0, 4: 1, 6: 2}),
        (4, 4, [4, 6], {0: 1, 2: 2}),
        (1, 3, [], {}),
        (0, 7, [0, 4, 6], {0: 0, 4: 1, 6: 2}),
    ],
)
def test_a_cut_clip_keeps_what_it_still_has(node, storyboard, start, length, given, shown):
    cut = node("LatentFromBatch", samples=storyboard, batch_index=start, length=length)
    assert known(cut) == given and pictures(cut) == shown


def test_a_cut_of_a_cut_is_followed_too(node, storyboard):
    cut = node("LatentFromBatch", samples=storyboard, batch_index=2, length=6)
    again = node("LatentFromBatch", samples=cut, batch_index=2, length=3)
    assert known(again) == [4, 6] and pictures(again) == {0: 1, 2: 2}


def test_frames_that_are_given_to_a_cut_clip_are_counted_from_there(node, storyboard):
    from video_ldm.nodes.host.sampling.known import with_frames

    cut = node("LatentFromBatch", samples=storyboard, batch_index=3, length=5)
    more = with_frames(cut, torch.full((1, 4, SIDE, SIDE), 9.0), ((0, 0),), images=1)
    assert known(more) == [9, 4, 6]
    assert known(node("LatentFromBatch", samples=more, batch_index=0, length=2)) == [9, 4]


def test_a_clip_that_is_joined_on_has_no_known_frames_and_no_mask(node, storyboard):
    cut = node("LatentFromBatch", samples=storyboard, batch_index=0, length=4)
    rest = {"samples": torch.full((4, 4, SIDE, SIDE), 9.0), "batch_index": [20, 21, 22, 23]}
    joined = node("LatentBatch", samples1=cut, samples2=rest)
    assert known(joined) == [0]
    from video_ldm.nodes.host.sampling.known import known_of

    pinned = known_of(joined).pin(joined["noise_mask"])
    assert pinned.flatten(1).mean(1).tolist() == [0, 1, 1, 1, 1, 1, 1, 1]


def test_where_nothing_says_which_frames_there_are_it_is_refused(node, storyboard, rig):
    twice = [
        node("RepeatLatentBatch", samples=storyboard, amount=2),
        node("LatentBatch", samples1=storyboard, samples2=storyboard),
        {**storyboard, "samples": storyboard["samples"][:5]},
    ]
    halves = [node("LatentFromBatch", samples=storyboard, batch_index=0, length=4) for _ in range(2)]
    twice.append(node("LatentBatch", samples1=halves[0], samples2=halves[1]))  # as long as the record
    for clip in twice:
        for run in (lambda clip=clip: known(clip), lambda clip=clip: pictures(clip)):
            assert "nothing says which of them it has" in refused(run)


@pytest.mark.parametrize("behavior", ["random", "fixed"])
def test_other_seeds_do_not_matter(node, storyboard, behavior):
    seeded = node("LatentBatchSeedBehavior", samples=storyboard, seed_behavior=behavior)
    assert known(seeded) == [0, 4, 6] and pictures(seeded) == {0: 0, 4: 1, 6: 2}


def test_the_right_pictures_come_out_of_a_cut_clip(host, node, rig):
    clip = host.call(
        "VLDM_KnownFrames", latent={"samples": torch.randn(FRAMES, 4, SIDE, SIDE)}, pattern="indices",
        every=4, indices="0, 5", vae=rig.vae, images=IMAGES[1:],
    )[0]  # fmt: skip
    cut = node("LatentFromBatch", samples=clip, batch_index=4, length=4)
    decode = {"samples": cut, "vae": rig.vae, "chunk_length": 16, "overlap": 4}
    plain = host.call("VLDM_TemporalVAEDecode", **decode)[0]
    exact = host.call("VLDM_TemporalVAEDecode", **decode, known_images=IMAGES[1:])[0]
    assert torch.equal(exact[1], IMAGES[2]) and not torch.equal(plain[1], IMAGES[2])
    assert torch.equal(exact[[0, 2, 3]], plain[[0, 2, 3]])


def test_after_scaling_frames_are_drawn_anew_unless_given_again(node, storyboard, rig):
    model = rig.with_layers(patcher=rig.stack(known_frames=False))
    larger = node("LatentUpscaleBy", samples=storyboard, upscale_method="nearest-exact", scale_by=2.0)
    assert known(larger) == []
    made = rig.sample_video(model, latent=larger, denoise=0.5)["samples"]
    assert not torch.equal(made[0], larger["samples"][0])
    assert pictures(larger, IMAGES) == {0: 0, 4: 1, 6: 2}, "a decode may still put them there"

    from video_ldm.nodes.host.sampling.known import with_frames

    again = with_frames(larger, torch.full((1, 4, 2 * SIDE, 2 * SIDE), 9.0), ((4, 0),), images=1)
    assert known(again) == [9]
    made = rig.sample_video(model, latent=again, denoise=0.5)["samples"]
    assert torch.equal(made[4], again["samples"][4]) and not torch.equal(made[0], larger["samples"][0])


def test_a_frame_can_be_given_again(storyboard):
    from video_ldm.nodes.host.sampling.known import with_frames

    again = with_frames(storyboard, torch.full((1, 4, SIDE, SIDE), 9.0), ((4, 0),), images=1)
    assert known(again) == [0, 9, 6]
    assert pictures(again) == {0: 0, 6: 1, 4: 2}, "in the order of giving"
    assert storyboard["samples"][4, 0, 0, 0] == 4


def test_given_frames_can_be_forgotten(host, storyboard, node):
    give = {"pattern": "first", "every": 4, "indices": "0", "given_before": "forget"}
    cleared = host.call("VLDM_KnownFrames", latent=storyboard, **give)[0]
    assert known(cleared) == [] and set(cleared) == {"samples"}
    mask = torch.ones(FRAMES, 1, SIDE, SIDE)
    mask[1] = 0.5  # the artist's own
    cleared = host.call("VLDM_KnownFrames", latent={**storyboard, "noise_mask": mask}, **give)[0]
    assert cleared["noise_mask"].flatten(1).mean(1).tolist() == [1, 0.5, 1, 1, 1, 1, 1, 1]
    doubled = node("RepeatLatentBatch", samples=storyboard, amount=2)
    assert set(host.call("VLDM_KnownFrames", latent=doubled, **give)[0]) == {"samples"}
    new = {"samples": torch.full((1, 4, SIDE, SIDE), 9.0)}
    assert known(host.call("VLDM_KnownFrames", latent=storyboard, **give, given_latents=new)[0]) == [9]
