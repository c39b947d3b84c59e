"""The support matrix: every family with weights, patches and conditionings of every kind is right, or refused in a sentence.

Its page, docs/support/<version of ComfyUI>.md, is written by this file: set PULLBACK_WRITE_SUPPORT=1 and run it.
"""

import importlib.util
import os
import re
from pathlib import Path
from typing import NamedTuple

import comfy.model_management
import comfy.model_patcher
import comfyui_version
import pytest
import torch
from comfy.cli_args import args as command_line
from tiny_models import noisy
from variants import FAMILIES, PATCHES, WEIGHTS, case_of

PAGE = Path(__file__).parents[2] / "docs/support" / f"{comfyui_version.__version__}.md"


def has_int8_attention():
    return importlib.util.find_spec("comfy_kitchen") is not None and hasattr(
        importlib.import_module("comfy_kitchen"), "int8_attention"
    )


BOTH = ("sdxl", "flux")  # stand for UNets and transformers where weights and patches meet
COMBINED = ("float16", "float8 as bfloat16", "half of it offloaded", "GGUF-like")
SAME_H = (
    "none",
    "EasyCache",
    "torch.compile",
    "compiled blocks",
    "timestep ranges",
    "LCM",
)  # these do not change h here
FULL = "float32"
# Families of which a part of the rows is measured: what may differ from one network to another. Any of those at hand.
FEWER = (
    "longcat",
    "aura",
    "omnigen2",
    "boogu",
    "kandinsky",
    "krea2",
    "ideogram",
    "lens",
    "mageflow",
    "joyimage",
    "pixeldit",
    "zimagepixel",
)
FEWER_WEIGHTS = (FULL, "bfloat16", "scaled float8", "half of it offloaded")
FEWER_PATCHES = ("LoRA", "ControlNet", "IPAdapter-like", "compiled blocks", "reference picture")
MAIN, OTHERS = (
    tuple(family for family in FAMILIES if (family in FEWER) == others) for others in (False, True)
)
cells = [(family, weights, "none") for weights in WEIGHTS for family in MAIN]
cells += [(family, FULL, patch) for patch in PATCHES if patch != "none" for family in MAIN]
cells += [(family, weights, "none") for weights in FEWER_WEIGHTS for family in OTHERS]
cells += [(family, FULL, patch) for patch in FEWER_PATCHES for family in OTHERS]
cells += [
    (family, weights, patch)
    for patch in PATCHES
    if patch != "none"
    for weights in COMBINED
    for family in BOTH
]

# What a CPU cannot run, and whether this host has it. Each has a stand-in in `test_derivatives.py` that does as the host's code says.
STAND_INS = {
    "DynamicVRAM (weights streamed through shared memory): the model is loaded whole where the host can read it again, else its layers "
    "copy their weights": hasattr(comfy.model_patcher.ModelPatcher, "is_dynamic"),
    "Offloaded weights on a card with streams: they get memory of their own, not a buffer that layers share": hasattr(
        comfy.model_management, "NUM_STREAMS"
    ),
    "CUDA graphs: switched off while derivatives are taken": hasattr(command_line, "disable_cuda_graphs"),
    "Several GPUs: the work stays on the first": hasattr(
        comfy.model_patcher.ModelPatcher, "remove_additional_models"
    ),
    "Attention in int8: the core's own attention in its place": has_int8_attention(),
    "fp8, fp4 and other packed products: weights are unpacked first": True,
}


class Cell(NamedTuple):
    errors: (
        tuple | None
    )  # adjoint, difference and, in half precision, that of the precision; None where there is no such thing
    refusal: str = ""

    def __str__(self):
        return (
            "-"
            if self.errors is None and not self.refusal
            else self.refusal or " / ".join(f"{error:.0e}" for error in self.errors)
        )


@pytest.fixture(scope="module")
def matrix():
    return {}


@pytest.fixture(scope="module")
def plain(comfy_host, within):
    """plain(family): h of its plain model, to see what a patch changes."""
    found = {}

    def of(family):
        if family not in found:
            found[family] = evaluate(comfy_host, within, case_of(family, FULL, None))[1]
        return found[family]

    return of


def evaluate(comfy_host, within, case, feature="middle"):
    """The errors of the derivatives at a noisy latent of the case, and h there."""

    def work(denoiser, x):
        z, sigma = noisy(denoiser, x)
        return comfy_host.adapter.check_derivatives(denoiser, z, sigma), denoiser.encode(z, sigma)

    return within(case.model, case.conditioning, case.latent, work, feature=feature, products=True)


