"""From films to clips for training.

Cuts, motion, text, captions, scores, thresholds and the report of what was kept.
"""
