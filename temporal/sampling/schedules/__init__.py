"""Values written for some frames of a clip that hold, or change, in between.

Prompts of other packs, numbers, sums.
"""
