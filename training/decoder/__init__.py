"""`python -m video_ldm.training decoder`: train temporal layers for the decoder of a VAE."""
