"""The fitted direction, against its definition with dense Jacobians."""

from dataclasses import replace

import pytest
import torch

from pullback_core import parallel_transport, transported_basis
from pullback_core.directions.carrying import NEARNESS, fitted
from pullback_core.directions.sums import weighted_sums
from tests.directions.test_known import jacobian_of
from tests.test_transport import H_SHAPE, basis, rows


def complete(seed):
    """A basis that knows its Jacobian (20, 24) whole."""
    s = torch.linspace(3, 0.1, 20, dtype=torch.float64)
    return replace(
        basis(seed),
        v=rows(20, 24, seed).view(20, 2, 3, 4),
        u=rows(20, 20, seed + 50).view(20, *H_SHAPE),
        s=s,
        residuals=torch.zeros(20),
    )


def loss(jacobian, w, v, d, strongest):
    return (jacobian @ w - d).square().sum() + NEARNESS * strongest**2 * (w - v).square().sum()


def test_it_minimises_what_it_says():
    source, target = complete(0), complete(1)
    v, d, jacobian = source.v[2].flatten(), source.s[2] * source.u[2].flatten(), jacobian_of(target)
    ridge = NEARNESS * target.s[0] ** 2 * torch.eye(24, dtype=torch.float64)
    best = torch.linalg.solve(jacobian.T @ jacobian + ridge, jacobian.T @ d + ridge @ v)
    carried, _ = fitted(2, source, target)
    torch.testing.assert_close(carried.v[0].flatten(), best / best.norm())
    torch.testing.assert_close(
        carried.s[0] * carried.u[0].flatten(), jacobian @ best / best.norm(), rtol=1e-5, atol=1e-6
    )
    assert carried.kind == "carried" and carried.rank == 1
    for step in torch.eye(24, dtype=torch.float64)[:5]:
        assert loss(jacobian, best, v, d, 3.0) < loss(jacobian, best + 0.01 * step, v, d, 3.0)


def test_a_basis_at_the_same_point_gets_the_direction_back():
    source = complete(0)
    turned = weighted_sums(source, rows(20, 20, 7), "rotated")
    for target in (source, turned):
        carried, alignment = fitted(3, turned, target)
        torch.testing.assert_close(carried.v[0], turned.v[3])
        torch.testing.assert_close(carried.s[0], turned.s[3])
        assert alignment == pytest.approx(1)


def test_the_name_goes_along():
    source = replace(complete(0), names=[f"thing {number}" for number in range(20)])
    assert fitted(4, source, complete(1))[0].names == ["thing 4"]
    assert transported_basis(4, source, complete(1))[0].names == ["thing 4"]


def test_transport_has_the_method():
    source, target = complete(0), complete(1)
    expected, alignment = fitted(1, source, target)
    assert torch.equal(parallel_transport(1, source, target, method="fitted").direction, expected.v[0])
    carried, same = transported_basis(1, source, target, method="fitted")
    assert torch.equal(carried.v, expected.v) and same == alignment


@pytest.mark.parametrize("method", ["released", "exact"])
def test_the_other_methods_depend_on_the_span_of_the_target_alone(method):
    source, target = basis(0), basis(1)
    turned = weighted_sums(target, torch.tensor([[1.0, 2, 0], [0, 1, 1], [1, 0, 1]]), "mixed")
    plain = parallel_transport(1, source, target, method=method)
    carried = parallel_transport(1, source, turned, method=method)
    torch.testing.assert_close(carried.direction, plain.direction)
    assert carried.alignment == pytest.approx(plain.alignment)
    assert plain.alignment == parallel_transport(1, source, target, exact=method == "exact").alignment


def test_what_cannot_be_fitted_is_refused():
    source, target = complete(0), complete(1)
    for call, message in (
        (lambda: fitted(20, source, target), "0 to 19, got 20"),
        (
            lambda: fitted(0, source, replace(target, v=target.v.view(20, 2, 4, 3))),
            "bring both pictures to one size",
        ),
        (lambda: fitted(0, source, replace(target, s=torch.zeros(20))), "do nothing"),
        (lambda: parallel_transport(source.u[0], source, target, method="fitted"), "needs its number"),
        (lambda: parallel_transport(0, source, target, method="best"), "released, exact, fitted"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
