"""How each old node is replaced, by what it is for."""
