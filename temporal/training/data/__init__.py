"""Clips for training: caches on disk, batches, patches and patterns of known frames."""
