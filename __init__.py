"""Video LDM for ComfyUI: temporal layers for any Stable Diffusion checkpoint.

Does nothing without the host.
"""

WEB_DIRECTORY = "./web"


async def comfy_entrypoint():
    """The host's door: the pack's nodes."""
    from .nodes.extension import VideoLDM

    return VideoLDM()
