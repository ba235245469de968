"""`python -m video_ldm.training video`: train Stable Video Diffusion."""
