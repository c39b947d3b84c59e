"""Activations that are kept in main memory give the same products."""

from functools import partial

import pytest
import torch
from smooth_maps import draw, encoder

from pullback_core import Jacobian
from pullback_core.linalg import offload


def test_offloaded_activations_give_the_same_products(monkeypatch):
    kept = []

    def keep(tensor):
        kept.append(tensor.numpy().copy())  # stands for the memory of another device
        return partial(torch.from_numpy, kept[-1])

    monkeypatch.setattr(offload, "keep_in_main_memory", keep)
    f, x, v = encoder(torch.float64), draw(3, 8, 8), draw(2, 3, 8, 8, seed=1)
    operator, other = Jacobian(f, x, offload=True), Jacobian(f, x)
    torch.testing.assert_close(operator.vjp(operator.jvp(v)), other.vjp(other.jvp(v)))
    assert len(kept) > 100


def test_weights_that_are_resident_are_not_offloaded(monkeypatch):
    kept = []
    monkeypatch.setattr(
        offload, "keep_in_main_memory", lambda tensor: (kept.append(tensor), lambda: tensor)[1]
    )
    weights = [draw(8, 4, seed=2), draw(3, 8, seed=3)]
    places = {weight.data_ptr() for weight in weights}

    def network(x):
        return (x @ weights[0].T).tanh() @ weights[1].T

    v, products = draw(2, 4, seed=1), []
    for resident in ((), weights):
        kept.clear()
        operator = Jacobian(network, draw(4), offload=True, resident=resident)
        products.append(operator.vjp(operator.jvp(v)))
        assert kept and any(tensor.data_ptr() in places for tensor in kept) == (not resident)
    assert torch.equal(*products)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_offloading_takes_less_memory_of_the_device():
    peaks = []
    for offloaded in (False, True):
        torch.cuda.reset_peak_memory_stats()
        operator = Jacobian(lambda x: layers(x), torch.ones(64, 2**20, device="cuda"), offload=offloaded)
        operator.vjp(torch.ones(1, *operator.out_shape, device="cuda"))
        peaks.append(torch.cuda.max_memory_allocated())
    assert peaks[1] < peaks[0] / 2


def layers(x):
    for _ in range(20):
        x = torch.tanh(x)
    return x


@pytest.mark.parametrize("offloaded", [False, True])
def test_zeros_take_no_memory(offloaded):
    kept = []

    class Square(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x**2

        @staticmethod
        def backward(ctx, gradient):
            kept.append(ctx.saved_tensors[0])
            return 2 * ctx.saved_tensors[0] * gradient

    x = torch.zeros(3, 4, requires_grad=True)
    y = torch.ones(3, 4, requires_grad=True)
    with offload.dropping_zeros(offloaded):
        result = Square.apply(x * 1).sum() + Square.apply(y * 1).sum()
    result.backward()
    zeros, ones = sorted(kept, key=lambda tensor: tensor.sum().item())
    assert zeros.shape == (3, 4) and not zeros.any() and zeros.untyped_storage().nbytes() == 4
    assert torch.equal(ones, torch.ones(3, 4))
    assert torch.equal(x.grad, torch.zeros(3, 4)) and torch.equal(y.grad, 2 * torch.ones(3, 4))
