"""From films to clips for training: cuts, motion, text, captions, scores, thresholds and the report of
what was kept."""
