"""The support matrix: families by weights, patches and conditionings. Each cell is right, or refused.

With PULLBACK_WRITE_SUPPORT=1 in the environment, this file writes docs/support/<version of ComfyUI>.md, and
the row of that version in the README.
"""

import importlib.util
import os
from pathlib import Path

import comfy.model_management
import comfy.model_patcher
import comfyui_version
import pytest
import torch
from comfy.cli_args import args as command_line
from support_page import Cell, SupportPage, readme_row, verdicts
from tiny_families import FLOWS, LACKING, TITLES
from variants import FAMILIES, PATCHES, WEIGHTS, case_of

PACK = Path(__file__).parents[2]
README, PAGE = PACK / "README.md", PACK / f"docs/support/{comfyui_version.__version__}.md"


def has_int8_attention():
    return importlib.util.find_spec("comfy_kitchen") is not None and hasattr(
        importlib.import_module("comfy_kitchen"), "int8_attention"
    )


# They stand for UNets and transformers where weights and patches are combined.
BOTH = ("sdxl", "flux")
COMBINED = ("float16", "float8 as bfloat16", "half of it offloaded", "GGUF-like")
# These do not change h here.
SAME_H = ("none", "EasyCache", "torch.compile", "compiled blocks", "timestep ranges", "LCM")
FULL = "float32"
# Computed in float32. Fp8 files: only what is not in fp8 is in half precision, and in older hosts alone.
STORED_IN_HALF = ("half of it offloaded", "scaled float8")
# The rows that may differ from one network to another, for families of which the others are not measured.
FEWER_WEIGHTS = (FULL, "bfloat16", "scaled float8", "half of it offloaded")
FEWER_PATCHES = ("LoRA", "ControlNet", "IPAdapter-like", "compiled blocks", "reference picture")
OTHERS = tuple(kind for kind, row in FLOWS.items() if not row.measured_in_full)
MAIN = tuple(family for family in FAMILIES if family not in OTHERS)
# Tables of the page: name of a row -> (weights, patch).
WEIGHT_ROWS = {weights: (weights, "none") for weights in WEIGHTS}
PATCH_ROWS = {patch: (FULL, patch) for patch in PATCHES if patch != "none"}
FEWER_ROWS = {weights: (weights, "none") for weights in FEWER_WEIGHTS}
FEWER_ROWS |= {f"{patch}, {FULL}": (FULL, patch) for patch in FEWER_PATCHES}
COMBINED_ROWS = {f"{patch}, {weights}": (weights, patch) for patch in PATCH_ROWS for weights in COMBINED}
# The feature picture has the whole network. What acts after the bottleneck and what joins prompts counts too.
PICTURE_WEIGHTS = (FULL, "bfloat16", "scaled float8", "half of it offloaded")
PICTURE_PATCHES = ("ControlNet", "FreeU", "regional prompts")
PICTURE_ROWS = {weights: (weights, "none", "picture") for weights in PICTURE_WEIGHTS}
PICTURE_ROWS |= {f"{patch}, {FULL}": (FULL, patch, "picture") for patch in PICTURE_PATCHES}
cells = [(family, *row) for row in WEIGHT_ROWS.values() for family in MAIN]
cells += [(family, *row) for row in PATCH_ROWS.values() for family in MAIN]
cells += [(family, *row) for row in FEWER_ROWS.values() for family in OTHERS]
cells += [(family, *row) for row in COMBINED_ROWS.values() for family in BOTH]
picture_cells = [(family, *row) for row in PICTURE_ROWS.values() for family in FAMILIES]

# What a CPU cannot run, and whether this host has it. `test_differentiation.py` has a stand-in for each.
STAND_INS = {
    "DynamicVRAM (weights streamed through shared memory): the model is loaded whole where the host can read "
    "it again, else its layers copy their weights": hasattr(comfy.model_patcher.ModelPatcher, "is_dynamic"),
    "Offloaded weights on a card with streams: they get memory of their own, not a buffer that layers "
    "share": hasattr(comfy.model_management, "NUM_STREAMS"),
    "CUDA graphs: switched off while derivatives are taken": hasattr(command_line, "disable_cuda_graphs"),
    "Several GPUs: the work stays on the first": hasattr(
        comfy.model_patcher.ModelPatcher, "remove_additional_models"
    ),
    "Attention in int8: the core's own attention in its place": has_int8_attention(),
    "fp8, fp4 and other packed products: weights are unpacked first": True,
}


