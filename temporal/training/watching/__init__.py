"""Log of a training, and its loss on films that it has not seen."""
