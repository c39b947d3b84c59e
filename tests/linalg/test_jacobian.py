"""Products with a Jacobian against the matrix itself, finite differences and the adjoint identity."""

import gc
import weakref
from functools import partial

import pytest
import torch
from torch.nn import functional

from pullback_core import (
    Differentiable,
    Jacobian,
    VPSchedule,
    adjoint_error,
    local_basis,
    top_singular_triplets,
)
from pullback_core.faces.unet import UNet, UNetConfig
from pullback_core.linalg import jacobian
from pullback_core.linalg.jacobian import derivative_errors

TINY = UNetConfig(
    in_channels=3,
    out_channels=3,
    model_channels=32,
    channel_mult=(1, 1),
    num_res_blocks=(1, 1),
    transformer_depth=(0, 1),
    context_dim=16,
)


def draw(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


MIXING = draw(6, 4, seed=9)


def bend(x):
    """A nonlinear map (b, 2, 3) -> (b, 4), each sample on its own."""
    return torch.tanh(x.flatten(1) @ MIXING) + x.flatten(1)[:, :4] ** 2


def encoder(dtype):
    torch.manual_seed(0)
    unet = UNet(TINY).to(dtype).requires_grad_(False)
    context, timesteps = draw(1, 5, 16, seed=1, dtype=dtype), torch.tensor([300.0], dtype=dtype)
    return lambda x: unet(x, timesteps.expand(len(x)), context.expand(len(x), -1, -1), feature="middle")


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


@pytest.mark.parametrize("dtype, bound", [(torch.float64, 1e-13), (torch.float32, 1e-5)])
def test_the_adjoint_identity_holds(dtype, bound):
    assert adjoint_error(Jacobian(encoder(dtype), draw(3, 8, 8, dtype=dtype))) < bound


def test_the_adjoint_identity_catches_a_wrong_product():
    operator = Jacobian(bend, draw(2, 3))
    right = operator.vjp
    operator.vjp = lambda u: 1.1 * right(u)
    assert adjoint_error(operator) > 1e-3


def test_a_product_that_leaves_something_out_is_caught():
    def forgetful(x):  # the kind of kernel that has no derivative: its part counts in f, not in J
        return bend(x) + bend(x).detach()

    x = draw(2, 3)
    assert max(derivative_errors(Jacobian(bend, x), bend, changes=(1e-4,))) < 1e-6
    errors = derivative_errors(Jacobian(forgetful, x), forgetful, changes=(1e-4,))
    assert errors.adjoint < 1e-12 and errors.value < 1e-12
    assert errors.difference > 0.4
    assert derivative_errors(Jacobian(lambda x: bend(x.detach()), x), bend).difference == float("inf")


OTHER = draw(4, seed=8).requires_grad_()


class WithoutGradient(torch.autograd.Function):
    """A custom operation whose backward returns nothing."""

    @staticmethod
    def forward(ctx, x):
        return torch.tanh(x)

    @staticmethod
    def backward(ctx, gradient):
        return None


def in_inference_mode(x):
    with torch.inference_mode():
        return bend(x)


def with_steps_in_inference_mode(x):
    with torch.inference_mode():
        h = bend(x)
    return h.clone() * 2


def set_in_data(x):
    h = torch.zeros(1, 4, dtype=x.dtype)
    h.data[:] = bend(x)
    return h


UNSEEN = {
    "no_grad": torch.no_grad()(bend),
    "detach": lambda x: bend(x.detach()),
    "detached result": lambda x: bend(x).detach(),
    "inference mode": in_inference_mode,
    "inference mode within": with_steps_in_inference_mode,
    "data": lambda x: bend(x.data),
    "written into data": set_in_data,
    "numpy": lambda x: torch.from_numpy(bend(x).detach().numpy()),
    "a new tensor": lambda x: torch.tensor(bend(x).tolist(), dtype=x.dtype),
    "constant": lambda x: torch.ones(1, 4, dtype=x.dtype),
    "another parameter": lambda x: bend(x.detach()) * OTHER,
    "a parameter alone": lambda x: OTHER[None],
    "integers": lambda x: bend(x).long(),
    "truth": lambda x: bend(x) > 0,
    "a leaf of its own": lambda x: bend(x.detach().requires_grad_()),
    "a custom operation": lambda x: bend(WithoutGradient.apply(x)),
}


@pytest.mark.parametrize("surrounding", [torch.enable_grad, torch.no_grad, torch.inference_mode])
@pytest.mark.parametrize("kind", UNSEEN)
def test_what_autograd_cannot_see_is_refused(kind, surrounding):
    for use in (
        lambda J: J.jvp(draw(1, 2, 3)),
        lambda J: J.jvp(draw(3, 2, 3)),
        lambda J: J.vjp(draw(3, 4, seed=1)),
        lambda J: J.vjp(draw(1, 4, seed=1)),
        lambda J: top_singular_triplets(J, 2),
    ):
        with surrounding(), pytest.raises(ValueError, match="does not depend on the noisy latent"):
            use(Jacobian(UNSEEN[kind], draw(2, 3)))


def test_a_basis_of_what_autograd_cannot_see_is_refused():
    class Hidden:
        schedule, provenance = VPSchedule.scaled_linear(0.00085, 0.012), {}

        @torch.no_grad()
        def encode(self, z, sigma):
            return torch.tanh(z)

    with pytest.raises(ValueError, match="does not depend on the noisy latent"):
        local_basis(Hidden(), draw(2, 3, 4), 1.5, 2)


@pytest.mark.parametrize(
    "f",
    [
        lambda x: torch.relu(x - 1e6),
        lambda x: x * 0,
        torch.round,
        torch.sign,
        lambda x: x.clamp(max=-1e6),
        lambda x: 0 * bend(x),
    ],
    ids=["dead relu", "times zero", "round", "sign", "clamp", "zero"],
)
def test_a_jacobian_that_is_zero_where_autograd_sees_it_stays_zero(f):
    found = top_singular_triplets(Jacobian(f, draw(2, 3)), 2)
    assert found.converged and not found.s.any()


def test_a_part_that_is_detached_is_found_by_differences():
    """Autograd cannot know it: it sees the other part."""

    def partly(x):
        with torch.no_grad():
            hidden = bend(x)
        return hidden + 0.5 * x.flatten(1)[:, :4]

    x = draw(2, 3)
    assert Jacobian(partly, x).jvp(draw(1, 2, 3)).any()
    assert derivative_errors(Jacobian(partly, x), partly, changes=(1e-4,)).difference > 0.1


class Frozen(torch.autograd.Function):
    """A custom operation whose backward cannot be differentiated."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x**2

    @staticmethod
    def backward(ctx, gradient):
        return 2 * ctx.saved_tensors[0] * gradient.detach()


def test_a_backward_pass_that_cannot_be_differentiated_is_refused():
    operator = Jacobian(lambda x: torch.tanh(Frozen.apply(x)), draw(2, 3))
    assert operator.vjp(draw(1, 2, 3)).any()
    with pytest.raises(ValueError, match="backward pass of the map x -> h cannot be"):
        operator.jvp(draw(1, 2, 3))


def test_a_product_of_another_function_is_caught():
    """As of a kernel that computes something else inside a transform."""
    x = draw(2, 3)
    errors = derivative_errors(Jacobian(lambda x: bend(x) + 1, x), bend, changes=(1e-4,))
    assert max(errors.adjoint, errors.difference) < 1e-6
    assert errors.value > 0.1


@pytest.mark.parametrize("sign", [1.1, -1.0])
def test_rows_that_are_not_those_of_the_columns_are_caught(sign):
    operator = Jacobian(bend, draw(2, 3))
    right = operator.vjp
    operator.vjp = lambda u: sign * right(u)
    assert derivative_errors(operator, bend, changes=(1e-4,)).adjoint > 0.02


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


def test_offloaded_activations_give_the_same_products(monkeypatch):
    kept = []

    def offloaded(tensor):
        kept.append(tensor.numpy().copy())  # stands for the memory of another device
        return partial(torch.from_numpy, kept[-1])

    monkeypatch.setattr(jacobian, "_offloaded", offloaded)
    f, x, v = encoder(torch.float64), draw(3, 8, 8), draw(2, 3, 8, 8, seed=1)
    operator, other = Jacobian(f, x, offload=True), Jacobian(f, x)
    torch.testing.assert_close(operator.vjp(operator.jvp(v)), other.vjp(other.jvp(v)))
    assert len(kept) > 100


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


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_offloading_takes_less_memory_of_the_device():
    peaks = []
    for offload in (False, True):
        torch.cuda.reset_peak_memory_stats()
        operator = Jacobian(lambda x: layers(x), torch.ones(64, 2**20, device="cuda"), offload=offload)
        operator.vjp(torch.ones(1, *operator.out_shape, device="cuda"))
        peaks.append(torch.cuda.max_memory_allocated())
    assert peaks[1] < peaks[0] / 2


def layers(x):
    for _ in range(20):
        x = torch.tanh(x)
    return x


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
