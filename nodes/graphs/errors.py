"""What is wrong with a graph that cannot be read."""

from __future__ import annotations

from ...temporal.errors import VideoLDMError


class GraphError(VideoLDMError):
    """Something is not a graph of ComfyUI, or not one that can be converted."""
