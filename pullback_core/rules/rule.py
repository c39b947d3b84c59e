"""The base class of all rules, and how autograd gets to know them.

`torch.autograd.grad` of a recorded network gives J^T u. If autograd also records that backward pass, then the
gradient of J^T u with respect to u gives J v (see `Jacobian`). So autograd needs two formulas for an
operation: its vjp, and the derivative of the vjp in the cotangent, which is the jvp. Second derivatives in
the input are never needed, and a rule has none.

>>> class Cube(Rule):
...     def forward(self, x):
...         return x**3, (x,)
...
...     def jvp(self, kept, tangent):
...         return 3 * kept[0] ** 2 * tangent
...
...     def vjp(self, kept, cotangent):
...         return 3 * kept[0] ** 2 * cotangent
>>> x = torch.tensor([1.0, 2.0], requires_grad=True)
>>> torch.autograd.grad(Cube().apply(x).sum(), x)
(tensor([ 3., 12.]),)
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import torch
from torch._C._functorch import is_batchedtensor  # torch has no public name for it
from torch.autograd import Function

Kept = tuple[torch.Tensor, ...]  # the activations that a rule keeps for its products


class Rule(ABC):
    """One call of an operation y = f(x), with both products of its Jacobian J at x.

    A new rule is a subclass and a row in the table `RULES`. The constructor takes the arguments of the torch
    function that follow its input: weights and settings, which are constants. An object serves for one call,
    so `forward` may leave on the object what is not a tensor, such as a shape.

    forward, jvp and vjp run without autograd. jvp and vjp take one vector, (*shape) as the input or output,
    or a batch of vectors with a dimension in front, (b, *shape). The kept activations have no such dimension.
    `fold_batch` serves for functions that do not know it.

    A rule of several inputs has forward(q, k, ...) and jvp(kept, dq, dk, ...), where the tangent of a
    constant input is None. The batch dimension of a tangent may be 1: then it is the same in the whole batch.
    vjp returns a tuple, in which the entries of inputs that are not `needed` may be None.

    Args:
        *settings: The positional arguments of the torch function that follow its input.
        **options: Its keyword arguments.

    Attributes:
        copies_input: True where networks overwrite the input of this function while autograd still needs it.
            Then `forward` keeps a copy. `call` gives torch's own function a copy where the rule does not
            serve.
        needed: For each input, whether it has a derivative. Known in forward, jvp and vjp.
    """

    copies_input: bool = False
    needed: tuple[bool, ...] = ()

    def __init__(self, *settings: Any, **options: Any) -> None:  # noqa: B027 (a rule may have no settings)
        pass

    def supports(self, x: torch.Tensor) -> bool:
        """Tell whether the rule knows this form of the call. Otherwise torch's own function is called."""
        return True

    @abstractmethod
    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, Kept]:
        """Compute the operation.

        Args:
            x: The input.

        Returns:
            The output, and a tuple of the activations that jvp and vjp need. Autograd notices if one of these
            is overwritten, and a `Jacobian` can offload them, so activations belong nowhere else.
        """

    @abstractmethod
    def jvp(self, kept: Kept, tangent: torch.Tensor) -> torch.Tensor:
        """Compute J v.

        Args:
            kept: The activations that `forward` kept.
            tangent: The tangent v of the input, (*x.shape), or a batch (b, *x.shape).

        Returns:
            The tangent of the output, (*output.shape), or a batch (b, *output.shape).
        """

    @abstractmethod
    def vjp(self, kept: Kept, cotangent: torch.Tensor) -> torch.Tensor | tuple[torch.Tensor | None, ...]:
        """Compute J^T u.

        Args:
            kept: The activations that `forward` kept.
            cotangent: The cotangent u of the output, (*output.shape), or a batch (b, *output.shape).

        Returns:
            The cotangent of the input, (*x.shape), or a batch (b, *x.shape).
        """

    def apply(self, *inputs: torch.Tensor) -> torch.Tensor:
        """Compute the operation. Autograd differentiates it by `jvp` and `vjp`.

        Args:
            *inputs: The input, or all inputs of a rule of several.

        Returns:
            The output.
        """
        inputs = tuple(without_inference_mode(part) for part in inputs)
        self.needed = tuple(part.requires_grad for part in inputs)
        return _Forward.apply(self, *inputs)

    @classmethod
    def call(cls, function: Callable[..., torch.Tensor], *args: Any, **kwargs: Any) -> torch.Tensor:
        """Compute function(*args, **kwargs), by this rule where it serves.

        It serves where the first argument is the only one with a derivative, in the forms that it supports.
        Elsewhere the derivative is torch's own. A rule of several inputs overrides this method.

        Args:
            function: A torch function whose row in the table is this rule.
            *args: Its positional arguments, the input first.
            **kwargs: Its keyword arguments.

        Returns:
            The output.
        """
        if not args or not args[0].requires_grad:
            return function(*args, **kwargs)
        x, *settings = args
        if all(_is_constant(part) for part in (*settings, *kwargs.values())):
            rule = cls(*settings, **kwargs)
            if rule.supports(x):
                return rule.apply(x)
        return function(x.clone() if cls.copies_input else x, *settings, **kwargs)


