"""Operations whose derivative is written here: a linear map and its adjoint, in place of torch's own formulas.

Each is known to autograd by both, so that what autograd records of a network can be run backwards (J^T u), and the record of that
as well (J v). To autograd the derivative is the same everywhere: second derivatives are none of its business.
"""

from torch.autograd import Function


class Derivative:
    """The derivative of an operation at a point.

    tangent(changes, *kept): the change of the output for those of the inputs, of which None is none.
    adjoint(gradient, needed, *kept): the gradients of the inputs that are needed, in a list.
    Both take vectors with one dimension more in front, a batch, and what was kept without it.
    """

    def __init__(self, tangent, adjoint):
        self.tangent, self.adjoint = tangent, adjoint


def attach(output, inputs, derivative, *kept):
    """The output, computed without autograd, as a function of the inputs with this `Derivative`. kept: activations that it needs."""
    kept = (without_inference_mode(part).detach() for part in kept)
    return _Value.apply(
        lambda: _alias(output), derivative, len(inputs), *map(without_inference_mode, inputs), *kept
    )


def without_inference_mode(tensor):
    """A tensor that autograd may keep: where it was made in inference mode, one that shares its memory."""
    return _alias(tensor) if tensor.is_inference() else tensor


def _alias(tensor):
    """A tensor of the same memory, of which autograd knows neither inference mode nor that it is a view."""
    return tensor.new_empty(0).set_(
        tensor.untyped_storage(), tensor.storage_offset(), tensor.shape, tensor.stride()
    )


class _Value(Function):
    """(output, derivative, count, *inputs, *kept) -> output()."""

    @staticmethod
    def forward(output, derivative, count, *tensors):
        return output()

    @staticmethod
    def setup_context(ctx, inputs, output):
        _, ctx.derivative, ctx.count, *tensors = inputs
        ctx.save_for_backward(*tensors[ctx.count :])

    @staticmethod
    def backward(ctx, gradient):
        needed = ctx.needs_input_grad[3 : 3 + ctx.count]
        gradients = iter(_Adjoint.apply(gradient, ctx.derivative, needed, *ctx.saved_tensors))
        return (
            *[None] * 3,
            *(next(gradients) if one else None for one in needed),
            *[None] * len(ctx.saved_tensors),
        )


class _Adjoint(Function):
    """(gradient, derivative, needed, *kept) -> the gradients that are needed."""

    @staticmethod
    def forward(gradient, derivative, needed, *kept):
        return tuple(derivative.adjoint(gradient, needed, *kept))

    @staticmethod
    def setup_context(ctx, inputs, output):
        _, ctx.derivative, ctx.needed, *kept = inputs
        ctx.save_for_backward(*kept)
        ctx.set_materialize_grads(False)

    @staticmethod
    def backward(ctx, *changes):
        changes = iter(changes)
        changes = [next(changes) if one else None for one in ctx.needed]
        return _Tangent.apply(ctx.derivative, changes, *ctx.saved_tensors), *[None] * (
            2 + len(ctx.saved_tensors)
        )

    @staticmethod
    def vmap(info, dims, gradient, derivative, needed, *kept):
        gradients = _Adjoint.apply(gradient.movedim(dims[0], 0), derivative, needed, *kept)
        return gradients, (0,) * len(gradients)


class _Tangent(Function):
    """(derivative, changes, *kept) -> the change of the output."""

    @staticmethod
    def forward(derivative, changes, *kept):
        return derivative.tangent(changes, *kept)

    @staticmethod
    def setup_context(ctx, inputs, output):
        pass

    @staticmethod
    def vmap(info, dims, derivative, changes, *kept):
        changes = [
            change if change is None else change.unsqueeze(0) if dim is None else change.movedim(dim, 0)
            for change, dim in zip(changes, dims[1])
        ]
        return _Tangent.apply(derivative, changes, *kept), 0


AUTOGRAD_FUNCTIONS = (_Value, _Adjoint, _Tangent)
