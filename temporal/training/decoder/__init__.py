"""Training of the temporal decoder: trainer, settings, and the two losses that look at pictures and clips."""
