"""Video LDM: temporal layers that turn an image diffusion model into a video model.

Knows nothing of ComfyUI.
"""
