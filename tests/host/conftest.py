"""These tests run under ComfyUI's own Python, started by `tests/test_host.py`, with its folder as the working directory."""

import asyncio
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

PACK = Path(__file__).parents[2]

# Before any test file is read, because those import comfy at their top: its arguments are parsed by the first import.
sys.argv = ["main.py", "--cpu"]
sys.path[:0] = [os.getcwd(), os.path.dirname(__file__)]
import comfy.options  # noqa: E402

comfy.options.enable_args_parsing()


@pytest.fixture(scope="session")
def comfy_host():
    """ComfyUI in this process, with the pack loaded as its own loader does it."""
    import utils.extra_config  # noqa: F401  before `nodes`, which puts comfy/ (with another utils) first on the path

    import nodes

    asyncio.run(nodes.init_extra_nodes(init_custom_nodes=False, init_api_nodes=False))
    assert asyncio.run(nodes.load_custom_node(str(PACK), module_parent="custom_nodes"))
    pack = nodes.NODE_CLASS_MAPPINGS["PullbackBasis"].__module__.rpartition(".nodes.")[0]
    return SimpleNamespace(
        nodes=nodes.NODE_CLASS_MAPPINGS,
        core=sys.modules[f"{pack}.pullback_core"],
        adapter=sys.modules[f"{pack}.nodes.host"],
    )


@pytest.fixture(scope="session")
def call(comfy_host):
    """call(node id, **inputs) -> the node's outputs, run as the server runs it: in inference mode."""
    import torch

    def run(node_id, **inputs):
        node = comfy_host.nodes[node_id]
        with torch.inference_mode():
            if hasattr(node, "execute"):
                return node.execute(**inputs).args
            return getattr(node(), node.FUNCTION)(**inputs)

    return run


@pytest.fixture(scope="session")
def within(comfy_host):
    """within(model, conditioning, latent, fn, **options): `while_sampling` of the adapter, in inference mode as in the server."""
    import torch

    def run(*arguments, **options):
        with torch.inference_mode():
            return comfy_host.adapter.while_sampling(*arguments, **options)

    return run
