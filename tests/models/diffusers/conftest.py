"""Makes the helpers of these tests importable, `tiny_pipelines` and `held_weights`, and has their fixtures.

Where diffusers is not installed, a test file that imports a helper is skipped. So the fixtures import the
helpers late.
"""

import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(__file__))


@pytest.fixture(scope="session")
def pipelines(tmp_path_factory):
    """A small pipeline of each kind, by name."""
    from tiny_pipelines import make_pipelines

    return make_pipelines(tmp_path_factory.mktemp("tokenizer"))


@pytest.fixture(params=("unconditional", "sd", "sdxl"))
def kind(request):
    return request.param


@pytest.fixture
def pipeline(pipelines, kind):
    return pipelines[kind]


@pytest.fixture
def denoiser(pipeline, kind):
    from tiny_pipelines import PROMPT, DiffusersDenoiser

    return DiffusersDenoiser.from_pipeline(pipeline, PROMPT[kind])


@pytest.fixture(scope="session")
def plain():
    """Everything about a UNet of text conditioning as it is."""
    from tiny_pipelines import everything_about, text_unet

    return everything_about(text_unet().eval())
