"""Facts on each published family beside its weights: statistics of norms, betas, advice, licence."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Betas:
    """A noise schedule.

    Names as in the host: "linear" is linear in sqrt(beta), which diffusers calls scaled_linear.
    """

    curve: Literal["linear", "sqrt_linear", "cosine", "sqrt", "squaredcos_cap_v2"]
    start: float = 0.00085
    end: float = 0.012
    lcm_steps: int | None = None  # distilled for a latent consistency sampler from so many steps
    # what the clean latent is scaled by from step `x0_steps` on, growing from 1 at the first step
    x0_scale: float = 1.0
    x0_steps: int = 400


@dataclass(frozen=True)
class Facts:
    """One family, under the name that its stacks carry in `StackConfig.family`."""

    trained_frames: int
    betas: Betas | None  # None: that of the host's own model
    advice: str
    licence: str
    clip_norm: bool = False  # as in `MotionConfig`
    clip_norm_image: bool = False
    variants: str = ""  # that the same layout has, with clips of another length in training


ANIMATEDIFF = Betas("sqrt_linear")
VIDEOCRAFTER_LICENCE = (
    "like Apache-2.0 for the code; its README restricts use to research and non-commercial purposes"
)
TEXT_AND_VAE = "the text encoder of SD 2.x (OpenCLIP ViT-H), the VAE of SD 1.x or 2.x"
LAVIE = Betas("sqrt_linear", 0.0001, 0.02)
LAVIE_LICENCE = (
    "code Apache-2.0; weights for research and free commercial use, for which they ask to be written to"
)
TEXT_AND_VAE_1 = "the text encoder and the VAE of SD 1.x"
ANIMATEDIFF_LICENCE = "Apache-2.0 (code; its README says released for academic use)"

FACTS: Mapping[str, Facts] = {
    "AnimateDiff v1": Facts(
        16, ANIMATEDIFF, "Any sampler, CFG 7.5 to 8.5.", ANIMATEDIFF_LICENCE, clip_norm_image=True
    ),
    "AnimateDiff v2": Facts(
        16,
        ANIMATEDIFF,
        "Any sampler, CFG 7.5 to 8.5. AnimateDiff-Lightning has the same layout: Euler, sgm_uniform, CFG 1 "
        "and the number of steps in its name.",
        f"{ANIMATEDIFF_LICENCE}; Lightning: CreativeML OpenRAIL-M",
    ),
    "AnimateDiff v3": Facts(
        16,
        ANIMATEDIFF,
        "Any sampler, CFG 7.5 to 8.5; its domain adapter is a LoRA of the image model and optional.",
        ANIMATEDIFF_LICENCE,
    ),
    "AnimateDiff Long": Facts(
        64,
        ANIMATEDIFF,
        "Any sampler, CFG 7.5 to 8.5; strength about 1.15 for more motion, in the place of the motion "
        "scale above 1 that its publishers advise.",
        "not known",
    ),
    "AnimateLCM": Facts(
        16,
        Betas("sqrt_linear", lcm_steps=100),
        "Sampler lcm, scheduler sgm_uniform, 4 to 8 steps, CFG 1 to 2, with AnimateLCM's own LoRA on the "
        "image model.",
        "MIT",
    ),
    "PIA": Facts(
        16,
        ANIMATEDIFF,
        "Any sampler, CFG 7.5 to 8.5. Animates an image from Known Frames; Image Motion says how far it "
        "moves.",
        "Apache-2.0",
        clip_norm_image=True,
    ),
    "SparseCtrl": Facts(
        16,
        ANIMATEDIFF,
        "With AnimateDiff v3 layers on the model; strength 1, less for a looser likeness.",
        "Apache-2.0",
    ),
    "AnimateLCM-I2V": Facts(
        16,
        Betas("sqrt_linear", end=0.014, lcm_steps=200),
        "Sampler lcm, scheduler sgm_uniform, 2 to 4 steps, CFG 1, with AnimateLCM-I2V's own LoRA on the "
        "image model. Animates an image from Known Frames; Image Motion says how far it moves.",
        "MIT",
    ),
    "AnimateDiff SDXL beta": Facts(
        16,
        Betas("linear", end=0.020),
        "About 100 steps, CFG 7.5 to 8.5, 1024 x 1024.",
        ANIMATEDIFF_LICENCE,
        clip_norm=True,
    ),
    "HotShot-XL": Facts(
        8,
        Betas("linear"),
        "Euler ancestral, about 512 x 512 with an SDXL model finetuned for that size, 8 frames at 8 fps.",
        "code Apache-2.0, weights CreativeML OpenRAIL++-M",
        clip_norm_image=True,
    ),
    "Stable Video Diffusion": Facts(
        14,
        None,
        "SVD_img2vid_Conditioning, CFG from 1 for the first frame to 2.5 for the last, about 25 steps, 1024 "
        "x 576; the image encoder and the VAE come from the checkpoint with Image Only Checkpoint Loader.",
        "Stability AI Community or, for the first releases, SVD non-commercial community licence",
        variants="XT 25",
    ),
    "ModelScope or ZeroScope": Facts(
        16,
        Betas("linear"),
        f"CFG 9 to 15, 256 x 256 (ZeroScope 576 x 320), {TEXT_AND_VAE}.",
        "code Apache-2.0, weights CC-BY-NC-4.0",
        variants="ZeroScope 24",
    ),
    "VideoCrafter2": Facts(
        16,
        Betas("linear", x0_scale=0.7),
        f"CFG 12, 512 x 320, fps 28 (8 to 30: how fast things move), {TEXT_AND_VAE}.",
        VIDEOCRAFTER_LICENCE,
    ),
    "VideoCrafter1 for 1024 x 576": Facts(
        16,
        Betas("linear", x0_scale=0.3),
        f"CFG 12, 1024 x 576, fps 28 (8 to 30: how fast things move), {TEXT_AND_VAE}.",
        VIDEOCRAFTER_LICENCE,
    ),
    "VideoCrafter1 for 512 x 320": Facts(
        16, Betas("linear"), f"CFG 12, 512 x 320, {TEXT_AND_VAE}.", VIDEOCRAFTER_LICENCE
    ),
    "VideoCrafter1 for image to video": Facts(
        16,
        Betas("linear", x0_scale=0.7),
        "Image Prompt with the first picture and CLIP ViT-H/14 (laion2B) from Load CLIP Vision; CFG 12, "
        f"512 x 320, fps 8, {TEXT_AND_VAE}.",
        VIDEOCRAFTER_LICENCE,
    ),
    "LaVie": Facts(16, LAVIE, f"ddpm, 50 steps, CFG 7 to 7.5, 512 x 320, {TEXT_AND_VAE_1}.", LAVIE_LICENCE),
    "SEINE": Facts(
        16,
        LAVIE,
        "Known Frames with the first frame, or the first and the last for a transition; ddim or ddpm, up "
        f"to 250 steps, CFG 8, 512 x 320, {TEXT_AND_VAE_1}.",
        LAVIE_LICENCE,
    ),
    "LaVie interpolation": Facts(
        61,
        LAVIE,
        "Known Frames every 4th; ddim, 50 steps, CFG 4, the prompt with ', 4k.' at its end, 512 x 320, "
        f"{TEXT_AND_VAE_1}.",
        LAVIE_LICENCE,
        variants="16 of them given",
    ),
    "LaVie VSR": Facts(
        8,
        LAVIE,
        "ddim, 50 steps, CFG 5, noise level 50 of 350 (noise_augmentation 0.14), 8 frames at a time.",
        LAVIE_LICENCE,
    ),
    "Upscale-A-Video": Facts(
        8,
        LAVIE,
        "30 steps, CFG 6, noise level 120 of 350 (noise_augmentation 0.34), windows of 8 frames that "
        "overlap by 2.",
        "S-Lab 1.0, non-commercial (code and weights)",
    ),
}
