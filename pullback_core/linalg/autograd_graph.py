"""The graph that autograd records behind a tensor."""

from collections.abc import Collection, Iterator

import torch


def autograd_nodes(output: torch.Tensor) -> Iterator[torch.autograd.graph.Node]:
    """Yield every node of the autograd graph of a tensor, each node once."""
    waiting = [] if output.grad_fn is None else [output.grad_fn]
    seen = set(waiting)
    while waiting:
        node = waiting.pop()
        yield node
        following = {parent for parent, _ in node.next_functions if parent is not None} - seen
        seen |= following
        waiting += following


def foreign_functions(output: torch.Tensor, known: Collection[type] = ()) -> set[str]:
    """Find the custom Python autograd functions in the graph of a tensor.

    The `backward` of a custom function may compute without recording a graph. Then J v misses its part.

    Args:
        output: a tensor that autograd recorded.
        known: subclasses of `torch.autograd.Function` that are known to be right; they are left out.

    Returns:
        The names of the classes.
    """
    # Only the node of a custom function has this attribute: its class.
    classes = {getattr(node, "_forward_cls", None) for node in autograd_nodes(output)}
    return {kind.__name__ for kind in classes if kind is not None and kind not in known}
