"""A clip through the host's samplers."""
