"""The page of findings, in Markdown."""

from .findings import Finding
from .settings import Settings

VERDICTS = {
    "holds": "Holds here.",
    "is contradicted": "Contradicted here.",
    "is undecided": "Undecided here.",
}


def findings_page(findings: list[Finding], settings: Settings, command: str) -> str:
    """Write the page of findings.

    Args:
        findings: The findings, in the order of the page.
        settings: The size of the study.
        command: The command that made the page.

    Returns:
        Markdown. Figures and tables are links to files with the names of the findings.
    """
    lines = [
        *_introduction(settings, command),
        "",
        "| claim | verdict | number |",
        "|---|---|---|",
        *(
            f"| [{finding.title}](#{anchor(finding.title)}) | {finding.verdict} | {finding.number} |"
            for finding in findings
        ),
    ]
    for finding in findings:
        lines += _section(finding)
    return "\n".join(lines) + "\n"


def _introduction(settings: Settings, command: str) -> list[str]:
    return [
        "# Findings",
        "",
        "The claims of Park et al. 2023 (sections 3 and 4) about local bases, measured on the bundled models "
        "of drawn faces. Made by",
        "",
        f"    {command}",
        "",
        f"{settings.samples} samples from noise of the seeds 0 to {settings.samples - 1}, "
        f"{settings.steps} DDIM steps, bases of rank {settings.rank} to residuals of {settings.tolerance:g}. "
        "Brackets: 95% bootstrap intervals over samples. A claim *holds* if its interval lies on the claimed "
        "side, is *contradicted* if on the other, and else *undecided*. Prompts, blocks and long spectra: "
        f"the first {settings.few} samples.",
    ]


def _section(finding: Finding) -> list[str]:
    side = "more" if finding.sign > 0 else "less"
    verdict = (
        f"**{VERDICTS[finding.verdict]}** {finding.number}: {finding.measure}; "
        f"the claim says {side} than {finding.neutral:g}."
    )
    lines = ["", f"## {finding.title}", "", finding.claim, "", verdict, ""]
    if finding.remarks:
        lines += [finding.remarks, ""]
    return [*lines, f"![{finding.title}]({finding.name}.png) ([table]({finding.name}.csv))"]


def anchor(title: str) -> str:
    """The anchor that Markdown gives a heading."""
    return "".join(letter for letter in title.lower().replace(" ", "-") if letter.isalnum() or letter == "-")
