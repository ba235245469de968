"""What is written for some frames of a clip and holds, or changes, in between: prompts of other packs,
numbers, sums."""
