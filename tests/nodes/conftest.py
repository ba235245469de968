"""The nodes of the pack as the booted host registered them."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session")
def schemas(host):
    """Node id -> node class."""
    import nodes

    return {name: node for name, node in nodes.NODE_CLASS_MAPPINGS.items() if name.startswith("VLDM_")}
