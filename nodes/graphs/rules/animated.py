"""PIA and AnimateLCM-I2V: Image Motion on the model, Known Frames and Video KSampler around it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..graph import GraphNode, Link
from ..work import Work
from .values import multival

MOTIONS = {
    f"{old} ({size.title()} Motion)": f"{new}{size}"
    for old, new in (("Animation", ""), ("Loop", "loop "), ("Style Transfer", "style "))
    for size in ("small", "medium", "large")
}
SAMPLER = "KSampler"
FOLLOWED = 10000  # nodes between a model and its samplers
SAMPLER_INPUTS = ("positive", "negative", "seed", "steps", "cfg", "sampler_name", "scheduler", "denoise")


@dataclass(frozen=True)
class Animated:
    """The image that a motion model animates.

    `known` are inputs of Known Frames, `motion` of Image Motion.
    """

    apply: GraphNode
    known: dict[str, Any]
    motion: dict[str, Any] | None

    def moved(self, work: Work, model: Link) -> Link:
        """The MODEL that is told how far to move it."""
        if self.motion is None:
            return model
        return work.add("VLDM_ImageMotion", self.apply, model=model, **self.motion)


def animated(work: Work, apply: GraphNode) -> Animated | None:
    """The image of an apply node that has one."""
    if apply.type == "ADE_ApplyAnimateDiffModelWithPIA":
        image = {"images": apply.inputs.get("image"), "vae": apply.inputs.get("vae")}
        return Animated(apply, image, _pia(work, apply))
    if apply.type == "ADE_ApplyAnimateLCMI2VModel":
        if work.fixed(apply, "ref_drift"):
            work.differs(
                apply, "ref_drift has no equal; frame_weight of Image Motion says how far the image moves."
            )
        return Animated(apply, {"given_latents": apply.inputs.get("ref_latent")}, None)
    return None


def _pia(work: Work, apply: GraphNode) -> dict[str, Any]:
    found = work.option(apply, "pia_input")
    if found is None:
        return {"motion": "medium"}
    if found.type == "ADE_InputPIA_PaperPresets":
        if work.fixed(found, "batch_index"):
            work.differs(
                found,
                "the given image is the first frame; for another place set pattern indices of Known Frames.",
            )
        if work.option(found, "mult_multival") is not None:
            work.differs(
                found, "its factor is left out; write the numbers you want into affinities of Image Motion."
            )
        work.became(found, "Image Motion")
        return {"motion": MOTIONS.get(work.fixed(found, "preset"), "small")}
    value = multival(work, found, "multival")
    work.became(found, "Image Motion")
    if value is None or not value.plain:
        work.differs(
            found, "its values change from frame to frame; write them into affinities of Image Motion."
        )
        return {"motion": "medium"}
    return {"motion": "custom", "affinities": f"1, {min(max(float(value.number), 0), 1):g}"}


def with_image(work: Work, model: Link, image: Animated) -> None:
    """Put the image into the latents of every KSampler that the model reaches.

    It becomes a Video KSampler.
    """
    seen, ahead, samplers = set(), [model], 0
    while ahead and len(seen) < FOLLOWED:
        link = ahead.pop()
        for node, name in list(work.graph.consumers(link)):
            if node.id in seen or "model" not in name.lower():
                continue
            seen.add(node.id)
            if node.type == SAMPLER:
                _video_sampler(work, node, image)
                samplers += 1
            else:
                ahead.append(Link(node.id, 0))
    if not samplers:
        work.lost(
            image.apply,
            "its image reaches the sampler through the latent now, and no KSampler was found. Put Known "
            "Frames with the image before the sampler, which must be Video KSampler or take a Video Guider.",
        )


def _video_sampler(work: Work, node: GraphNode, image: Animated) -> None:
    known = work.add(
        "VLDM_KnownFrames",
        image.apply,
        latent=node.inputs.get("latent_image"),
        pattern="first",
        **image.known,
    )
    inputs = {name: work.given(node, name) for name in SAMPLER_INPUTS}
    inputs = {name: value for name, value in inputs.items() if value is not None}
    made = work.add("VLDM_VideoKSampler", node, model=node.inputs.get("model"), latent_image=known, **inputs)
    work.became(node, "Video KSampler, with Known Frames before it")
    work.differs(image.apply, "the first frame comes out as the given image, exactly.")
    work.replace(node, made)


def scaled_image(work: Work, node: GraphNode) -> None:
    """The image for AnimateLCM-I2V, scaled to the latent and encoded."""
    image = node.inputs.get("image")
    source, _ = work.source(
        node.inputs.get("latent_size") if isinstance(node.inputs.get("latent_size"), Link) else None
    )
    sizes = {name: _size(work, source, name) for name in ("width", "height")}
    if None in sizes.values():
        work.differs(node, "the image is encoded in its own size; scale it to the size of the clip before.")
        scaled = image
    else:
        methods = {"upscale_method": work.given(node, "scale_method"), "crop": work.given(node, "crop")}
        scaled = work.add("ImageScale", node, image=image, **methods, **sizes)
    work.became(node, "Upscale Image and VAE Encode")
    work.replace(node, work.add("VAEEncode", node, pixels=scaled, vae=node.inputs.get("vae")))


def _size(work: Work, source: GraphNode | None, name: str) -> Any:
    """Width or height of the clip, where its node says them."""
    if source is None or source.type not in ("EmptyLatentImage", "ADE_EmptyLatentImageLarge"):
        return None
    values = source.raw.get("widgets_values")
    if name not in source.inputs and source.at is None and isinstance(values, list) and len(values) >= 2:
        return values[0 if name == "width" else 1]
    return source.inputs.get(name)
