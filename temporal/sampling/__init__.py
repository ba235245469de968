"""State of a clip and the steps around a sampler.

Known frames, noise, guidance, prompts, windows of a long film.
"""
