"""Decoding piece by piece.

The frames of a whole decode, whatever the pieces, each once and in bounded memory.
"""

from itertools import pairwise

import pytest
import torch
from torch import nn
from video_ldm.temporal.decoder import TAESD, DecoderConfig, DecoderShape, TemporalDecoder
from video_ldm.temporal.decoder.streaming import DecoderStream, LatentReader
from video_ldm.temporal.decoder.windows import cross_fade, decode_windows, longest_window
from video_ldm.temporal.errors import InvalidInputError

from ..tiny import normal, sine_init

SMALL = DecoderShape("kl", channels=8, channel_mult=(1, 2), num_res_blocks=1)


class Image(nn.Module):
    """An image decoder: a convolution before every site; sees one frame at a time."""

    def __init__(self, sites):
        super().__init__()
        torch.manual_seed(0)
        widths = [4, *(site.channels for site in sites)]
        self.sites = sites
        self.convs = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in pairwise(widths))
        self.frames = []  # how many each call got

    def run(self, latents, at_site):
        self.frames.append(len(latents))
        for conv, site in zip(self.convs, self.sites, strict=True):
            assert len(latents), "the image model must never get an empty batch"
            latents = at_site(site, torch.tanh(conv(latents)))
        return latents


@pytest.fixture(params=[TAESD, SMALL], ids=["taesd", "kl"])
def parts(request):
    decoder = sine_init(TemporalDecoder(DecoderConfig(request.param, "tiny")), scale=0.05)
    with torch.no_grad():
        yield decoder, Image(decoder.sites)


def streamed(stream, latents, length):
    """Pieces of a whole clip."""
    pieces = [stream.push(piece) for piece in latents.split(length)]
    while not stream.finished:
        pieces.append(stream.drain(length))
    return pieces


@pytest.mark.parametrize("num_frames", [1, 2, 5, 24])
@pytest.mark.parametrize("length", [1, 3, 8])
def test_equals_the_whole_clip_for_every_length(parts, num_frames, length):
    decoder, image = parts
    latents = normal(num_frames, 4, 3, 5)
    whole = image.run(latents, decoder)
    assert (whole - image.run(latents, lambda _, hidden: hidden)).abs().max() > 1e-3
    pieces = streamed(DecoderStream(image.run, decoder), latents, length)
    torch.testing.assert_close(torch.cat(pieces), whole, rtol=0, atol=1e-5)
    assert max(map(len, pieces)) <= max(length, 2)


def test_a_whole_clip_at_once_is_the_whole_decode_bit_for_bit(parts):
    decoder, image = parts
    latents = normal(5, 4, 3, 5)
    stream = DecoderStream(image.run, decoder)
    assert not stream.begun
    assert torch.equal(stream.whole(latents), image.run(latents, decoder))
    assert stream.begun and stream.finished


def test_nothing_is_computed_twice(parts):
    """Every layer sees every frame once: as many frames go in as the clip has."""
    decoder, image = parts
    seen = dict.fromkeys(decoder.layers, 0)
    for name, layer in decoder.layers.items():
        hook = lambda _m, args, name=name: seen.__setitem__(name, seen[name] + len(args[0]))  # noqa: E731
        layer.norm_in.register_forward_pre_hook(hook)
    streamed(DecoderStream(image.run, decoder), normal(30, 4, 3, 5), 4)
    assert set(seen.values()) == {30}


def test_what_is_kept_does_not_grow_with_the_clip(parts):
    decoder, image = parts
    stream = DecoderStream(image.run, decoder)

    def kept():
        values = [v for tail in stream._tails.values() for v in vars(tail).values() if v is not None]
        return sum(value.untyped_storage().nbytes() for value in values)

    sizes = []
    for piece in normal(90, 4, 3, 5).split(6):
        stream.push(piece)
        sizes.append(kept())
    assert sizes[-1] == sizes[7] == kept()
    frame = sum(site.channels * 3 * 5 * 4 for site in decoder.sites)
    assert sizes[-1] == 6 * frame


def test_a_failed_piece_changes_nothing(parts):
    decoder, image = parts
    latents = normal(12, 4, 3, 5)
    whole = image.run(latents, decoder)
    calls = []

    def run(piece, at_site):
        calls.append(len(piece))

        def fails_late(site, hidden):
            ready = at_site(site, hidden)
            if site == decoder.sites[3] and len(calls) in (2, 5):
                raise MemoryError
            return ready

        return image.run(piece, fails_late)

    stream, frames, reader = DecoderStream(run, decoder), [], LatentReader(latents)
    while not stream.finished:
        piece = reader.peek(4)
        try:
            frames.append(stream.push(piece) if len(piece) else stream.drain(4))
            reader.take(len(piece))
        except MemoryError:
            smaller = reader.take(1) if len(piece) else None
            frames.append(stream.drain(2) if smaller is None else stream.push(smaller))
    torch.testing.assert_close(torch.cat(frames), whole, rtol=0, atol=1e-5)


def test_the_reader_cuts_pieces_of_any_length():
    latents = normal(11, 4, 1, 1)
    reader = LatentReader(iter(latents.split([1, 4, 0, 6])))
    assert torch.equal(reader.peek(3), latents[:3])
    taken = [reader.take(n) for n in (2, 5, 1, 9, 4)]
    assert [len(piece) for piece in taken] == [2, 5, 1, 3, 0]
    assert torch.equal(torch.cat(taken), latents)


def test_a_clip_without_frames_is_refused():
    with pytest.raises(InvalidInputError, match="no frames; connect a latent"):
        LatentReader(torch.zeros(0, 4, 2, 2)).take(3)
    with pytest.raises(InvalidInputError, match="no frames"):
        LatentReader(iter([])).take(3)


@pytest.mark.parametrize("num_frames", [1, 2, 16, 17, 40])
@pytest.mark.parametrize(("length", "overlap"), [(2, 0), (8, 2), (3, 5), (64, 4)])
def test_windows_give_every_frame_once(num_frames, length, overlap):
    """A decoder that looks at nothing but the frame itself: windows must not show."""
    latents, sizes = normal(num_frames, 4, 2, 3), []

    def decode(window):
        sizes.append(len(window))
        return 2 * window

    pieces = list(decode_windows(decode, LatentReader(iter(latents.split(3))), length, overlap))
    torch.testing.assert_close(torch.cat(pieces), 2 * latents)
    assert max(sizes) == longest_window(num_frames, length, overlap)
    assert min(sizes) >= min(2, num_frames)


def test_windows_fade_over_in_even_steps():
    """Two windows of a decoder that stamps its calls: 2 + 2 shared frames go from 0 to 1 in fifths."""
    calls = []

    def decode(window):
        calls.append(None)
        return torch.full((len(window), 1, 1, 1), len(calls) - 1.0)

    frames = torch.cat(list(decode_windows(decode, LatentReader(torch.zeros(12, 4, 1, 1)), 6, 2))).flatten()
    expected = torch.tensor([0, 0, 0, 0, 0.2, 0.4, 0.6, 0.8, 1, 1, 1, 1])
    torch.testing.assert_close(frames, expected)


def test_cross_fade_is_a_linear_ramp():
    faded = cross_fade(torch.zeros(3, 2), torch.ones(5, 2))
    torch.testing.assert_close(faded[:, 0], torch.tensor([0.25, 0.5, 0.75, 1, 1]))
