"""Basis Visualizer: its sheet, its plot and its maps."""

from dataclasses import replace

import pytest
import torch
from node_calls import BASIS_OPTIONS, SHEET_OPTIONS, edit, sample


@pytest.fixture(scope="module")
def sheets(call, face):
    return {
        mode: call(
            "PullbackBasisVisualizer",
            **face.inputs,
            vae=face.vae,
            sigmas=face.sigmas,
            **{**SHEET_OPTIONS, "mode": mode},
        )
        for mode in ("fast", "full")
    }


def test_the_visualizers_pictures_are_images_of_something(sheets):
    for sheet, spectrum, maps in sheets.values():
        for image in (sheet, spectrum, maps):
            assert image.ndim == 4 and image.shape[3] == 3 and image.dtype == torch.float32
            assert 0 <= image.min() and image.max() <= 1 and image.std() > 0.02
        assert (
            sheet.shape[0] == spectrum.shape[0] == 1 and sheet.shape[1] >= 2 * 64 and sheet.shape[2] >= 3 * 64
        )
        assert len(maps) == 2 and (maps[0] - maps[1]).abs().max() > 0.1


def test_the_fast_sheet_and_the_full_one_differ_in_their_pictures_alone(sheets):
    (fast, *_, fast_maps), (full, *_, full_maps) = sheets["fast"], sheets["full"]
    assert fast.shape == full.shape and (fast - full).abs().mean() > 0.005
    assert torch.equal(fast_maps, full_maps)


def test_the_visualizer_shows_what_directions_there_are(call, face):
    *_, maps = call(
        "PullbackBasisVisualizer",
        **face.inputs,
        vae=face.vae,
        sigmas=face.sigmas,
        **{**SHEET_OPTIONS, "direction": 3, "directions": 9},
    )
    assert len(maps) == 1


def test_a_full_sheet_shows_the_edits_sampled_to_the_end(call, comfy_host, face, monkeypatch):
    """The sheet's pictures, caught on their way into it."""
    caught = []
    figures = comfy_host.core.figures
    plain = figures.contact_sheet
    monkeypatch.setattr(
        figures,
        "contact_sheet",
        lambda rows, *others, **options: caught.append(rows) or plain(rows, *others, **options),
    )
    call(
        "PullbackBasisVisualizer",
        **face.inputs,
        vae=face.vae,
        sigmas=face.sigmas,
        **{**SHEET_OPTIONS, "mode": "full"},
    )
    edits = edit(call, face.inputs, directions=2, strengths=3)
    with torch.inference_mode():
        pictures = face.vae.decode(sample(call, face, edits))
    shown = torch.stack([picture for _, row in caught[0] for picture in row])
    torch.testing.assert_close((shown.movedim(1, 3) + 1) / 2, pictures, rtol=0, atol=5e-3)


def sheet_rows(call, comfy_host, face, monkeypatch, **options):
    """The rows of a sheet with their pictures, and their notes."""
    caught = []
    figures = comfy_host.core.figures
    plain = figures.contact_sheet

    def catch(rows, *others, **named):
        caught.append((rows, named["row_notes"]))
        return plain(rows, *others, **named)

    monkeypatch.setattr(figures, "contact_sheet", catch)
    inputs = {**face.inputs, "vae": face.vae, "sigmas": face.sigmas, **SHEET_OPTIONS, **options}
    call("PullbackBasisVisualizer", **inputs)
    return caught[0]


def test_columns_in_units_of_what_is_seen(call, comfy_host, face, monkeypatch):
    rows, notes = sheet_rows(call, comfy_host, face, monkeypatch, mode="full", unit="picture")
    edits = edit(call, face.inputs, directions=2, strengths=3, unit="picture")
    with torch.inference_mode():
        pictures = face.vae.decode(sample(call, face, edits))
    shown = torch.stack([picture for _, row in rows for picture in row])
    torch.testing.assert_close((shown.movedim(1, 3) + 1) / 2, pictures, rtol=0, atol=2e-2)
    assert [note.startswith("singular value ") for note in notes] == [True, True]
    assert all("\nstraight from -" in note for note in notes)


def test_a_fast_sheet_of_a_picture_basis_is_a_preview(call, comfy_host, face, monkeypatch):
    basis = call(
        "PullbackBasis",
        **face.hosted,
        sigmas=face.sigmas,
        rank=2,
        **{**BASIS_OPTIONS, "feature": "picture"},
    )[0]
    named = replace(basis, names=["joy", ""])
    rows, _ = sheet_rows(call, comfy_host, face, monkeypatch, basis=named, unit="picture")
    assert [label for label, _ in rows] == ["1: joy", "direction 2"]
    minus, middle, plus = rows[0][1]
    inner = ((plus - middle) * (middle - minus)).sum() / ((plus - middle).norm() * (middle - minus).norm())
    assert inner > 0.9, "the preview is straight, apart from the edges of the range of pixels"


def test_a_fast_sheet_of_another_basis_is_a_forecast(call, comfy_host, face, monkeypatch):
    rows, notes = sheet_rows(call, comfy_host, face, monkeypatch, unit="picture")
    assert len(rows) == 2 and all("straight from" in note for note in notes)
