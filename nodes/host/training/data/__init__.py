"""Folders of videos as training reads them: films, their captions, frames and latents that are kept."""