@pytest.mark.parametrize("family, weights, patch", cells)
def test_a_cell_is_right_or_refused(
    comfy_host, within, call, monkeypatch, matrix, plain, family, weights, patch
):
    case = PATCHES[patch](case_of(family, weights, monkeypatch), call, monkeypatch)
    if case is None:
        matrix[family, weights, patch] = Cell(None)
        return
    feature = "output_1" if patch == "FreeU" else "middle"
    try:
        errors, h = evaluate(comfy_host, within, case, feature)
    except ValueError as error:
        matrix[family, weights, patch] = Cell(None, str(error))
        assert str(error).endswith(".") and "\n" not in str(error)
        return
    half = weights == "float16" or "bfloat16" in weights or "multiplied" in weights
    matrix[family, weights, patch] = Cell(
        (errors.adjoint, errors.difference, *([errors.precision] if half else []))
    )
    assert errors.adjoint < (5e-3 if half else 1e-6) and errors.difference < 2e-3
    assert 0 < errors.precision < 0.1 if half else errors.precision == 0
    if weights == FULL and patch not in SAME_H:
        assert h.shape != plain(family).shape or not torch.allclose(h, plain(family), rtol=1e-2, atol=1e-2), (
            "the patch does nothing"
        )


def test_the_page_says_what_was_measured(matrix):
    if set(matrix) != set(cells):
        pytest.skip("only a part of the matrix was measured in this run")
    if os.environ.get("PULLBACK_WRITE_SUPPORT"):
        PAGE.parent.mkdir(parents=True, exist_ok=True)
        PAGE.write_text(page(matrix), encoding="ascii", newline="\n")
    if not PAGE.is_file():
        pytest.skip(f"there is no page for ComfyUI {comfyui_version.__version__}")
    assert verdicts(PAGE.read_text(encoding="ascii")) == verdicts(page(matrix))


def page(matrix):
    refusals = sorted({shortened(cell.refusal) for cell in matrix.values() if cell.refusal})

    def shown(family, weights, patch):
        cell = matrix.get((family, weights, patch), Cell(None))
        return f"refused [{refusals.index(shortened(cell.refusal)) + 1}]" if cell.refusal else str(cell)

    def table(corner, families, rows):
        lines = [f"| {corner} | {' | '.join(families)} |", "|---" * (len(families) + 1) + "|"]
        return (
            lines
            + [
                f"| {name} | " + " | ".join(shown(family, *row) for family in families) + " |"
                for name, row in rows
            ]
            + [""]
        )

    combined = [
        (f"{patch}, {weights}", (weights, patch))
        for patch in PATCHES
        if patch != "none"
        for weights in COMBINED
    ]
    return "\n".join(
        [
            f"# What works in ComfyUI {comfyui_version.__version__}",
            "",
            "Measured by `tests/host/test_support.py` on tiny models of the host's own architectures with random weights, on a CPU with torch "
            f"{torch.__version__}, at 0.7 T. A cell shows errors, all relative: of the adjoint identity <u, J v> = <J^T u, v>; of J v "
            "against central differences through the host as it is, both in float32; and, where the model computes in half precision, of "
            "J v against J v in float32. A dash: there is no such thing. Refused: the node says the sentence below, and nothing is computed.",
            "",
            "## Weights",
            "",
            *table("weights", MAIN, [(weights, (weights, "none")) for weights in WEIGHTS]),
            "## Patches and conditionings, weights in float32",
            "",
            *table("patch", MAIN, [(patch, (FULL, patch)) for patch in PATCHES if patch != "none"]),
            *more_families(table),
            "## The same with other weights",
            "",
            *table("patch, weights", BOTH, combined),
            "## What was not run",
            "",
            "No graphics card was at hand. What a CPU cannot run is tested with stand-ins that behave as the code of this host says:",
            "",
            *[f"- {sentence}." for sentence, here in STAND_INS.items() if here],
            "",
            "## Refusals",
            "",
            *[f"{number}. {sentence}" for number, sentence in enumerate(refusals, 1)],
            "",
        ]
    )


def more_families(table):
    """The part of the page on families of which fewer rows are measured, where the host has any."""
    if not OTHERS:
        return []
    rows = [(weights, (weights, "none")) for weights in FEWER_WEIGHTS] + [
        (f"{patch}, {FULL}", (FULL, patch)) for patch in FEWER_PATCHES
    ]
    return [
        "## More families, with what may differ from one to another",
        "",
        *table("weights or patch", OTHERS, rows),
    ]


def shortened(sentence):
    """A refusal without the errors that it reports, which differ a little from machine to machine."""
    return re.sub(r" \((adjoint|value) error [^)]*\)", "", sentence)


def verdicts(text):
    """What a page says in each row, without the numbers, and without the reason: what works at random may fail in either check."""
    rows = (line.split("|")[1:-1] for line in text.splitlines() if line.startswith("| "))
    return [
        [row[0].strip(), *("works" if "/" in cell else cell.split("[")[0].strip() for cell in row[1:])]
        for row in rows
    ]
