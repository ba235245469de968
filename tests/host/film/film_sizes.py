"""Sizes of the clip that films are made of in tests."""

FRAMES, HEIGHT, WIDTH = 7, 64, 96
FPS = 6.0
