"""Scores of clips by how they look, of the features of a network for pictures and texts."""
