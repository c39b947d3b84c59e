"""What a board shows of a basis and of words."""

import pytest
import torch
from boards import accept, board_case


@pytest.fixture(scope="module")
def case(comfy_host, call):
    case = board_case(comfy_host, call)
    rows = comfy_host.adapter.board.rows
    case.rows = rows
    case.inputs = rows.BoardInputs(case.model, case.conditioning, case.vae, case.latent, case.sigmas)
    with torch.inference_mode():
        case.still, case.ranges = rows.still_of(
            case.inputs, case.basis, accept, comfy_host.adapter.Progress(100)
        )
    return case


def rows_at(case, size, **facts):
    done = []
    rows = case.rows.rows_of(
        case.inputs,
        case.still,
        case.basis,
        case.ranges,
        size,
        lambda *part: done.append(part),
        kind="direction",
        **facts,
    )
    assert done[-1] == (case.basis.rank, case.basis.rank)
    return rows


def test_the_still_is_the_picture_that_the_model_makes_again(case, comfy_host, within):
    ddim = comfy_host.core.ddim
    made = within(
        case.model,
        case.conditioning,
        case.latent,
        lambda denoiser, noisy: ddim.generate(denoiser, noisy),
        sigmas=case.sigmas,
    )
    torch.testing.assert_close(case.still.clean, made.float().cpu())
    assert case.still.mask is None and case.still.pixels.shape == (1, 3, 8, 8)
    assert case.ranges.shape == (case.basis.rank, 2) and (case.ranges >= 0).all()


def test_a_row_is_the_decoded_change_at_strength_one(case, comfy_host):
    preview_by = comfy_host.core.directions.preview.preview_by
    rows = rows_at(case, (8, 8))
    for number, row in enumerate(rows):
        one = case.basis.select([number])
        minus, plus = case.rows.decode(case.inputs, preview_by(case.still.clean, one, [-1.0, 1.0]))
        wanted = 255 * (plus - minus) / 2  # nothing is cut off by this VAE
        levels = torch.from_numpy(row.picture.levels()).permute(2, 0, 1)
        torch.testing.assert_close(levels, wanted, rtol=0, atol=row.picture.scale)
        assert set(row.facts) == {"kind", "name", "scale", "range", "colour"}
        assert row.facts["range"] == pytest.approx(case.ranges[number].tolist())


def test_rows_are_small(case):
    assert all(row.picture.values.shape == (2, 4, 3) for row in rows_at(case, (4, 2)))


def test_ranges_that_are_not_finite_are_still_numbers(case):
    broken = case.ranges.clone()
    broken[0] = torch.tensor([float("nan"), float("inf")])
    case.ranges, kept = broken, case.ranges
    assert rows_at(case, (4, 2))[0].facts["range"] == [0.0, 4.0]
    case.ranges = kept


def test_rows_that_are_only_mixed_are_one_short_step(case, comfy_host):
    preview_by = comfy_host.core.directions.preview.preview_by
    with torch.inference_mode():
        rows = case.rows.known_rows(case.inputs, case.still, case.basis, (8, 8))
        plus = case.rows.decode(case.inputs, preview_by(case.still.clean, case.basis, [case.rows.SHORT]))
    for row, wanted in zip(rows, 255 * (plus - case.still.pixels) / case.rows.SHORT):
        levels = torch.from_numpy(row.picture.levels()).permute(2, 0, 1)
        torch.testing.assert_close(levels, wanted, rtol=0, atol=row.picture.scale)
        assert row.facts == {"kind": "known", "scale": row.picture.scale}


def test_a_word_that_changes_nothing_is_told(case, comfy_host):
    shape = case.basis.v.shape[1:]
    shifts = {
        "much": torch.randn(shape, generator=torch.Generator().manual_seed(1)),
        "none": torch.zeros(shape),
    }
    with torch.inference_mode():
        rows, refused = case.rows.word_rows(
            case.inputs, case.still, case.basis, shifts, (8, 8), lambda *_: None
        )
    assert list(rows) == ["much"] and "none: The word changes nothing" in refused["none"]
    facts = rows["much"].facts
    assert (facts["kind"], facts["name"]) == ("word", "much") and 0 <= facts["explained"] <= 1
    assert rows["much"].direction.kind == "word"
