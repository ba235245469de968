"""Files that hold neither temporal layers nor a video model that can be read.

What they are, and where they belong.

The first sign that fits counts: relatives of motion modules, then video models, then everything else an
artist may have.
"""

from collections.abc import Mapping

from torch import Tensor

from ..weights.files import WeightsFile, listed
from .signs import Sign

NOT_YET = "which this version does not read."
WHOLE = "a whole video model: its image model was trained along, so its temporal layers fit no other"


LORA = ("_lora.", "lora_up", "lora_down", "lora_A.", "lora_B.", "hada_w1", "lokr_w1")

# hold motion modules, but need something beside them
MOTION_LORA = Sign(
    "it is a motion LoRA; put it in models/motion_lora and load it with Load Motion LoRA.",
    ("motion_modules",),  # in flat names without a dot after it
    LORA,
)
RELATIVES = (
    MOTION_LORA,
    Sign(
        "it is SparseCtrl for RGB frames; put it in models/controlnet and load it with Load Sparse Control.",
        ("controlnet_cond_embedding.weight", "motion_modules."),
    ),
    Sign(
        "it is SparseCtrl for scribbles; put it in models/controlnet and load it with Load Sparse Control.",
        ("controlnet_cond_embedding", "motion_modules."),
    ),
    Sign("it is FancyVideo, " + NOT_YET, ("motion_modules.", "fps_embedding.linear")),
)
VIDEO_MODELS = (
    Sign(
        "it holds temporal layers of LaVie or SEINE without the image model that was trained along; load "
        "the whole file.",
        (".attn_temp.", "time_rel_pos_bias."),
    ),
    Sign(
        f"it is a masked variant of LaVie's interpolation model, {WHOLE}, {NOT_YET}",
        (".attn_temp.",),
        size=("conv_in.weight", 1, 9),
    ),
    Sign("it is Tune-A-Video, one model per clip, " + NOT_YET, (".attn_temp.",)),
    Sign(
        f"it is DynamiCrafter for 256 x 256, {WHOLE}, {NOT_YET}",
        ("init_attn.0.", "attn2.alpha"),
        size=("input_blocks.0.0.weight", 1, 8),
    ),
    Sign(
        f"it is DynamiCrafter or ToonCrafter, {WHOLE}, {NOT_YET}",
        ("init_attn.0.",),
        size=("input_blocks.0.0.weight", 1, 8),
    ),
    Sign(f"it is I2VGen-XL, {WHOLE}, {NOT_YET}", ("image_latents_proj_in.",)),
    Sign(
        "it is the decoder of ToonCrafter; put it in models/temporal_decoders and load it with Load "
        "Temporal Decoder.",
        ("decoder.attn_refinement.",),
    ),
    Sign(
        "it is the temporal decoder of Stable Video Diffusion; put it in models/temporal_decoders and load "
        "it with Load Temporal Decoder.",
        either=("decoder.mid.block_1.mix_factor", "decoder.time_conv_out."),
    ),
    Sign("it is the video VAE of Upscale-A-Video, " + NOT_YET, ("decoder.condition_fuse.",)),
    Sign(
        "it is the domain adapter of AnimateDiff v3, a LoRA of the image model; load it with a LoRA loader.",
        ("attn1.processor.to_q_lora.", "attn2.processor.to_q_lora."),
    ),
)
OTHERS = (
    Sign("it is a LoRA; load it with a LoRA loader.", either=LORA),
    Sign(
        "it is a ControlNet; load it with Load ControlNet Model.",
        either=("control_model.", "controlnet_", "zero_convs.", "input_hint_block."),
    ),
    Sign(
        "it is a motion module of the AnimateDiff kind, in a spelling that is not known.",
        either=("motion_modules.", "temporal_transformer."),
    ),
    Sign(
        "it is a checkpoint of an image model; load it with Load Checkpoint, and temporal layers beside it.",
        either=("model.diffusion_model.",),
    ),
    Sign("it is a TAESD autoencoder; load it with Load VAE.", either=("taesd_decoder.", "taesd_encoder.")),
    Sign(
        "it is a VAE; load it with Load VAE.",
        either=("first_stage_model.", "decoder.conv_in.", "encoder.conv_in.", "decoder.mid."),
    ),
    Sign("it is a text encoder; load it with Load CLIP.", either=("text_model.", "transformer.resblocks.")),
    Sign(
        "it is a diffusion model on its own; load it with Load Diffusion Model.",
        either=("input_blocks.", "down_blocks."),
    ),
    Sign(
        "it is a textual inversion; name it in the prompt.",
        either=("emb_params", "string_to_param", "clip_l", "clip_g"),
    ),
)
OWN_FORMATS = {
    "video_ldm.temporal_decoder": "it is a temporal decoder; it belongs in models/temporal_decoders.",
    "video_ldm.upscaler": "it is a video upscaler; it belongs in models/video_upscalers.",
}


def relative(tensors: Mapping[str, Tensor]) -> str | None:
    """One sentence on a file that holds motion modules but is more, or less, than them."""
    return _first(RELATIVES, tensors)


def is_motion_lora(tensors: Mapping[str, Tensor]) -> bool:
    """True if tensors are low-rank changes of motion modules, as far as the names tell."""
    return MOTION_LORA.fits(tensors)


def describe_other(file: WeightsFile) -> str:
    """One sentence on a file that is of none of our families; `what_it_is` looks for these first."""
    own = OWN_FORMATS.get(file.metadata.get("format", ""))
    nameless = f"its weights are of no known kind ({listed(file.tensors) or 'there are none'})."
    known = _first((*RELATIVES, *VIDEO_MODELS, *OTHERS), file.tensors)
    return own or _unnamed(file.tensors) or known or nameless


def _first(signs: tuple[Sign, ...], tensors: Mapping[str, Tensor]) -> str | None:
    return next((sign.sentence for sign in signs if sign.fits(tensors)), None)


def is_list(tensors: Mapping[str, Tensor]) -> bool:
    """True if tensors are a list of matrices, as MotionDirector saves them: numbers for names."""
    numbered = tensors.keys() == {str(number) for number in range(len(tensors))}
    return bool(tensors) and numbered and all(tensor.ndim == 2 for tensor in tensors.values())


def _unnamed(tensors: Mapping[str, Tensor]) -> str | None:
    """A list of matrices has numbers for names."""
    if is_list(tensors):
        return (
            "it is a LoRA of MotionDirector for ModelScope or ZeroScope; put it in models/motion_lora and "
            "load it with Load Motion LoRA."
        )
    return None
