"""One small study for all tests of this folder."""

import os
import sys

import pytest

from pullback_core.study import run_study

sys.path.insert(0, os.path.dirname(__file__))  # for `small_study`
from small_study import SMALL


@pytest.fixture(scope="session")
def study(tmp_path_factory):
    """(its folder, its findings) of one run. Its folder has the folders out and cache."""
    folder = tmp_path_factory.mktemp("study")
    return folder, run_study(folder / "out", folder / "cache", SMALL, command="the command")
