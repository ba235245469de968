"""A folder of clips for training."""

from __future__ import annotations

from dataclasses import replace

from ..temporal.training.data.camera import MOVES
from .host import Node, io
from .host.search import search_aliases
from .host.shown import shown_report
from .host.training.data.footage import footage_in, looks_of
from .rare import rare
from .sockets import VideoDatasetType
from .training_inputs import number_input

NO_MOVE = "none"


class VideoDataset(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="VLDM_VideoDataset",
            display_name="Video Dataset",
            category="Video LDM/training",
            **search_aliases("training clips, load video folder, captions"),
            description="A folder of clips to train on, with folders inside it. Captions are .txt files with "
            "the clip's name, or lines of metadata.jsonl; data sets of the curation command work, too.",
            inputs=[
                io.String.Input(
                    "folder",
                    default="",
                    tooltip="Name of the folder in ComfyUI's input folder, or a full path that its owner "
                    "allows.",
                ),
                number_input("width", 512, (64, 8192, 8), "Clips are scaled and cropped to this width."),
                number_input("height", 512, (64, 8192, 8), "Clips are scaled and cropped to this height."),
                number_input("fps", 8.0, (0.1, 240.0, 0.1), "Frames per second that clips are read at."),
                io.String.Input(
                    "trigger",
                    default="",
                    tooltip="Words in front of every caption; in a prompt they call what was learned.",
                ),
                io.Combo.Input(
                    "camera",
                    options=[NO_MOVE, *MOVES],
                    default=NO_MOVE,
                    tooltip="A move of the camera over each picture of the folder makes the clips; none: the "
                    "folder holds clips.",
                ),
                *rare(
                    io.Boolean.Input(
                        "buckets",
                        default=False,
                        optional=True,
                        tooltip="Keep the shape of clips: each goes to the nearest of some sizes of about "
                        "that area.",
                    ),
                    io.Float.Input(
                        "images",
                        default=0.0,
                        min=0.0,
                        max=0.9,
                        step=0.05,
                        optional=True,
                        tooltip="Share of the steps that see pictures of the folder, as clips of one frame.",
                    ),
                ),
            ],
            outputs=[
                VideoDatasetType.Output(display_name="dataset", tooltip="Connect it to a training node."),
                io.String.Output(display_name="report", tooltip="How many clips and captions there are."),
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, folder: str, **_settings: object) -> str:
        return looks_of(folder)

    @classmethod
    def execute(
        cls,
        folder: str,
        width: int,
        height: int,
        fps: float,
        trigger: str,
        camera: str,
        buckets: bool = False,
        images: float = 0.0,
    ) -> io.NodeOutput:
        move = "" if camera == NO_MOVE else camera
        footage, report = footage_in(folder, (width, height), fps, trigger.strip(), move)
        footage = replace(footage, buckets=buckets, images=images)
        return io.NodeOutput(footage, report, ui=shown_report(report))
