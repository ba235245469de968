"""Clips to begin with: parts of films, films at another frame rate, empty ones."""
