"""Low-rank changes of layers that stay as they are: what a motion LoRA trains."""
