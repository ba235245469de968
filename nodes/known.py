"""Known Frames: frames that are given, at their place in a clip."""

from __future__ import annotations

from ..temporal.sampling.known_frames import PATTERNS
from ..temporal.video.fit import CROP
from .host import Node, io
from .host.sampling.known_images import GIVEN_BEFORE, IMAGE_FITS, KEEP, fit_images, give_frames, given_images
from .host.search import search_aliases
from .rare import rare


class KnownFramesNode(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="VLDM_KnownFrames",
            display_name="Known Frames (image to video)",
            category="Video LDM/latent",
            **search_aliases(
                "image to video, img2vid, i2v, first frame, last frame, keyframes, storyboard, loop"
            ),
            description="Puts given images or latents at frames of a clip: image to video, continuing, "
            "filling in between, storyboards, loops.",
            inputs=[
                io.Latent.Input(
                    "latent",
                    tooltip="The clip to make, from Empty Latent Image with batch_size = frames; or the "
                    "output of another Known Frames, to give more.",
                ),
                io.Combo.Input(
                    "pattern",
                    options=list(PATTERNS),
                    default="first",
                    tooltip="Where the frames go. first: the start, to continue from; last: the end; both: "
                    "one half at either end; every N: frames 0, N, 2N ...; loop: one frame at the start "
                    "and the end; indices: the list below.",
                ),
                io.Int.Input(
                    "every",
                    default=4,
                    min=1,
                    max=1024,
                    tooltip="The N of pattern every N: a given frame at every N-th frame of the clip.",
                ),
                io.String.Input(
                    "indices",
                    default="0, -1",
                    tooltip="For pattern indices: one frame number for each given frame, in their order, "
                    "counted from 0; -1 is the last frame.",
                ),
                io.Vae.Input(
                    "vae", optional=True, tooltip="The checkpoint's VAE; needed when images are given."
                ),
                *(_images_input(name) for name in ("images", "images_2", "images_3", "images_4")),
                io.Latent.Input(
                    "given_latents",
                    optional=True,
                    tooltip="Latents of given frames, after those of the images, such as frames of another "
                    "clip.",
                ),
                _fit_input(),
                *rare(_given_before_input()),
            ],
            outputs=_outputs(),
        )

    @classmethod
    def execute(
        cls,
        latent: io.Latent.Type,
        pattern: str,
        every: int,
        indices: str,
        vae: io.Vae.Type | None = None,
        images: io.Image.Type | None = None,
        images_2: io.Image.Type | None = None,
        images_3: io.Image.Type | None = None,
        images_4: io.Image.Type | None = None,
        given_latents: io.Latent.Type | None = None,
        fit: str = CROP,
        given_before: str = KEEP,
    ) -> io.NodeOutput:
        given = [batch for batch in (images, images_2, images_3, images_4) if batch is not None]
        given = fit_images(latent, vae, given, fit)
        clip = give_frames(latent, vae, given, given_latents, pattern, every, indices, given_before)
        return io.NodeOutput(clip, given_images(given))


def _outputs() -> list[io.Output]:
    return [
        io.Latent.Output(
            tooltip="The clip with its known frames; connect it to Video KSampler, or to Video "
            "Guider and the latent_image of SamplerCustomAdvanced."
        ),
        io.Image.Output(
            display_name="images",
            tooltip="The given images in the size of the clip, for known_images of a decode.",
        ),
    ]


def _images_input(name: str) -> io.Input:
    return io.Image.Input(
        name,
        optional=True,
        tooltip="Given images, one or a batch; several inputs follow each other, so four images make a "
        "storyboard in one node.",
    )


def _fit_input() -> io.Input:
    """Input for images of another size than the clip."""
    return io.Combo.Input(
        "fit",
        options=list(IMAGE_FITS),
        default=CROP,
        optional=True,
        tooltip="For images of another size than the clip. crop: scale and cut what stands over; pad: the "
        "whole image between black bars; stretch: change its proportions; refuse: stop and say so.",
    )


def _given_before_input() -> io.Input:
    """Input for the fate of the known frames that the clip has already."""
    return io.Combo.Input(
        "given_before",
        options=list(GIVEN_BEFORE),
        default=KEEP,
        optional=True,
        tooltip="What an earlier Known Frames gave: keep it, but for the frames that are given here again; "
        "or forget it all, also without giving anything new.",
    )
