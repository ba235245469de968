"""One page of the booted host for all browser tests. Machines without Chromium skip them."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file
from video_ldm.demo import browser, pictures


@pytest.fixture(scope="package")
def editor(host):
    """The page, in a fresh browser; every file that the graphs name is there."""
    if browser.executable() is None:
        pytest.skip(f"no Chromium on this machine (looked for {', '.join(browser.NAMES)})")
    pictures.put_sources(host.base / "input")
    loras = host.base / "models" / "loras"
    loras.mkdir(exist_ok=True)
    place = "lora_unet_input_blocks_1_1_transformer_blocks_0_attn1_to_q"
    style = {f"{place}.lora_up.weight": torch.ones(64, 2), f"{place}.lora_down.weight": torch.ones(2, 64)}
    save_file(style, loras / "toy_style.safetensors")
    with browser.open_editor(host.client) as editor:
        yield editor
