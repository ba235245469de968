"""Everything of ours that a MODEL carries with it."""
