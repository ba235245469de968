"""`python -m video_ldm.evaluation`: numbers for films that were made, alone or beside real ones.

Runs without the host.
"""
