"""The host, ComfyUI: the only folder of the pack that imports it."""

from comfy_api.latest import ComfyExtension, io, ui

from .door import Node

__all__ = ["ComfyExtension", "Node", "io", "ui"]