def _is_constant(part):
    """Whether an argument is constant. A subclass of Tensor may compute in its own way, so it is not."""
    if not isinstance(part, torch.Tensor):
        return True
    return type(part) in (torch.Tensor, torch.nn.Parameter) and not part.requires_grad


def fold_batch(
    function: Callable[..., torch.Tensor], ndim: int, vectors: torch.Tensor, *kept: torch.Tensor
) -> torch.Tensor:
    """Call a function that knows no batch of vectors. A batch dimension is folded into the next dimension.

    Args:
        function: Takes vectors (n, *shape) and the kept activations, which begin with n too.
        ndim: The number of dimensions of (n, *shape).
        vectors: (n, *shape), or (b, n, *shape).
        *kept: (n, *) each. They are repeated for every vector of a batch.

    Returns:
        The results of the function, (n, *) or (b, n, *).
    """
    if vectors.ndim == ndim:
        return function(vectors, *kept)
    repeated = (part.expand(len(vectors), *part.shape).flatten(0, 1).contiguous() for part in kept)
    return function(vectors.flatten(0, 1), *repeated).unflatten(0, vectors.shape[:2])


def without_inference_mode(tensor: torch.Tensor) -> torch.Tensor:
    """Return a tensor that autograd can keep: an inference tensor as a normal one of the same memory."""
    return _alias(tensor) if tensor.is_inference() else tensor


def _alias(tensor):
    """A tensor of the same memory, for autograd neither an inference tensor nor a view."""
    alias = tensor.new_empty(0)
    return alias.set_(tensor.untyped_storage(), tensor.storage_offset(), tensor.shape, tensor.stride())


class _Forward(Function):
    """(rule, *inputs) -> output. Its backward pass is `_Vjp`."""

    @staticmethod
    def forward(ctx, rule, *inputs):
        output, kept = rule.forward(*inputs)
        ctx.rule = rule
        ctx.save_for_backward(*(without_inference_mode(part).detach() for part in kept))
        # The output may be a view. Autograd refuses to overwrite a view that comes from a Function, and
        # networks overwrite their activations.
        return _alias(output)

    @staticmethod
    def backward(ctx, *cotangents):
        rule, kept = ctx.rule, ctx.saved_tensors
        if torch.is_grad_enabled() or is_batchedtensor(*cotangents):
            found = iter(_Vjp.apply(*cotangents, rule, *kept))
        else:
            # Nothing is recorded and nothing is batched. A Function would then be overhead: of J^T u of the
            # bundled model it took a third of the time.
            found = iter(_needed_vjp(rule, kept, *cotangents))
        return None, *(next(found) if needed else None for needed in rule.needed)


class _Vjp(Function):
    """(cotangent, rule, *kept) -> the cotangents of the needed inputs. Its backward pass is `_Jvp`."""

    @staticmethod
    def forward(cotangent, rule, *kept):
        return _needed_vjp(rule, kept, cotangent)

    @staticmethod
    def setup_context(ctx, inputs, output):
        _, ctx.rule, *kept = inputs
        ctx.save_for_backward(*kept)
        ctx.set_materialize_grads(False)

    @staticmethod
    def backward(ctx, *tangents):
        kept = ctx.saved_tensors
        found = iter(tangents)
        tangents = [next(found) if needed else None for needed in ctx.rule.needed]
        return _Jvp.apply(tangents, ctx.rule, *kept), None, *[None] * len(kept)

    @staticmethod
    def vmap(info, in_dims, *inputs):
        cotangent, rule, *kept = inputs
        found = _Vjp.apply(cotangent.movedim(in_dims[0], 0), rule, *kept)
        return found, (0,) * len(found)


def _needed_vjp(rule, kept, cotangent):
    """J^T u of a rule: a tuple of the cotangents of the needed inputs."""
    found = rule.vjp(kept, cotangent)
    if isinstance(found, torch.Tensor):
        return (found,)
    return tuple(part for part, needed in zip(found, rule.needed) if needed)


class _Jvp(Function):
    """(tangents, rule, *kept) -> the tangent of the output."""

    @staticmethod
    def forward(tangents, rule, *kept):
        return rule.jvp(kept, *tangents)

    @staticmethod
    def setup_context(ctx, inputs, output):
        pass

    @staticmethod
    def vmap(info, in_dims, *inputs):
        tangents, rule, *kept = inputs
        tangents = [_batch_first(part, dim) for part, dim in zip(tangents, in_dims[0])]
        return _Jvp.apply(tangents, rule, *kept), 0


def _batch_first(tangent, dim):
    """A tangent with the batch dimension in front. dim: where vmap has put it; None if it has none."""
    if tangent is None:
        return None
    return tangent[None] if dim is None else tangent.movedim(dim, 0)


# The functions in the graph of a rule. Their second derivative is right: see the tests of the table.
AUTOGRAD_FUNCTIONS = (_Forward, _Vjp, _Jvp)
