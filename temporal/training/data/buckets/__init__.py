"""Clips of several sizes and lengths in one training."""
