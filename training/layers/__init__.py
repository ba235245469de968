"""`python -m video_ldm.training layers`: train temporal layers for an image model."""