@pytest.fixture(scope="module")
def matrix():
    return {}


@pytest.fixture(scope="module")
def plain(comfy_host, within, with_noise):
    """plain(family, feature): h of its plain model, to see what a patch changes."""
    found = {}

    def of(family, feature):
        if (family, feature) not in found:
            case = case_of(family, FULL, None)
            found[family, feature] = evaluate(comfy_host, within, with_noise, case, feature)[1]
        return found[family, feature]

    return of


def evaluate(comfy_host, within, with_noise, case, feature):
    """The errors of the derivatives at a noisy latent of the case, and h there."""

    def work(denoiser, x):
        noisy = with_noise(denoiser, x)
        checked = comfy_host.adapter.check_derivatives(denoiser, noisy)
        return checked.errors, checked.encode(noisy.x, noisy.sigma)

    return within(case.model, case.conditioning, case.latent, work, feature=feature, products=True)


@pytest.fixture
def measured_cell(comfy_host, within, with_noise, call, monkeypatch, plain):
    """measured_cell(family, weights, patch, feature): the `Cell`, if it is right or refused."""

    def measure(family, weights, patch, feature):
        case = PATCHES[patch](case_of(family, weights, monkeypatch), call, monkeypatch)
        if case is None:
            return Cell(None)
        try:
            errors, h = evaluate(comfy_host, within, with_noise, case, feature)
        except ValueError as error:
            assert str(error).endswith(".") and "\n" not in str(error)
            return Cell(None, str(error))
        half = weights == "float16" or "bfloat16" in weights or "multiplied" in weights
        rounded = half
        if weights in STORED_IN_HALF and feature == "picture":
            rounded = family in FLOWS and FLOWS[family].decodes_as_stored
        assert errors.adjoint < (5e-3 if rounded else 1e-6)
        assert errors.difference < (0.1 if rounded and not half else 2e-3)
        assert 0 < errors.precision < 0.1 if half else errors.precision == 0
        if weights == FULL and patch not in SAME_H:
            expected = plain(family, "middle" if feature != "picture" else feature)
            assert h.shape != expected.shape or not torch.allclose(h, expected, rtol=1e-2, atol=1e-2), (
                "the patch does nothing"
            )
        return Cell((errors.adjoint, errors.difference, *([errors.precision] if half else [])))

    return measure


@pytest.mark.parametrize("family, weights, patch", cells)
def test_a_cell_is_right_or_refused(measured_cell, matrix, family, weights, patch):
    feature = "output_1" if patch == "FreeU" else "middle"
    matrix[family, weights, patch] = measured_cell(family, weights, patch, feature)


@pytest.mark.parametrize("family, weights, patch, feature", picture_cells)
def test_a_cell_of_the_picture_is_right_or_refused(measured_cell, matrix, family, weights, patch, feature):
    matrix[family, weights, patch, feature] = measured_cell(family, weights, patch, feature)


def test_the_page_says_what_was_measured(matrix):
    if set(matrix) != {*cells, *picture_cells}:
        pytest.skip("only a part of the matrix was measured in this run")
    page = SupportPage(matrix, TITLES).text(
        main=(MAIN, WEIGHT_ROWS, PATCH_ROWS),
        others=(OTHERS, FEWER_ROWS),
        picture=((MAIN, PICTURE_ROWS), (OTHERS, PICTURE_ROWS)),
        combined=(BOTH, COMBINED_ROWS),
        stand_ins=[sentence for sentence, here in STAND_INS.items() if here],
    )
    if os.environ.get("PULLBACK_WRITE_SUPPORT"):
        PAGE.parent.mkdir(parents=True, exist_ok=True)
        PAGE.write_text(page, encoding="ascii", newline="\n")
    if not PAGE.is_file():
        pytest.skip(f"there is no page for ComfyUI {comfyui_version.__version__}")
    assert verdicts(PAGE.read_text(encoding="ascii")) == verdicts(page)


def test_the_readme_names_the_families_of_this_host():
    text = README.read_text(encoding="ascii")
    row = readme_row(TITLES, LACKING)
    rows = [line for line in text.splitlines() if line.startswith(row.partition("]")[0])]
    if not rows:
        pytest.skip("the README has no row for this host")
    if os.environ.get("PULLBACK_WRITE_SUPPORT"):
        README.write_text(text.replace(rows[0], row), encoding="ascii", newline="\n")
        rows = [row]
    assert rows == [row]
