"""AnimateDiff v1, v2, v3, Long and SDXL beta, and AnimateLCM, as their authors publish them."""

from .motion_modules import MotionSpelling

BLOCK = "transformer_blocks.0"
ORIGINAL = MotionSpelling(
    name="original",
    families={
        ("SD 1.x", False, 24): "AnimateDiff v1",
        ("SD 1.x", False, 32): "AnimateDiff v3",
        ("SD 1.x", True, 32): "AnimateDiff v2",
        ("SD 1.x", True, 64): "AnimateDiff Long",
        ("SD 1.x", True, None): "AnimateLCM",
        ("SDXL", False, 32): "AnimateDiff SDXL beta",
        ("SDXL", False, 24): "HotShot-XL",
    },
    module="{block}.motion_modules.{index}.temporal_transformer",
    attentions=(f"{BLOCK}.attention_blocks.0", f"{BLOCK}.attention_blocks.1"),
    norms=(f"{BLOCK}.norms.0", f"{BLOCK}.norms.1"),
    norm_out=f"{BLOCK}.ff_norm",
    tables=(f"{BLOCK}.attention_blocks.0.pos_encoder.pe", f"{BLOCK}.attention_blocks.1.pos_encoder.pe"),
)
