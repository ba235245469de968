"""Rules that replace old nodes, sorted by purpose."""
