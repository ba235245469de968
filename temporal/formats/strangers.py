"""Files that are not temporal layers: what they are, and where they belong."""

from collections.abc import Iterable

from ..files import WeightsFile, listed

# what a file is: any of these in any key. The first match counts: checkpoints hold autoencoders, adapters name UNets.
SIGNS: tuple[tuple[tuple[str, ...], str], ...] = (
    (
        ("lora_up", "lora_down", "lora_A.", "lora_B.", "hada_w1", "lokr_w1"),
        "it is a LoRA; load it with a LoRA loader.",
    ),
    (
        ("control_model.", "controlnet_", "zero_convs.", "input_hint_block."),
        "it is a ControlNet; load it with Load ControlNet Model.",
    ),
    (
        ("motion_modules.", "temporal_transformer."),
        "it is a motion module of the AnimateDiff kind, which this version does not read.",
    ),
    (
        (".time_stack.", "temporal_transformer_blocks."),
        "it is a whole video model (Stable Video Diffusion); load it with Load Checkpoint.",
    ),
    (
        ("model.diffusion_model.",),
        "it is a checkpoint of an image model; load it with Load Checkpoint, and temporal layers beside it.",
    ),
    (("taesd_decoder.", "taesd_encoder."), "it is a TAESD autoencoder; load it with Load VAE."),
    (
        ("first_stage_model.", "decoder.conv_in.", "encoder.conv_in.", "decoder.mid."),
        "it is a VAE; load it with Load VAE.",
    ),
    (("text_model.", "transformer.resblocks."), "it is a text encoder; load it with Load CLIP."),
    (
        ("input_blocks.", "down_blocks."),
        "it is a diffusion model on its own; load it with Load Diffusion Model.",
    ),
    (
        ("emb_params", "string_to_param", "clip_l", "clip_g"),
        "it is a textual inversion; name it in the prompt.",
    ),
)

OWN_FORMATS = {
    "video_ldm.temporal_layers": "it holds temporal layers of a UNet; it belongs in models/temporal_layers.",
    "video_ldm.temporal_decoder": "it is a temporal decoder; it belongs in models/temporal_decoders.",
}


def describe(file: WeightsFile) -> str:
    """One sentence on what a file is instead."""
    own = OWN_FORMATS.get(file.metadata.get("format", ""))
    nameless = f"its weights are of no known kind ({listed(file.tensors) or 'there are none'})."
    return own or _kind(file.tensors) or nameless


def _kind(keys: Iterable[str]) -> str | None:
    keys = list(keys)
    for signs, sentence in SIGNS:
        if any(sign in key for key in keys for sign in signs):
            return sentence
    return None
