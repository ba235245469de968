"""Options that a MODEL brings to whatever sampler it meets: its initial noise, its guidance."""
