"""Load Video Model: files that bring an image model and the temporal layers trained with it."""

from __future__ import annotations

from .host import io, ui
from .host.schedule import AUTO, NAMES, with_schedule
from .host.search import search_aliases
from .host.video_model import load_video_model, video_model_names


class LoadVideoModel(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="VLDM_LoadVideoModel",
            display_name="Load Video Model",
            category="Video LDM/loaders",
            **search_aliases(
                "svd, stable video diffusion, modelscope, zeroscope, videocrafter, lavie, seine"
            ),
            description="Opens a whole video model, whose image model and temporal layers were trained together: Stable Video "
            "Diffusion, ModelScope, ZeroScope, VideoCrafter 1 and 2, LaVie, SEINE.",
            inputs=[
                io.Combo.Input(
                    "file",
                    options=video_model_names(),
                    tooltip="File in models/checkpoints or models/diffusion_models, in the original or diffusers' spelling.",
                ),
                io.Float.Input(
                    "strength",
                    default=1.0,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    optional=True,
                    tooltip="How much the temporal layers do: 1 as trained, 0 the image model alone. Stable Video Diffusion is "
                    "always as trained.",
                ),
                io.Combo.Input(
                    "schedule",
                    options=list(NAMES),
                    default=AUTO,
                    optional=True,
                    tooltip="Noise schedule: auto and checkpoint are the one that the model was trained with; the others replace "
                    "it, the lcm ones also set consistency sampling.",
                ),
            ],
            outputs=[
                io.Model.Output(
                    tooltip="The video model; connect it to Video KSampler or the host's KSampler, with the frames of the clip "
                    "as the batch of the latent."
                ),
                io.String.Output(
                    display_name="report",
                    tooltip="What the file is and how to sample with it: clip length, schedule, sampler, licence.",
                ),
            ],
        )

    @classmethod
    def execute(cls, file: str, strength: float = 1.0, schedule: str = AUTO) -> io.NodeOutput:
        model, report = load_video_model(file, strength)
        return io.NodeOutput(with_schedule(model, schedule, None), report, ui=ui.PreviewText(report))
