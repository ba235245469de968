"""Graphs of other packs into ours: pure functions on JSON, without the host."""
