"""Stable Video Diffusion as training sees it."""
