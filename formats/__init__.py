"""`python -m video_ldm.formats`: say what a file of temporal layers is, or write it in another spelling.

Runs as the package `video_ldm.formats`, without the host.
"""
