"""ComfyUI's page in a real browser: what an artist sees of the pack."""
