"""Fixtures of the tests that run within ComfyUI.

`tests/test_host.py` starts them by ComfyUI's own Python, with ComfyUI's folder as the working directory.
"""

import asyncio
import importlib
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

PACK = Path(__file__).parents[2]

# The first import of comfy parses the arguments, and the test files import comfy at their top.
sys.argv = ["main.py", "--cpu"]
sys.path[:0] = [os.getcwd(), os.path.dirname(__file__)]
import comfy.options  # noqa: E402

comfy.options.enable_args_parsing()


@pytest.fixture(scope="session")
def comfy_host():
    """ComfyUI in this process, with the pack loaded by ComfyUI's own loader.

    nodes: ComfyUI's node classes by id; core: `pullback_core`; adapter: `nodes.host`.
    """
    # Before `nodes`, which puts comfy/ (with another utils) first on the path.
    import utils.extra_config  # noqa: F401

    import nodes

    asyncio.run(nodes.init_extra_nodes(init_custom_nodes=False, init_api_nodes=False))
    assert asyncio.run(nodes.load_custom_node(str(PACK), module_parent="custom_nodes"))
    pack = nodes.NODE_CLASS_MAPPINGS["PullbackBasis"].__module__.rpartition(".nodes.")[0]
    importlib.import_module(f"{pack}.pullback_core.faces")  # the nodes import it when they need it
    return SimpleNamespace(
        nodes=nodes.NODE_CLASS_MAPPINGS,
        core=sys.modules[f"{pack}.pullback_core"],
        adapter=sys.modules[f"{pack}.nodes.host"],
    )


@pytest.fixture(scope="session")
def call(comfy_host):
    """call(node id, **inputs): the outputs of a node, run in inference mode as in the server."""
    import torch

    def run(node_id, **inputs):
        node = comfy_host.nodes[node_id]
        with torch.inference_mode():
            if hasattr(node, "execute"):
                return node.execute(**inputs).args
            return getattr(node(), node.FUNCTION)(**inputs)

    return run


@pytest.fixture
def folders(comfy_host, tmp_path, monkeypatch):
    """ComfyUI's input and output folders for one test, and the folder that holds both."""
    import folder_paths

    made = SimpleNamespace(outside=tmp_path, input=tmp_path / "input", output=tmp_path / "output")
    for name in ("input", "output"):
        getattr(made, name).mkdir()
        monkeypatch.setattr(folder_paths, f"{name}_directory", str(getattr(made, name)))
    return made


@pytest.fixture(scope="session")
def within(comfy_host):
    """within(model, conditioning, latent, fn, **options): `while_sampling` in inference mode."""
    import torch

    def run(*arguments, **options):
        with torch.inference_mode():
            return comfy_host.adapter.while_sampling(*arguments, **options)

    return run


@pytest.fixture(scope="session")
def with_noise(comfy_host):
    """with_noise(denoiser, x0, fraction): x0 as a `NoisyLatent` at a fraction of T, always with one noise."""
    import torch
    from tiny_models import draw

    def add(denoiser, x0, fraction=0.7):
        sigma = denoiser.schedule.sigma(fraction)
        x = denoiser.schedule.add_noise(x0, draw(*x0.shape, seed=9).to(x0), sigma)
        return comfy_host.core.NoisyLatent(x, torch.tensor([sigma, 0.0], dtype=torch.float64))

    return add


@pytest.fixture(scope="session")
def check(comfy_host, within, with_noise):
    """check(model, ...): the `CheckedDenoiser` at a noisy latent, or what then(checked, noisy) returns."""
    from tiny_models import conditioning_for, latent_for

    def run(model, conditioning=None, latent=None, fraction=0.7, then=None, **options):
        def work(denoiser, x0):
            noisy = with_noise(denoiser, x0, fraction)
            checked = comfy_host.adapter.check_derivatives(denoiser, noisy)
            return then(checked, noisy) if then else checked

        conditioning = conditioning or conditioning_for("sd1")
        return within(model, conditioning, latent or latent_for(model), work, **options)

    return run


@pytest.fixture
def temporary(comfy_host, tmp_path, monkeypatch):
    """The host's temp folder for one test."""
    import folder_paths

    monkeypatch.setattr(folder_paths, "temp_directory", str(tmp_path / "temp"))
    return tmp_path / "temp"
