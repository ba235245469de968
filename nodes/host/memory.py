"""Main memory as a device, and the unit in which memory is told."""

import torch

CPU = torch.device("cpu")
GIB = 2**30  # bytes
