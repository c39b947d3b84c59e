"""Reports are JSON that every parser reads."""

import json
import math

from pullback_core.report import report_bytes


def test_numbers_that_are_not_finite_are_null():
    report = {"a": [1, 2.5, "x", None, True], "b": {"c": (math.nan, -math.inf)}}
    assert json.loads(report_bytes(report)) == {"a": [1, 2.5, "x", None, True], "b": {"c": [None, None]}}
