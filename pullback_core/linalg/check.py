"""Are the products with a Jacobian right?"""

import math

import torch


def linearity_error(output: torch.Tensor, input: torch.Tensor, seed: int = 0) -> float:
    """Compare J v with J^T u in a graph that autograd has recorded.

    u is random and v has the direction of J^T u. Along this direction everything that J v leaves out shows in full.

    Args:
        output: f(input), of any shape, with its autograd graph.
        input: a tensor in that graph, of any shape.
        seed: of u, which is drawn on the CPU.

    Returns:
        The relative difference between ||J^T u|| and <u, J v>; 0 where J^T u is zero, NaN where it is not finite.

    Raises:
        RuntimeError: autograd cannot differentiate the backward pass.
    """
    u = torch.randn(output.shape, generator=torch.Generator().manual_seed(seed)).to(output).requires_grad_()
    (row,) = torch.autograd.grad(output, input, u, create_graph=True, retain_graph=True)
    length = row.detach().norm()
    if not length > 0:
        return 0.0 if length == 0 else math.nan
    (column,) = torch.autograd.grad(row, u, row.detach() / length, allow_unused=True, materialize_grads=True)
    return ((u * column).sum() / length - 1).abs().item()
