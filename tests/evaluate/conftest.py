"""One small evaluation for all tests of this folder."""

import os
import sys

import pytest

from pullback_core.evaluate import evaluate
from pullback_core.evaluate.point import Point
from pullback_core.evaluate.store import Store

sys.path.insert(0, os.path.dirname(__file__))  # for `small_evaluation`
from small_evaluation import SMALL


@pytest.fixture(scope="session")
def evaluation(tmp_path_factory):
    """(its folder, its report) of one run. Its folder has the folders out and cache."""
    folder = tmp_path_factory.mktemp("evaluation")
    return folder, evaluate(folder / "out", folder / "cache", SMALL, command="the command")


@pytest.fixture(scope="session")
def store(evaluation):
    return Store(evaluation[0] / "cache", SMALL)


@pytest.fixture(scope="session")
def point(store):
    return Point(store, 0, 0.5)
