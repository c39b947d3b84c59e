"""A setting of several directions as one direction."""

from dataclasses import replace

import pytest
import torch
from curved import SHAPE, SIGMA, Curved, basis_at, draw, noisy_at

from pullback_core.directions.moves import move
from pullback_core.directions.preview import unit_lengths
from pullback_core.directions.setting import described, mix_setting, unit_metric
from pullback_core.directions.strength import UNIT

Z = draw(*SHAPE, seed=1)
STRAIGHT = Curved(bend=0.0)
BASIS = replace(basis_at(STRAIGHT, Z), names=["smile", "", "hat"])


def outside_direction():
    """A direction that is not in the span of the basis, as that of a word."""
    v = draw(1, *SHAPE, seed=9)
    v = v / v.norm()
    changes = STRAIGHT.slopes(Z) * v
    word = BASIS.select([0])
    return replace(
        word, v=v, s=changes.norm().view(1), u=changes / changes.norm(), names=["older"], kind="word"
    )


def sum_of_moves(amounts, others=(), mask=1.0):
    """The change of the predicted picture by all moves one after another."""
    total = torch.zeros(SHAPE, dtype=torch.float64)
    for basis, amount in [*((BASIS.select([number]), one) for number, one in enumerate(amounts)), *others]:
        change = basis.picture_changes()[0]
        size = ((change.square() * mask).sum() / (mask * torch.ones(SHAPE)).sum()).sqrt()
        total += amount * UNIT * change / size
    return total


def test_an_edit_by_the_mixture_is_the_sum_of_all_edits():
    amounts, word = [1.0, 0.0, -0.5], outside_direction()
    basis, strength = mix_setting(BASIS, amounts, [(word, 0.7)])
    wanted = sum_of_moves(amounts, [(word, 0.7)])
    torch.testing.assert_close(strength * UNIT, float(wanted.square().mean().sqrt()))
    edited = move(STRAIGHT, noisy_at(Z), basis, strength * float(unit_lengths(basis)))
    change = STRAIGHT.denoise(edited.x, SIGMA) - STRAIGHT.denoise(noisy_at(Z).x, SIGMA)
    torch.testing.assert_close(change[0], wanted)
    assert (basis.rank, basis.kind, basis.names) == (1, "mixed", ["smile - 0.5 hat + 0.7 older"])


def test_one_direction_alone_is_itself():
    basis, strength = mix_setting(BASIS, [0, -2, 0])
    torch.testing.assert_close(basis.v[0], -BASIS.v[1])
    assert strength == pytest.approx(2) and basis.names == ["- 2 direction 2"]


def test_inside_a_mask_the_strength_is_that_inside():
    mask = torch.zeros(3, 4)
    mask[:, :2] = 1
    _, strength = mix_setting(BASIS, [1, 1, 0], mask=mask)
    inside = sum_of_moves([1, 1, 0], mask=mask)[..., :2]
    assert strength * UNIT == pytest.approx(float(inside.square().mean().sqrt()))


def test_a_basis_of_another_feature_serves_by_its_pictures():
    u = torch.linalg.qr(draw(7, 3, seed=8))[0].T.contiguous().view(-1, 7, 1)
    other = replace(BASIS, u=u, pictures=BASIS.picture_changes(), provenance={"feature": "middle"})
    words = [(outside_direction(), 0.3)]
    one, strength = mix_setting(other, [1, 2, 3], words)
    wanted, wanted_strength = mix_setting(BASIS, [1, 2, 3], words)
    torch.testing.assert_close(one.v, wanted.v)
    assert strength == pytest.approx(wanted_strength) and one.provenance["feature"] == "picture"


@pytest.mark.parametrize(
    ("amounts", "sentence"),
    [
        ([1.0], "a strength for each of the 3 directions, got 1"),
        ([1.0, float("nan"), 0.0], "A strength is a number from -100 to 100, got nan"),
        ([1.0, 1e9, 0.0], "A strength is a number"),
        ([0.0, 0.0, 0.0], "Nothing is set"),
    ],
)
def test_what_is_no_setting_is_refused(amounts, sentence):
    with pytest.raises(ValueError, match=sentence):
        mix_setting(BASIS, amounts)


def test_parts_that_cancel_each_other_are_refused():
    with pytest.raises(ValueError, match="cancel each other"):
        mix_setting(BASIS, [1, 0, 0], [(BASIS.select([0]), -1.0)])


def test_a_basis_that_does_not_know_pictures_is_refused():
    with pytest.raises(ValueError, match="does not know what its directions do"):
        mix_setting(basis_at(STRAIGHT, Z, known=False), [1, 0, 0])


def test_the_metric_tells_how_long_a_move_is():
    amounts = torch.tensor([1.0, -0.5, 0.2], dtype=torch.float64)
    basis, strength = mix_setting(BASIS, amounts)
    length = strength * float(unit_lengths(basis))
    assert float(amounts @ unit_metric(BASIS) @ amounts) == pytest.approx(length**2)


def test_a_setting_in_words():
    assert described(["joy", "a hat", "x"], [-1.0, 0.25, 0.0]) == "- joy + 0.25 a hat"
    assert described(["joy"], [0.0]) == ""
    assert described(list("abcdef"), [1, 0.1, -2, 3, 0.2, 4]) == "a - 2 c + 3 d + 4 f and 2 more"
