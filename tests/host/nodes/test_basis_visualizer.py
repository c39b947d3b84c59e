"""Basis Visualizer: its sheet, its plot and its maps."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import folder_paths
import pytest
import torch
from node_calls import BASIS_OPTIONS, SHEET_OPTIONS, edit, sample
from PIL import Image, ImageChops


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


def test_the_maps_do_not_depend_on_the_mode(sheets):
    assert torch.equal(sheets["fast"][2], sheets["full"][2])


def test_a_draft_is_nearer_to_the_finished_pictures_than_a_forecast(call, comfy_host, face, monkeypatch):
    node = sys.modules[comfy_host.nodes["PullbackBasisVisualizer"].__module__]
    monkeypatch.setattr(node, "DRAFT_STEPS", 4)  # the face's own way back has eight
    pictures, titles = {}, {}
    for mode in ("full", "draft", "fast"):
        rows, _, titles[mode] = sheet_rows(call, comfy_host, face, monkeypatch, mode=mode)
        pictures[mode] = torch.stack([picture for _, row in rows for picture in row])
    draft, fast = ((pictures[mode] - pictures["full"]).square().mean().sqrt() for mode in ("draft", "fast"))
    assert 0.001 < draft < 0.5 * fast
    assert titles["full"].endswith(" T")
    assert titles["draft"].endswith(" T: draft, 4 sampler steps")
    assert titles["fast"].endswith(" T: forecast, not sampled")


def test_a_draft_of_a_short_way_is_the_full_sheet(call, comfy_host, face, monkeypatch):
    full, draft = (
        sheet_rows(call, comfy_host, face, monkeypatch, mode=mode, directions=1) for mode in ("full", "draft")
    )
    for one, other in zip(full[0][0][1], draft[0][0][1], strict=True):
        assert torch.equal(one, other)
    assert draft[2].endswith("draft, 8 sampler steps")


def test_the_page_learns_where_each_picture_is(comfy_host, face, monkeypatch):
    """A cell of the sheet's file shows the picture of its direction and strength."""
    caught = []
    node = sys.modules[comfy_host.nodes["PullbackBasisVisualizer"].__module__]
    plain = node._sheet
    monkeypatch.setattr(node, "_sheet", lambda *given: caught.append(given[2]) or plain(*given))
    options = {**SHEET_OPTIONS, "direction": 2, "strength": 0.8}
    with torch.inference_mode():
        done = comfy_host.nodes["PullbackBasisVisualizer"].execute(
            **face.inputs, vae=face.vae, sigmas=face.sigmas, **options
        )
    [shown] = done.ui["pullback_sheet"]
    assert shown["file"] == done.ui["images"][0]
    assert (shown["unit"], shown["made"], shown["steps"]) == ("guidance", "forecast", 4)
    assert shown["columns"] == ["-0.8", "0", "+0.8"]
    assert [row["label"] for row in shown["rows"]] == ["direction 2", "direction 3"]
    assert all(row["notes"].startswith("singular value") for row in shown["rows"])
    places = [(cell["direction"], round(cell["strength"], 5)) for cell in shown["cells"]]
    assert places == [(row, amount) for row in (2, 3) for amount in (-0.8, 0.0, 0.8)]
    path = Path(folder_paths.get_temp_directory(), shown["file"]["subfolder"], shown["file"]["filename"])
    with Image.open(path) as sheet:
        assert list(sheet.size) == shown["size"]
        for cell, picture in zip(shown["cells"], caught[0], strict=True):
            x, y, width, height = (cell[name] for name in ("x", "y", "width", "height"))
            part = sheet.convert("RGB").crop((x, y, x + width, y + height))
            small = comfy_host.core.figures.to_pil(picture, 64)
            assert ImageChops.difference(part, small).getbbox() is None
    json.dumps(shown)


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
    plain = figures.placed_contact_sheet
    monkeypatch.setattr(
        figures,
        "placed_contact_sheet",
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
    """The rows of a sheet with their pictures, their notes, and the title."""
    caught = []
    figures = comfy_host.core.figures
    plain = figures.placed_contact_sheet

    def catch(rows, *others, **named):
        caught.append((rows, named["row_notes"], named["title"]))
        return plain(rows, *others, **named)

    monkeypatch.setattr(figures, "placed_contact_sheet", catch)
    inputs = {**face.inputs, "vae": face.vae, "sigmas": face.sigmas, **SHEET_OPTIONS, **options}
    call("PullbackBasisVisualizer", **inputs)
    return caught[0]


def test_columns_in_units_of_what_is_seen(call, comfy_host, face, monkeypatch):
    rows, notes, _ = sheet_rows(call, comfy_host, face, monkeypatch, mode="full", unit="picture")
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
    rows, _, title = sheet_rows(call, comfy_host, face, monkeypatch, basis=named, unit="picture")
    assert [label for label, _ in rows] == ["1: joy", "direction 2"]
    minus, middle, plus = rows[0][1]
    inner = ((plus - middle) * (middle - minus)).sum() / ((plus - middle).norm() * (middle - minus).norm())
    assert inner > 0.9, "the preview is straight, apart from the edges of the range of pixels"
    assert title.endswith(" T: preview, not sampled")


def test_a_fast_sheet_of_another_basis_is_a_forecast(call, comfy_host, face, monkeypatch):
    rows, notes, title = sheet_rows(call, comfy_host, face, monkeypatch, unit="picture")
    assert len(rows) == 2 and all("straight from" in note for note in notes)
    assert title.endswith(" T: forecast, not sampled")
