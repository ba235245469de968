"""`python -m video_ldm.training`: train temporal layers for an image model from the command line.

Runs as the package `video_ldm.training`; what needs the host is imported after the host has been started.
"""
