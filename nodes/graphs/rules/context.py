"""Context options: Video Windows."""

from __future__ import annotations

from ..graph import GraphNode, Link
from ..work import Work

SCHEDULES = {
    "ADE_AnimateDiffUniformContextOptions": "looped_uniform",
    "ADE_LoopedUniformContextOptions": "looped_uniform",
    "ADE_StandardUniformContextOptions": "standard_uniform",
    "ADE_StandardStaticContextOptions": "standard_static",
    "ADE_BatchedContextOptions": "batched",
}
FUSE_METHODS = ("pyramid", "overlap-linear", "relative", "flat")
EXTRAS = (
    "ContextRef and NaiveReuse are not carried over: far parts of a long clip look less alike. To hold "
    "a long clip together use repeated_noise of Video Windows, or keyframes over the whole clip and "
    "Latent Interpolate."
)
VIEWS = "ADE_ViewsOnlyContextOptions"
VIEWS_WITHIN = (
    "views inside the windows are not carried over: the layers see each window whole, which moves more "
    "evenly. A window must not be longer than what they were trained for."
)


def context_of(work: Work, node: GraphNode) -> GraphNode | None:
    """The context options that hold from the first step on; of others the report tells."""
    found = work.option(node, "context_options")
    while found is not None and found.type == "ADE_ContextExtras_Set":
        work.lost(found, EXTRAS)
        work.option(found, "context_extras")
        found = work.option(found, "context_opts")
    parts = work.chain(found, "prev_context")
    parts.sort(key=lambda part: float(work.fixed(part, "start_percent") or 0))
    for later in parts[1:]:
        work.lost(later, "windows cannot change during the sampling; those of the first steps hold for all.")
    return parts[0] if parts else None


def longer_clips(context: GraphNode | None) -> str:
    """Choose the treatment of clips longer than the layers were trained for."""
    return "convolve" if context is not None and context.type == VIEWS else "refuse"


def with_windows(work: Work, model: Link | None, context: GraphNode | None) -> Link | None:
    """The MODEL with its windows."""
    if context is None:
        return model
    if context.type == VIEWS:
        work.option(context, "view_opts_req")
        work.lost(
            context,
            "windows inside the temporal layers have no equal. Load Temporal Layers has longer_clips "
            "convolve instead: each frame sees those near it in time.",
        )
        return model
    if context.type not in SCHEDULES:
        work.lost(
            context,
            "these context options are not understood; add Video Windows for clips that are too long.",
        )
        return model
    if work.option(context, "view_opts") is not None:
        work.lost(context, VIEWS_WITHIN)
    work.became(context, "Video Windows")
    return _windows(work, model, context, SCHEDULES[context.type])


def v1_windows(work: Work, model: Link, loader: GraphNode) -> Link:
    """The MODEL with the windows that the oldest loader had among its own widgets."""
    return _windows(work, model, loader, "looped_uniform")


def _windows(work: Work, model: Link | None, node: GraphNode, schedule: str) -> Link:
    batched = schedule == "batched"
    fuse = "flat" if batched else work.fixed(node, "fuse_method") or "flat"
    if fuse not in FUSE_METHODS:
        work.differs(node, f"fuse method {fuse!r} has no equal; pyramid is used.")
        fuse = "pyramid"
    if fuse == "relative" and schedule != "standard_static":
        work.differs(node, "fuse method relative goes with standard static windows alone; pyramid is used.")
        fuse = "pyramid"
    inputs = {
        "context_overlap": 0 if batched else work.given(node, "context_overlap"),
        "closed_loop": work.given(node, "closed_loop") or False,
        "context_stride": work.given(node, "context_stride") or 1,
        "on_equal_length": work.given(node, "use_on_equal_length") or False,
    }
    return work.add(
        "VLDM_VideoWindows",
        node,
        model=model,
        context_length=work.given(node, "context_length"),
        context_schedule=schedule,
        fuse_method=fuse,
        **inputs,
    )
