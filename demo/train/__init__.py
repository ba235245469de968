"""Training scripts of the bundled toy models."""
