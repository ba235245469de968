"""Nodes of the graph: one file for each step, listed in `extension.py`.

Importing this package does not need the host.
"""
