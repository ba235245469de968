"""Numbers for films: motion, flicker, consistency, and distances between sets of films."""
