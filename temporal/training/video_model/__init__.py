"""Training of video models by the objective of Stable Video Diffusion."""
