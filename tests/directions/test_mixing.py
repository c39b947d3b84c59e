"""Mixed directions."""

from dataclasses import replace

import pytest
import torch
from curved import SHAPE, Curved, basis_at, draw

from pullback_core.directions.mixing import mix

Z = draw(*SHAPE, seed=1)
BASIS = replace(basis_at(Curved(), Z), names=["smile", "", "hat"])


def part(number, **changes):
    return replace(BASIS.select([number]), **changes)


def of_features(basis):
    """The same directions as a basis of another feature, which knows what they do to the picture."""
    u = torch.linalg.qr(draw(7, basis.rank, seed=8))[0].T.contiguous().view(-1, 7, 1)
    provenance = {"feature": "middle"}
    return replace(basis, u=u, pictures=basis.picture_changes(), provenance=provenance)


def test_a_mixture_is_the_sum_and_does_what_it_says():
    mixture = mix([(part(0), 1.0), (part(2), -0.5)])
    wanted = BASIS.v[0] - 0.5 * BASIS.v[2]
    torch.testing.assert_close(mixture.v[0], wanted / wanted.norm())
    torch.testing.assert_close(mixture.s * mixture.u[0], Curved().slopes(Z) * mixture.v[0])
    assert (mixture.kind, mixture.rank, mixture.names) == ("mixed", 1, ["smile - 0.5 hat"])
    assert mixture.search_space is None and mixture.sigma == BASIS.sigma


def test_names():
    assert mix([(part(0), 1.0)], name="joy").names == ["joy"]
    assert mix([(part(1), -2.0), (part(0), 0.25)]).names == ["- 2 unnamed + 0.25 smile"]


def test_what_is_to_be_kept_is_not_touched():
    kept = BASIS.select([1, 2])
    mixture = mix([(part(0), 1.0), (part(1), 0.3)], orthogonal_to=kept)
    changes = Curved().slopes(Z) * mixture.v[0]
    inner = (kept.picture_changes() * changes).flatten(1).sum(dim=1)
    assert inner.abs().max() < 1e-9 * changes.norm() * kept.s.max()
    torch.testing.assert_close(mixture.s * mixture.u[0], changes)
    assert (BASIS.v[1] * BASIS.v[0]).sum().abs() < 1e-9 < (mixture.v[0] * BASIS.v[1]).sum().abs()


def test_it_is_the_picture_that_counts_where_it_is_known():
    bases = of_features(BASIS)
    mixture = mix([(bases.select([0]), 1.0)], orthogonal_to=bases.select([1]))
    assert (mixture.pictures * bases.pictures[1]).sum().abs() < 1e-9
    torch.testing.assert_close(mixture.pictures[0], Curved().slopes(Z) * mixture.v[0])
    unknown = replace(bases, pictures=None)
    by_feature = mix([(unknown.select([0]), 1.0)], orthogonal_to=unknown.select([1]))
    torch.testing.assert_close(by_feature.v, bases.v[:1])  # its u are orthogonal already
    assert by_feature.pictures is None


def test_directions_that_do_the_same_are_kept_once():
    twice = replace(BASIS.select([1, 2]), v=BASIS.v[[1, 1]], u=BASIS.u[[1, 1]], s=BASIS.s[[1, 1]])
    once = mix([(part(0), 1.0)], orthogonal_to=BASIS.select([1]))
    torch.testing.assert_close(mix([(part(0), 1.0)], orthogonal_to=twice).v, once.v)


def test_what_cannot_be_mixed_is_refused():
    with pytest.raises(ValueError, match="at least one direction"):
        mix([])
    with pytest.raises(ValueError, match="one direction, got a basis of 3"):
        mix([(BASIS, 1.0)])
    with pytest.raises(ValueError, match="finite number"):
        mix([(part(0), float("nan"))])
    with pytest.raises(ValueError, match="zero or not finite"):
        mix([(part(0), 1.0), (part(0), -1.0)])
    with pytest.raises(ValueError, match="Nothing is left"):
        mix([(part(0), 1.0)], orthogonal_to=BASIS)
    with pytest.raises(ValueError, match="noise levels"):
        mix([(part(0), 1.0), (part(1, sigma=3.0), 1.0)])
    with pytest.raises(ValueError, match="differ in their feature"):
        mix([(part(0), 1.0), (part(1, provenance={"feature": "middle"}), 1.0)])
    with pytest.raises(ValueError, match="differ in size"):
        mix([(part(0), 1.0)], orthogonal_to=of_features(BASIS))
