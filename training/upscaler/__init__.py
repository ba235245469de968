"""`python -m video_ldm.training upscaler`: train a pixel-space video upscaler."""
