"""Pictures foretold without the model."""

import pytest
import torch
from curved import SHAPE, SIGMA, Curved, basis_at, draw, noisy_at

from pullback_core.directions.moves import move
from pullback_core.directions.preview import preview, preview_by
from pullback_core.directions.strength import UNIT

Z = draw(*SHAPE, seed=1)


def clean(denoiser):
    return denoiser.denoise(noisy_at(Z).x, SIGMA)


def test_it_is_exact_where_the_picture_is_straight():
    denoiser = Curved(bend=0.0)
    basis = basis_at(denoiser, Z)
    lengths = torch.tensor([[0.5, 0.0, -1.0], [0.0, 2.0, 0.0]])
    after = move(denoiser, noisy_at(Z), torch.einsum("kr,rchw->kchw", lengths.double(), basis.v), 1.0)
    steps = lengths.norm(dim=1).double().view(-1, 1, 1, 1)
    wanted = clean(denoiser) + steps * (denoiser.denoise(after.x, SIGMA) - clean(denoiser))
    torch.testing.assert_close(preview(clean(denoiser), basis, lengths), wanted)
    torch.testing.assert_close(preview(clean(denoiser)[0], basis, lengths), wanted)


def test_strengths_are_units_of_what_is_seen():
    denoiser = Curved()
    shown = preview_by(clean(denoiser), basis_at(denoiser, Z), [-1.0, 0.0, 2.0])
    changes = (shown - clean(denoiser)).unflatten(0, (3, 3))
    sizes = changes.square().mean(dim=(2, 3, 4)).sqrt()
    torch.testing.assert_close(sizes, UNIT * torch.tensor([1.0, 0.0, 2.0]).expand(3, -1).double())
    torch.testing.assert_close(changes[:, 2], -2 * changes[:, 0])


def test_a_mask_limits_it():
    denoiser, mask = Curved(), torch.zeros(3, 4)
    mask[0, :2] = 1
    change = preview_by(clean(denoiser), basis_at(denoiser, Z), [1.0], mask=mask) - clean(denoiser)
    assert not (change * (1 - mask)).any()
    inside = change[..., 0, :2].square().flatten(1).mean(dim=1).sqrt()
    torch.testing.assert_close(inside, torch.full((3,), UNIT, dtype=torch.float64))


def test_what_cannot_be_foretold_is_refused():
    denoiser = Curved()
    with pytest.raises(ValueError, match="does not know"):
        preview_by(clean(denoiser), basis_at(denoiser, Z, known=False), [1.0])
    with pytest.raises(ValueError, match="one picture of shape"):
        preview_by(clean(denoiser)[..., :2], basis_at(denoiser, Z), [1.0])
    with pytest.raises(ValueError, match=r"shape \(pictures, 3\)"):
        preview(clean(denoiser), basis_at(denoiser, Z), torch.ones(2))
    with pytest.raises(ValueError, match="mask is empty"):
        preview_by(clean(denoiser), basis_at(denoiser, Z), [1.0], mask=torch.zeros(3, 4))
