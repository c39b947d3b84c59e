"""Success of carried directions, on rows whose answers are known."""

import numpy as np
import pytest

from pullback_core.evaluate.transport_report import transport_numbers


def test_forms_and_colours_are_told_apart():
    pairs = [(0, 1), (1, 2), (2, 0), (0, 2)] * 2
    alignment = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8])
    success = np.array([0.0, 0.2, 0.2, 0.4, 0.6, 0.8, 0.9, 1.0])
    is_form = np.array([1, 1, 1, 1, 0, 0, 0, 0])
    report = transport_numbers(3, pairs, np.stack([alignment, success, is_form], axis=1))
    assert report["pairs"] == 4
    assert report["success"][0] == pytest.approx(success.mean())
    assert report["success of forms"][0] == pytest.approx(0.2)
    assert report["success of colours"][0] == pytest.approx(0.825)
    assert report["success in the best quarter"][0] == pytest.approx(0.95)
    assert report["rank correlation"][0] == pytest.approx(1, abs=0.02)


def test_a_group_without_directions_has_no_numbers():
    rows = np.array([[0.5, 0.5, 0.0], [0.6, 0.7, 0.0]])
    report = transport_numbers(2, [(0, 1), (1, 0)], rows)
    assert "success of colours" in report and "success of forms" not in report
