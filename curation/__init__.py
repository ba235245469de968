"""`python -m video_ldm.curation`: make a data set of clips from a folder of films. Runs without the host."""
