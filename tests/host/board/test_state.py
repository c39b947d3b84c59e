"""The state that a page writes."""

import json
import re

import pytest

ID, RANK = "the basis", 3
GOOD = {"version": 1, "basis": ID, "mix": [0.5, 0, -2], "words": {"smiling": 1}, "region": {"mask": "abc"}}


@pytest.fixture(scope="module")
def read(comfy_host):
    return lambda text: comfy_host.adapter.board.state.read_state(text, ID, RANK)


def test_a_state_is_a_setting(read):
    state = read(json.dumps(GOOD))
    assert state.setting == ([0.5, 0.0, -2.0], {"smiling": 1.0}) and state.note == "" and state.basis == ID
    assert not state.setting.is_empty()


def test_without_a_state_nothing_is_set(read):
    for text in ("", " \n"):
        assert read(text) == (([0.0] * RANK, {}), "", "")
        assert read(text).setting.is_empty()


def without(name):
    return {key: value for key, value in GOOD.items() if key != name}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", "not JSON: it begins with '{'"),
        ("[" * 100_000, "not JSON"),
        ("x" * 2_000_000, "has 2000000 characters"),
        (json.dumps([1]), "of version None"),
        (json.dumps({**GOOD, "version": 2}), "of version 2, and this node knows 1"),
        (json.dumps({**GOOD, "basis": "another"}), "belongs to another basis"),
        (json.dumps(without("basis")), "belongs to another basis"),
        (json.dumps({**GOOD, "mix": [1.0]}), "has 1 strengths, and the basis 3 directions"),
        (json.dumps(without("mix")), "has 0 strengths"),
        (json.dumps({**GOOD, "mix": "1"}), "needs a text as basis, a list as mix"),
        (json.dumps({**GOOD, "words": []}), "needs a text as basis, a list as mix"),
        (json.dumps({**GOOD, "mix": [1, None, 0]}), "gives direction 2 the strength None"),
        (json.dumps({**GOOD, "mix": [1, True, 0]}), "gives direction 2 the strength True"),
        (json.dumps({**GOOD, "mix": [1, 1e300, 0]}), "gives direction 2 the strength 1e[+]300"),
        (json.dumps({**GOOD, "mix": [float("nan"), 0, 0]}), "gives direction 1 the strength nan"),
        (json.dumps({**GOOD, "words": {"hat": float("inf")}}), "gives hat the strength inf"),
        (json.dumps({**GOOD, "mix": [10**400, 0, 0]}), "gives direction 1 the strength 1000"),
        ('{"version": 1, "mix": [' + "9" * 5000 + "]}", "not JSON|belongs to another"),
    ],
)
def test_a_state_that_cannot_be_used_sets_nothing_and_says_why(read, text, sentence):
    state = read(text)
    assert state.setting.is_empty() and len(state.setting.mix) == RANK
    assert re.search(sentence, state.note), state.note
    assert state.note.endswith(".") and "\n" not in state.note and len(state.note) < 300


def test_what_is_no_direction_must_be_the_same_where_it_is_used(comfy_host):
    one, other, third = "0123456789abcdef", "fedcba9876543210", "00ff00ff00ff00ff"
    made_with, connected = f"1|model|picture|2.9|{one}{other}", f"1|model|picture|2.9|{one}{third}"

    def note(mix):
        text = json.dumps({**GOOD, "basis": made_with, "mix": mix})
        return comfy_host.adapter.board.state.read_state(text, connected, 2, 1).note

    assert note([1.0, 0.0]) == "" and "another basis" in note([1.0, 0.1])


def test_a_basis_that_was_computed_again_has_its_setting(comfy_host):
    signs = "0123456789abcdef"
    old, new = (f"1|model|picture|{level}|{signs}" for level in ("2.9389", "2.9390"))
    state = comfy_host.adapter.board.state.read_state(json.dumps({**GOOD, "basis": old, "mix": [1]}), new, 1)
    assert state.note == "" and state.basis == old
