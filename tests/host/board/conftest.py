"""Fixtures of the tests of boards."""

import pytest
from boards import board_case, forget_boards


@pytest.fixture(scope="module")
def case(comfy_host, call):
    """A board of a tiny model, see `board_case`."""
    return board_case(comfy_host, call)


@pytest.fixture
def alone(comfy_host, temporary):
    """No board is kept from another test, and none is left."""
    forget_boards(comfy_host)
    yield
    forget_boards(comfy_host)
