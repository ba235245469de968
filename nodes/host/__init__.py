"""The host, ComfyUI: the only folder of the pack that imports it."""

from comfy_api.latest import ComfyExtension, io, ui

__all__ = ["ComfyExtension", "io", "ui"]
