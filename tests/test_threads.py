"""The number of threads within `one_thread`, and what it leaves behind."""

import threading

import pytest
import torch

from pullback_core import threads
from pullback_core.threads import one_thread


@pytest.fixture
def three(monkeypatch):
    """Three threads, none of them set in the environment."""
    for name in threads.SETTINGS:
        monkeypatch.delenv(name, raising=False)
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


def in_a_thread(function):
    found = []
    thread = threading.Thread(target=lambda: found.append(function()))
    thread.start()
    thread.join()
    return found[0]


def test_one_thread_within_and_the_number_of_before_afterwards(three):
    with one_thread():
        assert torch.get_num_threads() == 1
        with one_thread():
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 3


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_the_number_is_restored_after_an_exception(three, error):
    with pytest.raises(error), one_thread():
        raise error
    assert torch.get_num_threads() == 3


@pytest.mark.parametrize("name", threads.SETTINGS)
def test_the_number_that_the_user_has_set_is_obeyed(three, name, monkeypatch):
    monkeypatch.setenv(name, "3")
    with one_thread():
        assert torch.get_num_threads() == 3


def test_an_empty_setting_is_none(three, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "")
    with one_thread():
        assert torch.get_num_threads() == 1


def test_threads_that_begin_within_keep_their_number(three):
    with one_thread():
        assert in_a_thread(torch.get_num_threads) == 3
    assert in_a_thread(torch.get_num_threads) == 3


def test_two_threads_at_once_restore_their_numbers(three):
    entered, leave, found = threading.Event(), threading.Event(), []

    def work():
        with one_thread():
            found.append(torch.get_num_threads())
            entered.set()
            assert leave.wait(300)
        found.append(torch.get_num_threads())

    other = threading.Thread(target=work)
    with one_thread():
        other.start()
        assert entered.wait(300)
    assert torch.get_num_threads() == 3
    leave.set()
    other.join()
    assert found == [1, 3]
    assert in_a_thread(torch.get_num_threads) == 3
