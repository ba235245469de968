"""The insertion plan against the host's own UNets.

Every place exists, none is forgotten, widths and heads agree.
"""

from __future__ import annotations

import pytest
import torch

CONFIGS = {
    "SD1": {
        "num_res_blocks": [2, 2, 2, 2],
        "channel_mult": [1, 2, 4, 4],
        "transformer_depth": [1, 1, 1, 1, 1, 1, 0, 0],
        "transformer_depth_output": [1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0],
        "transformer_depth_middle": 1,
        "context_dim": 768,
        "num_heads": 8,
    },
    "SD2": {
        "num_res_blocks": [2, 2, 2, 2],
        "channel_mult": [1, 2, 4, 4],
        "transformer_depth": [1, 1, 1, 1, 1, 1, 0, 0],
        "transformer_depth_output": [1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0],
        "transformer_depth_middle": 1,
        "context_dim": 1024,
        "num_head_channels": 64,
        "use_linear_in_transformer": True,
    },
    "SDXL": {
        "num_res_blocks": [2, 2, 2],
        "channel_mult": [1, 2, 4],
        "transformer_depth": [0, 0, 2, 2, 10, 10],
        "transformer_depth_output": [0, 0, 0, 2, 2, 2, 10, 10, 10],
        "transformer_depth_middle": 10,
        "context_dim": 2048,
        "num_head_channels": 64,
        "use_linear_in_transformer": True,
    },
    "X4": {
        "num_res_blocks": [2, 2, 2, 2],
        "channel_mult": [1, 2, 2, 4],
        "transformer_depth": [0, 0, 1, 1, 1, 1, 1, 1],
        "transformer_depth_output": [0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1],
        "transformer_depth_middle": 1,
        "context_dim": 1024,
        "num_heads": 8,
        "use_linear_in_transformer": True,
        "model_channels": 256,
        "in_channels": 7,
        "disable_self_attentions": [True, True, True, False],
        "num_classes": 1000,
    },
    "uneven": {
        "num_res_blocks": [1, 2],
        "channel_mult": [1, 2],
        "transformer_depth": [0, 1, 2],
        "transformer_depth_output": [0, 1, 2, 1, 0],
        "transformer_depth_middle": 1,
        "context_dim": 96,
        "num_heads": 4,
    },
}


@pytest.mark.parametrize("name", CONFIGS)
def test_the_plan_meets_every_block_of_the_hosts_unet(host, name):
    from comfy.ldm.modules.attention import BasicTransformerBlock
    from comfy.ldm.modules.diffusionmodules.openaimodel import ResBlock, UNetModel
    from video_ldm.temporal.stack import plan as plans

    config = {"image_size": 32, "model_channels": 320, "in_channels": 4, "out_channels": 4, **CONFIGS[name]}
    # The host's constructor consumes its lists.
    copies = {key: value[:] if isinstance(value, list) else value for key, value in config.items()}
    with torch.device("meta"):
        unet = UNetModel(use_spatial_transformer=True, legacy=False, dtype=torch.float32, **copies)
    shape = plans.UNetShape.from_config(config)
    if name != "uneven":
        assert shape == getattr(plans, name)
    sites = {site.path: site for site in plans.plan(shape)}
    blocks = {path: m for path, m in unet.named_modules() if type(m) in (ResBlock, BasicTransformerBlock)}
    assert sites.keys() == blocks.keys()
    for path, site in sites.items():
        block = blocks[path]
        if site.kind == "conv":
            assert type(block) is ResBlock and block.out_channels == site.channels
        else:
            assert block.norm1.weight.shape == (site.channels,) and block.n_heads == site.heads
