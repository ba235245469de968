"""Numbers for clips, by the networks that the host has loaded and by those in `models/metrics`."""
