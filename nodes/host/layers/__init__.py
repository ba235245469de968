"""Temporal layers in the host's image model."""
