"""Load Sparse Control: SparseCtrl for the host's Apply ControlNet."""

from __future__ import annotations

from ..temporal.sampling.known_frames import PATTERNS
from .host import Node, io
from .host.files import CONTROL_NETS, choices, full_path
from .host.layers.self_test import check_host, with_host
from .host.layers.sparse_control import Places, load_sparse_control
from .host.search import search_aliases
from .host.shown import shown_report


class LoadSparseControl(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="VLDM_LoadSparseControl",
            display_name="Load Sparse Control (SparseCtrl)",
            category="Video LDM/loaders",
            **search_aliases("sparsectrl, animatediff controlnet, sparse controlnet loader"),
            description="Opens SparseCtrl: a few pictures or drawings say what some frames of a clip look "
            "like, the others follow. For Apply ControlNet, with AnimateDiff v3 on the model.",
            inputs=[
                io.Combo.Input(
                    "file",
                    options=choices(CONTROL_NETS),
                    tooltip="SparseCtrl file in models/controlnet, for RGB frames or for scribbles.",
                ),
                io.Combo.Input(
                    "pattern",
                    options=list(PATTERNS),
                    default="first",
                    tooltip="Where the images of Apply ControlNet go in the clip. first: the start; last: "
                    "the end; both: one half at either end; every N: frames 0, N, 2N ...; loop: "
                    "one image at the start and the end; indices: the list below.",
                ),
                io.Int.Input(
                    "every",
                    default=4,
                    min=1,
                    max=1024,
                    tooltip="The N of pattern every N: an image at every N-th frame of the clip.",
                ),
                io.String.Input(
                    "indices",
                    default="0, -1",
                    tooltip="For pattern indices: one frame number for each image, in their order, counted "
                    "from 0; -1 is the last frame.",
                ),
            ],
            outputs=[
                io.ControlNet.Output(
                    tooltip="Connect it to Apply ControlNet; SparseCtrl for RGB frames needs the "
                    "checkpoint's VAE there."
                ),
                io.String.Output(
                    display_name="report", tooltip="What the file holds and how to use it: frames, licence."
                ),
            ],
        )

    @classmethod
    def execute(cls, file: str, pattern: str, every: int, indices: str) -> io.NodeOutput:
        host = check_host()
        control, report = load_sparse_control(full_path(CONTROL_NETS, file), Places(pattern, every, indices))
        report = with_host(report, host)
        return io.NodeOutput(control, report, ui=shown_report(report))
