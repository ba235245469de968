"""Weights on disk: files, pickles, and the description that a file of our own carries."""
