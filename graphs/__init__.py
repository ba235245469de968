"""`python -m video_ldm.graphs`.

Say what a graph of AnimateDiff-Evolved becomes, or write it with this pack's nodes.

Runs as the package `video_ldm.graphs`, without the host.
"""
