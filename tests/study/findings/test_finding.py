"""The verdict on a claim follows from its interval."""

import numpy as np
import pytest

from pullback_core.study.findings import Finding, Interval


@pytest.mark.parametrize(
    "number, sign, verdict",
    [
        ((0.5, 0.2, 0.8), 1, "holds"),
        ((0.5, 0.2, 0.8), -1, "is contradicted"),
        ((0.5, -0.1, 0.8), 1, "is undecided"),
        ((-0.5, -0.8, -0.2), -1, "holds"),
        ((-0.5, -0.8, 0.1), -1, "is undecided"),
        ((0.5, 0.2, np.nan), 1, "is undecided"),
        ((0.5, np.nan, 0.8), 1, "is undecided"),
        ((0.5, np.nan, -0.8), -1, "is undecided"),
    ],
)
def test_a_verdict_follows_from_the_interval(number, sign, verdict):
    assert Interval(*number).verdict(sign, 0.0) == verdict


def test_a_finding_has_the_verdict_of_its_number():
    finding = Finding("", "", "", "", Interval(0.5, 0.2, 0.8), -1, 1.0, "", None, [])
    assert finding.verdict == "holds" and str(finding.number) == "0.50 [0.20, 0.80]"
