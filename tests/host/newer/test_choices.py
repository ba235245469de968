"""Files to choose on newer hosts, which refuse an unlisted choice before a node can say what it is."""

from __future__ import annotations

import inspect


def test_a_file_that_is_gone_is_left_to_the_node(host):
    """ComfyUI 0.26 leaves those inputs to a node that it names in `validate_inputs`."""
    loaders = {name: node for name, node in host.nodes.items() if name.startswith("VLDM_")}
    loaders = {
        name: node for name, node in loaders.items() if "file" in inspect.signature(node.execute).parameters
    }
    assert len(loaders) >= 6
    for node in loaders.values():
        assert "file" in inspect.getfullargspec(node.validate_inputs).args
        assert node.validate_inputs(file="gone.safetensors") is True
