"""Are the products with a Jacobian right?

>>> jacobian = Jacobian(torch.sin, torch.linspace(0, 1, 5))
>>> adjoint_error(jacobian) < 1e-6
True
>>> derivative_errors(jacobian, torch.sin).difference < 1e-3
True
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch

from .derivative_graphs import IndependentError
from .jacobian import Jacobian
from .linear_operator import LinearOperator


def linearity_error(output: torch.Tensor, input: torch.Tensor, seed: int = 0) -> float:
    """Compare J v with J^T u in a graph that autograd has recorded.

    u is random and v has the direction of J^T u. Along this direction everything that J v leaves out shows in
    full.

    Args:
        output: f(input), of any shape, with its autograd graph.
        input: A tensor in that graph, of any shape.
        seed: The seed of u, which is drawn on the CPU.

    Returns:
        The relative difference between ||J^T u|| and <u, J v>; 0 where J^T u is zero, NaN where it is not
        finite.

    Raises:
        RuntimeError: Autograd cannot differentiate the backward pass.
    """
    u = torch.randn(output.shape, generator=torch.Generator().manual_seed(seed)).to(output).requires_grad_()
    (row,) = torch.autograd.grad(output, input, u, create_graph=True, retain_graph=True)
    length = row.detach().norm()
    if not length > 0:
        return 0.0 if length == 0 else math.nan
    (column,) = torch.autograd.grad(row, u, row.detach() / length, allow_unused=True, materialize_grads=True)
    return ((u * column).sum() / length - 1).abs().item()


def adjoint_error(operator: LinearOperator, seed: int = 0) -> float:
    """Compare <u, J v> with <J^T u, v> for one random u and v. Costs two products.

    Args:
        operator: A `Jacobian` or another linear operator.
        seed: The seed of u and v, which are drawn on the CPU.

    Returns:
        The relative difference. It is about 1e-7 in float32. A larger one means that one of the products is
        wrong.
    """
    v = _random_units(1, operator.in_shape, operator, seed)
    u = _random_units(1, operator.out_shape, operator, seed + 1)
    return _Probes(v, operator.jvp(v), u, operator.vjp(u)).adjoint_error()


class DerivativeErrors(NamedTuple):
    """What `derivative_errors` found. All errors are relative: 0 is right, infinite is no derivative at all.

    Attributes:
        adjoint: <u, J v> against <J^T u, v>.
        difference: J v against central differences of f, both in the higher precision.
        value: f(x) as computed for the products against f(x) outside.
        precision: J v against J v in the higher precision. A strongly curved map can make it large without
            any mistake.
    """

    adjoint: float
    difference: float
    value: float
    precision: float


NO_DERIVATIVE = DerivativeErrors(math.inf, math.inf, math.inf, math.inf)

Function = Callable[[torch.Tensor], torch.Tensor]


def derivative_errors(
    jacobian: Jacobian,
    f: Function,
    *,
    precise: tuple[Function, Function] | None = None,
    changes: Sequence[float] = (1e-2, 1e-3, 1e-4),
    seed: int = 0,
) -> DerivativeErrors:
    """Compare the products of a Jacobian with each other, and with differences of f around the same point.

    The adjoint identity alone misses what both products leave out, such as a kernel that drops derivatives
    silently. The check costs four products, and two evaluations for each change and one more. With `precise`
    it costs one product and one evaluation more. Afterwards the `Jacobian` has forgotten its graphs.

    Args:
        jacobian: The Jacobian to check.
        f: The function as given to the `Jacobian`, or another way to compute the same.
        precise: Both functions again, in float32 at least: (as given to the `Jacobian`, f). None where they
            are already. In half precision, differences say nothing about a curved map: steps that are large
            enough leave its tangent.
        changes: By how much of ||f(x)|| the steps of the differences change f. The best of them counts.
        seed: The seed of the random vectors, which are drawn on the CPU.

    Returns:
        The errors, all infinite where there is no derivative.
    """
    probes = _probe(jacobian, seed)
    if probes is None:
        return NO_DERIVATIVE
    x, v = jacobian.x, probes.v[:1]
    with torch.no_grad():
        value = f(x[None])[0]
    value_error = ((jacobian.value - value).norm() / value.norm()).item()
    jacobian.forget()  # there may not be room for the graphs of two functions
    column, outside = probes.columns[0], f
    if precise is not None:
        differentiable, outside = precise
        column = Jacobian(differentiable, x, offload=jacobian.offload).jvp(v)[0].cpu().double()
    steps = [change * value.norm().item() / column.norm().item() for change in changes]
    return DerivativeErrors(
        adjoint=probes.adjoint_error(),
        difference=min(_relative_error(_central_difference(outside, x, v, step), column) for step in steps),
        value=value_error,
        precision=_relative_error(probes.columns[0], column),
    )


class _Probes(NamedTuple):
    """Vectors and their products: columns = J v and rows = J^T u."""

    v: torch.Tensor
    columns: torch.Tensor
    u: torch.Tensor
    rows: torch.Tensor

    def adjoint_error(self) -> float:
        """The largest relative difference of <u, J v> and <J^T u, v>; 0 where both products are zero."""
        v, columns, u, rows = (block.flatten(1).cpu().double() for block in self)
        scale = torch.maximum(columns.norm(dim=1), rows.norm(dim=1))
        differences = ((u * columns).sum(1) - (v * rows).sum(1)).abs()
        return (differences / scale.where(scale > 0, 1)).max().item()


def _probe(jacobian: Jacobian, seed: int) -> _Probes | None:
    """Two random u and their J^T u, and two v and their J v.

    Returns None where a product is zero, not finite or impossible.
    The columns are in float64 on the CPU, because not every device has float64.
    """
    try:
        u = _random_units(2, jacobian.out_shape, jacobian, seed + 1)
        rows = jacobian.vjp(u)
    except IndependentError:
        return None
    lengths = _lengths(rows)
    if not (lengths > 0).all() or not torch.isfinite(lengths).all():
        return None
    # v has a part along J^T u, to which f responds, and a random part, which has everything else.
    v = rows / lengths + _random_units(2, jacobian.in_shape, jacobian, seed)
    v = v / _lengths(v)
    columns = jacobian.jvp(v).cpu().double()
    if not 0 < columns.norm() < math.inf:
        return None
    return _Probes(v, columns, u, rows)


@torch.no_grad()
def _central_difference(f: Function, x: torch.Tensor, v: torch.Tensor, step: float) -> torch.Tensor:
    """J v by central differences of f: (*out_shape), float64 on the CPU. v: (1, *in_shape)."""
    return (f(x + step * v) - f(x - step * v)).cpu().double()[0] / (2 * step)


def _relative_error(value: torch.Tensor, expected: torch.Tensor) -> float:
    return ((expected - value).norm() / expected.norm()).item()


def _lengths(vectors: torch.Tensor) -> torch.Tensor:
    """The lengths of vectors (b, *shape), as (b, 1, ...)."""
    return vectors.flatten(1).norm(dim=1).view(-1, *[1] * (vectors.ndim - 1))


def _random_units(count: int, shape: tuple[int, ...], operator: LinearOperator, seed: int) -> torch.Tensor:
    vectors = torch.randn(count, *shape, generator=torch.Generator().manual_seed(seed))
    return (vectors / _lengths(vectors)).to(operator.x)
