"""The loaders: from image model to video model, from image decoder to video decoder."""

from __future__ import annotations

from .host import io
from .host.files import TEMPORAL_DECODERS, TEMPORAL_LAYERS, file_names, open_temporal_layers
from .host.insertion import LayerSettings, add_temporal_layers
from .host.vae import open_temporal_decoder

AS_TRAINED = -1.0


def _alpha_input(section: str, where: str) -> io.Input:
    return io.Float.Input(
        f"alpha_{section}",
        default=AS_TRAINED,
        min=AS_TRAINED,
        max=1.0,
        step=0.01,
        optional=True,
        tooltip=f"Weight of the image model in {where}: 1 switches the temporal layers there off, 0 uses only them, "
        "-1 keeps what was trained.",
    )


class LoadTemporalLayers(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="VLDM_LoadTemporalLayers",
            display_name="Load Temporal Layers",
            category="Video LDM/loaders",
            description="Adds temporal layers to an image model, so that it makes frames that belong together.",
            inputs=[
                io.Model.Input(
                    "model", tooltip="Image model: an SD 1.x, SD 2.x or SDXL checkpoint, LoRA included."
                ),
                io.Combo.Input(
                    "file",
                    options=file_names(TEMPORAL_LAYERS),
                    tooltip="File of temporal layers in models/temporal_layers, made for the same base model.",
                ),
                io.Float.Input(
                    "strength",
                    default=1.0,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    tooltip="How much the temporal layers do: 1 as trained, 0 is exactly the image model.",
                ),
                _alpha_input("input", "the downward half of the UNet"),
                _alpha_input("middle", "the middle of the UNet"),
                _alpha_input("output", "the upward half of the UNet"),
            ],
            outputs=[
                io.Model.Output(tooltip="The model with temporal layers; connect it to Video KSampler.")
            ],
        )

    @classmethod
    def execute(
        cls,
        model: io.Model.Type,
        file: str,
        strength: float,
        alpha_input: float = AS_TRAINED,
        alpha_middle: float = AS_TRAINED,
        alpha_output: float = AS_TRAINED,
    ) -> io.NodeOutput:
        given = {"input": alpha_input, "middle": alpha_middle, "output": alpha_output}
        alphas = {section: alpha for section, alpha in given.items() if alpha >= 0}
        settings = LayerSettings(strength=strength, alphas=alphas)
        return io.NodeOutput(add_temporal_layers(model, open_temporal_layers(file), settings))


class LoadTemporalDecoder(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="VLDM_LoadTemporalDecoder",
            display_name="Load Temporal Decoder",
            category="Video LDM/loaders",
            description="Adds temporal layers to a VAE's decoder, so that decoded frames do not flicker.",
            inputs=[
                io.Vae.Input("vae", tooltip="The VAE of the checkpoint that makes the latents."),
                io.Combo.Input(
                    "file",
                    options=file_names(TEMPORAL_DECODERS),
                    tooltip="File in models/temporal_decoders, made for the same kind of VAE.",
                ),
            ],
            outputs=[
                io.Vae.Output(tooltip="The VAE with a temporal decoder; connect it to Temporal VAE Decode.")
            ],
        )

    @classmethod
    def execute(cls, vae: io.Vae.Type, file: str) -> io.NodeOutput:
        return io.NodeOutput(open_temporal_decoder(vae, file))
