"""`python -m video_ldm.training lora`: teach temporal layers a motion with a small file."""
