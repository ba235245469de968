"""Memory of a training: levels, blocks that are computed twice, and the count before step 1."""
