"""Products with a Jacobian against the matrix itself and against finite differences, and what they take."""

import gc
import weakref

import pytest
import torch
from smooth_maps import bend, draw, encoder
from torch.nn import functional

from pullback_core import Differentiable, Jacobian


@pytest.mark.parametrize("batch_size", [None, 1, 3])
def test_products_equal_the_dense_jacobian(batch_size):
    x = draw(2, 3)
    operator = Jacobian(bend, x, batch_size=batch_size)
    dense = torch.autograd.functional.jacobian(lambda point: bend(point[None])[0], x).view(4, 6)
    v, u = draw(5, 2, 3, seed=1), draw(7, 4, seed=2)
    torch.testing.assert_close(operator.jvp(v), v.flatten(1) @ dense.T)
    torch.testing.assert_close(operator.vjp(u).flatten(1), u @ dense)
    assert (operator.in_shape, operator.out_shape, operator.products) == ((2, 3), (4,), 12)


@pytest.mark.parametrize(
    "f, shape", [(bend, (2, 3)), (encoder(torch.float64), (3, 8, 8))], ids=["bend", "unet"]
)
def test_products_agree_with_central_differences_in_float64(f, shape):
    operator, x, v = Jacobian(f, draw(*shape)), draw(*shape), draw(2, *shape, seed=3)
    step = 1e-5
    difference = (f(x + step * v) - f(x - step * v)) / (2 * step)
    torch.testing.assert_close(operator.jvp(v), difference, rtol=1e-6, atol=1e-8)
    u = draw(2, *operator.out_shape, seed=4)
    torch.testing.assert_close((operator.vjp(u) * v).sum(), (u * difference).sum(), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("batch_size", [None, 2])
def test_all_products_share_one_forward_pass(batch_size):
    calls = []
    operator = Jacobian(lambda x: (calls.append(1), bend(x))[1], draw(2, 3), batch_size=batch_size)
    operator.jvp(draw(5, 2, 3)), operator.vjp(draw(5, 4)), operator.jvp(draw(1, 2, 3)), operator.out_shape
    assert len(calls) == 1


def short_of_memory(fits, tried):
    """tanh, whose rows run out of memory above `fits` vectors at once."""

    class Short(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return torch.tanh(x)

        @staticmethod
        def backward(ctx, gradient):
            batched = torch._C._functorch.is_batchedtensor(gradient)
            tried.append(torch._C._functorch.get_unwrapped(gradient).shape[0] if batched else 1)
            if tried[-1] > fits:
                raise torch.OutOfMemoryError("too many")
            return gradient * (1 - torch.tanh(ctx.saved_tensors[0]) ** 2)

    return Short.apply


@pytest.mark.parametrize("fits, batch_size", [(3, None), (1, None), (1, 3)])
def test_a_batch_that_does_not_fit_is_halved(fits, batch_size):
    tried, x, u = [], draw(2, 3), draw(7, 2, 3, seed=1)
    operator = Jacobian(short_of_memory(fits, tried), x, batch_size=batch_size)
    torch.testing.assert_close(operator.vjp(u), Jacobian(torch.tanh, x).vjp(u))
    assert (
        operator.batch_size == fits and max(tried) > fits and operator.products == 7 and not operator.offload
    )


@pytest.mark.parametrize("batch_size", [None, 2])
def test_where_f_itself_does_not_fit_activations_are_offloaded(batch_size):
    calls = []

    def f(x):
        calls.append(1)
        if len(calls) == 1:
            raise torch.OutOfMemoryError("too large")
        return bend(x)

    operator = Jacobian(f, draw(2, 3), batch_size=batch_size)
    assert operator.out_shape == (4,) and operator.offload and len(calls) == 2
    assert operator.batch_size == batch_size


def test_a_smaller_batch_goes_on_with_the_same_record():
    calls, tried = [], []
    short = short_of_memory(1, tried)
    operator = Jacobian(lambda x: (calls.append(1), short(x))[1], draw(2, 3), offload=True)
    operator.vjp(draw(4, 2, 3))
    assert tried == [4, 2, 1, 1, 1, 1] and operator.offload and len(calls) == 1


def test_nothing_is_held_once_it_is_gone():
    weights = []

    def f(x):
        weights.append(draw(4, 3))
        with Differentiable():
            return functional.silu(functional.linear(torch.tanh(x), weights[-1])) ** 2

    gc.disable()  # a cycle would keep the activations, and the memory of a device with them, until it runs
    try:
        operator = Jacobian(f, draw(2, 3))
        operator.vjp(operator.jvp(draw(2, 2, 3)))
        weight = weakref.ref(weights.pop())
        assert weight() is not None  # kept by the record alone
        operator.forget()
        assert weight() is None
    finally:
        gc.enable()


def test_a_single_vector_that_does_not_fit_is_an_error():
    tried = []
    operator = Jacobian(short_of_memory(0, tried), draw(2, 3))
    with pytest.raises(torch.OutOfMemoryError):
        operator.vjp(draw(4, 2, 3))
    assert tried == [4, 2, 1, 1] and operator.offload  # the last with activations in main memory


def test_half_precision_keeps_small_tangents():
    operator = Jacobian(lambda points: (points.half() * 1e-4).float() * 1e4, draw(4096, dtype=torch.float32))
    v = draw(1, 4096, seed=2, dtype=torch.float32)
    v = v / v.norm()
    assert (operator.jvp(v) - v).norm() < 2e-3 and (operator.vjp(v) - v).norm() < 2e-3


def test_progress_is_told_after_every_batch_and_can_end_the_work():
    counts = []
    operator = Jacobian(bend, draw(2, 3), batch_size=2, progress=counts.append)
    operator.jvp(draw(5, 2, 3)), operator.vjp(draw(2, 4))
    assert counts == [2, 4, 5, 7]

    def stop(count):
        raise KeyboardInterrupt

    operator.progress = stop
    with pytest.raises(KeyboardInterrupt):
        operator.jvp(draw(5, 2, 3))


def test_inference_mode_around_it_changes_nothing():
    x, v, u = draw(2, 3), draw(1, 2, 3, seed=1), draw(1, 4, seed=2)
    column, row = Jacobian(bend, x).jvp(v), Jacobian(bend, x).vjp(u)
    with torch.inference_mode():
        inside = Jacobian(bend, x.clone())
        torch.testing.assert_close(inside.jvp(v), column)
        torch.testing.assert_close(inside.vjp(u), row)
    assert column.abs().max() > 0.1


def test_nothing_is_recorded_for_autograd():
    x = draw(2, 3).requires_grad_()
    operator = Jacobian(bend, x)
    assert not operator.jvp(draw(1, 2, 3)).requires_grad and not operator.vjp(draw(1, 4)).requires_grad


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: Jacobian(bend, torch.ones(2, 3, dtype=torch.int64)), "floating-point"),
        (lambda: Jacobian(bend, draw(2, 3), batch_size=0), "batch_size"),
        (lambda: Jacobian(bend, draw(2, 3)).jvp(draw(2, 3)), r"shape \(2, 3\)"),
        (lambda: Jacobian(bend, draw(2, 3)).jvp(draw(0, 2, 3)), "non-empty"),
        (lambda: Jacobian(bend, draw(2, 3)).vjp(draw(1, 5)), r"shape \(4,\)"),
    ],
)
def test_unusable_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
