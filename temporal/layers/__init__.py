"""Temporal layers: small modules that start as the identity. They read a `Clip` and keep no state."""
