"""The changes of attributes that a contact sheet names."""

from pullback_core import faces
from pullback_core.cli.attributes import attribute_changes, describe_changes


def test_the_largest_changes_are_named_and_colours_have_no_number():
    changes = {"smile": 0.2, "hair_red": -0.1, "hair_green": 2.0, "hair_blue": 0.3, "hair_length": -0.94}
    assert describe_changes(changes) == "hair colour\nhair length -0.9"
    assert describe_changes(changes, count=3).endswith("\nsmile +0.2")


def test_changes_are_those_from_the_first_picture_to_the_last():
    first, last = faces.example_faces([0, 1])
    there, back = attribute_changes([first, last]), attribute_changes([last, first, first])
    assert list(there) == list(faces.NAMES) and any(abs(value) > 0.5 for value in there.values())
    assert back == {name: -value for name, value in there.items()}
    assert set(attribute_changes([first, last, first]).values()) == {0.0}
