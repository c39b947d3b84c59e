"""The text of docs/support/<version of ComfyUI>.md, from what `test_support.py` measured."""

import re
from typing import NamedTuple

import comfyui_version
import torch

TEXT = """\
# What works in ComfyUI {version}

Families: {families}.

`tests/host/test_support.py` measured this page on tiny models of ComfyUI's own architectures, with random
weights, on a CPU with torch {torch}, at 0.7 T. A cell shows relative errors:

1. of the adjoint identity <u, J v> = <J^T u, v>;
2. of J v, against central differences through the unchanged model, both in float32;
3. where the model computes in half precision: of J v, against J v in float32.

A dash means that there is no such thing. "Refused" means that the node says the sentence with this number,
and computes nothing.

## Weights

{weights}

## Patches and conditionings, weights in float32

{patches}

{more}## The predicted picture as feature

{picture}

## The same with other weights

{combined}

## What was not run

No graphics card was at hand. What a CPU cannot run is tested with stand-ins that do as the code of this
ComfyUI says:

{stand_ins}

## Refusals

{refusals}
"""
MORE = """\
## More families, with the rows that may differ between families

{table}

"""


class Cell(NamedTuple):
    """What was measured.

    Attributes:
        errors: Of the adjoint identity and of the differences, and in half precision also of the precision;
            None where there is no such thing.
        refusal: The sentence that the node says, or "".
    """

    errors: tuple | None
    refusal: str = ""

    def __str__(self):
        if self.errors is None and not self.refusal:
            return "-"
        return self.refusal or " / ".join(f"{error:.0e}" for error in self.errors)


class SupportPage:
    """The page of one ComfyUI.

    Args:
        matrix: (family, weights, patch) -> `Cell`, and (family, weights, patch, "picture") -> `Cell`.
        families: The names of the families, as people call them.
    """

    def __init__(self, matrix, families):
        self._matrix, self._families = matrix, families
        self._refusals = sorted({shortened(cell.refusal) for cell in matrix.values() if cell.refusal})

    def text(self, main, others, picture, combined, stand_ins):
        """The page.

        Args:
            main: (families, rows of weights, rows of patches).
            others: (families, rows); the families may be none.
            picture: Pairs (families, rows) for the feature picture; the families may be none.
            combined: (families, rows).
            stand_ins: Sentences on what was not run.
        """
        families, weights, patches = main
        return TEXT.format(
            version=comfyui_version.__version__,
            torch=torch.__version__,
            families=", ".join(self._families),
            weights=self._table("weights", families, weights),
            patches=self._table("patch", families, patches),
            more=MORE.format(table=self._table("weights or patch", *others)) if others[0] else "",
            picture="\n\n".join(self._table("of the picture", *table) for table in picture if table[0]),
            combined=self._table("patch, weights", *combined),
            stand_ins="\n".join(f"- {sentence}." for sentence in stand_ins),
            refusals="\n".join(f"{number}. {sentence}" for number, sentence in enumerate(self._refusals, 1)),
        )

    def _table(self, corner, families, rows):
        """A table of families. rows: name -> what follows the family in the keys of the matrix."""
        lines = [f"| {corner} | {' | '.join(families)} |", "|---" * (len(families) + 1) + "|"]
        for name, row in rows.items():
            cells = " | ".join(
                self._shown(self._matrix.get((family, *row), Cell(None))) for family in families
            )
            lines.append(f"| {name} | {cells} |")
        return "\n".join(lines)

    def _shown(self, cell):
        if not cell.refusal:
            return str(cell)
        return f"refused [{self._refusals.index(shortened(cell.refusal)) + 1}]"


def shortened(sentence):
    """A refusal without the errors that it reports, which differ a little from machine to machine."""
    sentence = re.sub(r" \((adjoint|value) error [^)]*\)", "", sentence)
    return re.sub(r"(cannot be differentiated here) \(.*\)(, so)", r"\1\2", sentence)


def verdicts(text):
    """What a page says of each family in each row, without the numbers and the reasons.

    Reasons may differ from run to run: what works at random may fail in either of two checks.

    Returns:
        (table's corner, row, family) -> "works", "refused" or "-".
    """
    found, header = {}, []
    for line in text.splitlines():
        if not line.startswith("| "):
            header = [] if not line.startswith("|") else header
            continue
        cells = [cell.strip() for cell in line.split("|")[1:-1]]
        if not header:
            header = cells
            continue
        for family, cell in zip(header[1:], cells[1:]):
            found[header[0], cells[0], family] = "works" if "/" in cell else cell.split("[")[0].strip()
    return found


def readme_row(families, lacking):
    """The row of this ComfyUI in the README's table."""
    version = comfyui_version.__version__
    lacks = ", ".join(lacking)
    return f"| [{version}](docs/support/{version}.md) | {', '.join(families)} | {lacks} |".replace(
        "|  |", "| |"
    )
