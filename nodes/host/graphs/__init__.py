"""Graphs of other packs at the running host: its queue and its page."""
