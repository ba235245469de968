"""Training with the host's models, for the training nodes and the command lines."""
