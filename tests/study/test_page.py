"""The page of findings."""

from small_study import SMALL

from pullback_core.study.findings import Finding, Interval
from pullback_core.study.page import anchor, findings_page


def test_a_page_says_the_claim_the_number_and_the_verdict():
    finding = Finding(
        "name",
        "A title",
        "The claim.",
        "the measure",
        Interval(0.5, 0.2, 0.8),
        -1,
        1.0,
        "A remark.",
        None,
        [],
    )
    page = findings_page([finding], SMALL, "the command")
    for part in (
        "    the command\n",
        "| [A title](#a-title) | holds | 0.50 [0.20, 0.80] |",
        "## A title\n\nThe claim.\n",
        "**Holds here.** 0.50 [0.20, 0.80]: the measure; the claim says less than 1.\n",
        "\nA remark.\n",
        "![A title](name.png) ([table](name.csv))",
    ):
        assert part in page


def test_an_anchor_is_that_of_markdown():
    assert anchor("From coarse, to fine-grained") == "from-coarse-to-fine-grained"
