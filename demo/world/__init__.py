"""The toy world: procedural clips of moving shapes and cars, with captions, boxes and a held-out split."""

from .render import boxes, render
from .scene import Car, Scene, caption, sample, split_of

__all__ = ["Car", "Scene", "boxes", "caption", "render", "sample", "split_of"]
