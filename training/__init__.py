"""`python -m video_ldm.training`: train temporal layers for an image model from the command line.

Each thing that trains has a folder: `options.py` reads the command line, `running.py` trains. What needs the
host is in `running.py`, which is imported after the host has been started.
"""
