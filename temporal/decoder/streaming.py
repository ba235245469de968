"""Decoding a clip piece by piece: the same frames for every size of the pieces, nothing computed twice.

Every temporal layer holds back the two frames whose neighbours are not there yet, and keeps the two last
frames that its convolutions saw. So the layers further on lag behind, by two frames per layer, and after the
end of the latents they are drained in order. What is kept does not grow with the clip.

Shapes: f frames of a piece, c channels, h w size.
"""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from ..errors import InvalidInputError
from .decoder import TemporalDecoder
from .layers import LayerTail
from .plan import DecoderSite

AtSite = Callable[[DecoderSite, Tensor], Tensor]
RunDecoder = Callable[[Tensor, AtSite], Tensor]
NO_FRAMES = "The clip has no frames; connect a latent with at least one."


class LatentReader:
    """Latents of one clip, handed out in the lengths asked for.

    They come as one tensor (f c h w) or in pieces of any length.
    """

    def __init__(self, latents: Tensor | Iterator[Tensor]) -> None:
        self._pieces = iter([latents]) if isinstance(latents, Tensor) else latents
        self._ahead: Tensor | None = None

    def peek(self, length: int) -> Tensor:
        """The next frames, at most `length`, without taking them; none at the end.

        Raises InvalidInputError when there is not a single frame in the clip.
        """
        return self._filled(length)[:length]

    def take(self, length: int) -> Tensor:
        """The next frames, at most `length`; none at the end."""
        ahead = self._filled(length)
        self._ahead = ahead[length:]
        return ahead[:length]

    def _filled(self, length: int) -> Tensor:
        """All frames that wait, at least `length` of them unless the clip ends before."""
        ahead = [] if self._ahead is None else [self._ahead]
        count = sum(map(len, ahead))
        while count < length and (piece := next(self._pieces, None)) is not None:
            ahead.append(piece)
            count += len(piece)
        if not count and self._ahead is None:
            raise InvalidInputError(NO_FRAMES)
        self._ahead = joined = ahead[0] if len(ahead) == 1 else torch.cat(ahead)
        return joined


class DecoderStream:
    """One clip on its way through a decoder.

    A call that fails changes nothing: it can be made again with fewer frames.

    `run(latents, at_site)` decodes frames (f c h w) with the image model and hands `at_site` the output of
    the residual block at every site of the temporal decoder, in order. Without a decoder the frames are the
    image model's.
    """

    def __init__(self, run: RunDecoder, decoder: TemporalDecoder | None = None) -> None:
        self._run = run
        self._sites = () if decoder is None else decoder.sites
        self._layers = (
            {site.name: decoder.layer(site) for site in decoder.sites} if decoder is not None else {}
        )
        self._tails: dict[str, LayerTail] = {}
        self._ended = 0  # sites that have given out their last frame
        self._filler: Tensor | None = None  # a latent to decode when none are left

    @property
    def finished(self) -> bool:
        """True when every frame has come out."""
        return self._ended == len(self._sites)

    @property
    def begun(self) -> bool:
        """True when latents went in."""
        return self._filler is not None

    def whole(self, latents: Tensor) -> Tensor:
        """All latents of the clip (f c h w) at once to all its frames."""
        frames = self._advance(latents, len(latents), len(self._sites))
        self._ended, self._filler = len(self._sites), latents[-1:]
        return frames

    def push(self, latents: Tensor) -> Tensor:
        """The next latents (f c h w) to the frames that are ready now, which may be none."""
        frames = self._advance(latents, len(latents), self._ended)
        self._filler = latents[-1:].clone()
        return frames

    def drain(self, most: int) -> Tensor:
        """After the last latents: the next frames, at most `most` and at least two; call until `finished`."""
        if self._filler is None:
            raise InvalidInputError(NO_FRAMES)
        stop = min(len(self._sites), self._ended + max(1, most // 2))
        frames = self._advance(self._filler, 0, stop)
        self._ended = stop
        return frames

    def _advance(self, latents: Tensor, real: int, stop: int) -> Tensor:
        """Run with `real` frames; sites before `stop` come to their end.

        The image model always gets a frame to work on: where none is ready, one that is not looked at.
        """
        tails = dict(self._tails)
        place = {site.name: number for number, site in enumerate(self._sites)}

        def at_site(site: DecoderSite, hidden: Tensor) -> Tensor:
            nonlocal real
            if place[site.name] < self._ended:
                return hidden
            layer, tail = self._layers[site.name], tails.get(site.name, LayerTail())
            ready, tails[site.name] = layer.advance(hidden[:real], tail, ends=place[site.name] < stop)
            real = len(ready)
            return ready if real else hidden[:1]

        frames = self._run(latents, at_site)[:real]
        self._tails = {name: tail for name, tail in tails.items() if place[name] >= stop}
        return frames
