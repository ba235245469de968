"""Training of temporal layers: data, losses, the loop and its checkpoints."""
