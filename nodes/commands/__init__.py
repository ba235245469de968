"""Command lines of the pack. Each is a package that starts the host by itself; see `pyproject.toml` for their names."""
