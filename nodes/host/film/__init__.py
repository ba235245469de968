"""Latents to pictures and films: decoding, enlarging, writing."""
