"""Labels of numbers."""

import pytest

from pullback_core import figures


@pytest.mark.parametrize(
    "numbers, digits, labels",
    [
        ([0.4, 0.8], 2, ["0.4", "0.8"]),
        ([0.701, 0.704], 2, ["0.701", "0.704"]),
        ([0.7, 0.7], 2, ["0.7", "0.7"]),
        ([0.1, 0.7, 0.700001, 1.0], 2, ["0.1", "0.7", "0.700001", "1"]),
        ([0.1 + 0.2, 0.3], 2, ["0.30000000000000004", "0.29999999999999999"]),
        ([], 2, []),
    ],
)
def test_labels_of_different_numbers_differ(numbers, digits, labels):
    assert figures.number_labels(numbers, digits) == labels


def test_labels_with_a_sign_call_rounded_zero_zero():
    assert figures.number_labels([-1 / 3, -1e-17, 1 / 3], sign=True) == ["-0.333", "0", "+0.333"]
    assert figures.number_labels([-1e-5, 0.0, 1e-5], sign=True) == ["-1e-05", "0", "+1e-05"]
