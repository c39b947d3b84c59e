"""What `Differentiable` makes differentiable, against the same without it."""

import pytest
import torch
from torch.nn import functional

from pullback_core import Jacobian, adjoint_error
from pullback_core.linalg.check import derivative_errors
from pullback_core.rules.mode import Differentiable


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def attend(x):
    q, k, v = (x.unflatten(-1, (2, 4)).transpose(1, 2) * scale for scale in (1.0, 0.5, 2.0))
    return functional.scaled_dot_product_attention(q, k, v)


def overwrite(x):
    """As transformers do it to save memory: a norm's input is overwritten afterwards."""
    x = 2 * x
    x += functional.gelu(functional.layer_norm(x, x.shape[-1:]))
    x += functional.gelu(functional.rms_norm(x, x.shape[-1:]))
    return x


def turned(x):
    """A group norm of what is not contiguous."""
    return functional.group_norm(x.unflatten(-1, (2, 4)).permute(0, 2, 3, 1), 2) ** 2


@pytest.mark.parametrize("network", [attend, overwrite, turned])
def test_derivatives_are_right_within_it(network):
    def f(x):
        with Differentiable():
            return network(x)

    errors = derivative_errors(Jacobian(f, draw(6, 8)), network, changes=(1e-5,))
    assert errors.adjoint < 1e-12 and errors.difference < 1e-7 and errors.value < 1e-12


WEIGHT, BIAS, KERNEL = draw(4, 8, seed=1), draw(4, seed=2), draw(4, 2, 3, 3, seed=3)
SCALE, SHIFT = draw(4, seed=4), draw(4, seed=5)
PICTURE, TOKENS = (4, 6, 5), (7, 8)
LAYERS = {
    "linear": (TOKENS, lambda x: functional.linear(x, WEIGHT, BIAS)),
    "linear without bias": (TOKENS, lambda x: functional.linear(x, weight=WEIGHT)),
    "convolution": (PICTURE, lambda x: functional.conv2d(x, draw(6, 4, 3, 3), draw(6), padding=1)),
    "strided convolution": (
        PICTURE,
        lambda x: functional.conv2d(x, draw(6, 4, 3, 3), stride=2, padding=(1, 0)),
    ),
    "grouped convolution": (PICTURE, lambda x: functional.conv2d(x, KERNEL, BIAS, groups=2, dilation=(2, 1))),
    "same convolution": (PICTURE, lambda x: functional.conv2d(x, draw(6, 4, 3, 3), padding="same")),
    "convolution of one picture": (PICTURE, lambda x: functional.conv2d(x[0], draw(6, 4, 3, 3))[None]),
    "convolution of tokens": (TOKENS, lambda x: functional.conv1d(x, draw(5, 7, 3), padding=1)),
    "convolution of films": (PICTURE, lambda x: functional.conv3d(x[:, :, None], draw(6, 4, 1, 3, 3))),
    "group norm": (PICTURE, lambda x: functional.group_norm(x, 2, SCALE, SHIFT)),
    "group norm without weights": (PICTURE, lambda x: torch.group_norm(x, 2)),
    "group norm of tokens": (TOKENS, lambda x: functional.group_norm(x.mT[:, :4], 2, SCALE, SHIFT, eps=1e-2)),
    "layer norm": (TOKENS, lambda x: functional.layer_norm(x, (8,), WEIGHT[0], WEIGHT[1])),
    "layer norm without weights": (TOKENS, lambda x: functional.layer_norm(x, (7, 8), eps=1e-2)),
    "rms norm": (TOKENS, lambda x: functional.rms_norm(x, (8,), WEIGHT[0])),
    "rms norm without weights": (TOKENS, lambda x: functional.rms_norm(x, (7, 8), eps=1e-2)),
    "silu": (TOKENS, functional.silu),
    "silu in place": (TOKENS, lambda x: functional.silu(2 * x, inplace=True)),
    "gelu": (TOKENS, functional.gelu),
    "gelu by tanh": (TOKENS, lambda x: functional.gelu(x, approximate="tanh")),
    "weights that depend on the input": (TOKENS, lambda x: functional.linear(x, x[0])),
}


@pytest.mark.parametrize(
    "layout", [torch.contiguous_format, torch.channels_last], ids=["contiguous", "channels last"]
)
@pytest.mark.parametrize("name", LAYERS)
def test_layers_have_the_derivatives_of_torchs_own(name, layout):
    shape, layer = LAYERS[name]

    def plain(x):
        x = torch.sin(x)
        return torch.sin(layer(x.contiguous(memory_format=layout) if x.ndim == 4 else x))

    def f(x):
        with Differentiable():
            return plain(x)

    x = draw(*shape, seed=6)
    ours, theirs = Jacobian(f, x), Jacobian(plain, x)
    torch.testing.assert_close(ours.value, theirs.value)
    for count in (1, 3):
        v, u = draw(count, *shape, seed=7), draw(count, *ours.out_shape, seed=8)
        # torch's own one by one: not every norm of it knows vmap
        torch.testing.assert_close(ours.jvp(v), torch.cat([theirs.jvp(one[None]) for one in v]))
        torch.testing.assert_close(ours.vjp(u), torch.cat([theirs.vjp(one[None]) for one in u]))


@pytest.mark.parametrize(
    "name", ["linear", "convolution", "group norm", "layer norm", "rms norm", "silu", "gelu"]
)
def test_layers_keep_half_precision(name):
    shape, _ = LAYERS[name]
    layers = {
        "linear": lambda x: functional.linear(x, WEIGHT.half(), BIAS.half()),
        "silu": functional.silu,
        "gelu": functional.gelu,
        "convolution": lambda x: functional.conv2d(x, KERNEL.half(), groups=2),
        "group norm": lambda x: functional.group_norm(x, 2, SCALE.half(), SHIFT.half()),
        "layer norm": lambda x: functional.layer_norm(x, (8,), WEIGHT[0].half()),
        "rms norm": lambda x: functional.rms_norm(x, (8,), WEIGHT[0].half()),
    }

    def f(x):
        with Differentiable():
            return layers[name](x)

    half, exact = Jacobian(f, draw(*shape).half()), Jacobian(LAYERS[name][1], draw(*shape).half().double())
    if name == "convolution":
        exact = Jacobian(lambda x: functional.conv2d(x, KERNEL.half().double(), groups=2), exact.x)
    v, u = draw(2, *shape, seed=7).half(), draw(2, *half.out_shape, seed=8).half()
    for ours, expected in ((half.jvp(v), exact.jvp(v.double())), (half.vjp(u), exact.vjp(u.double()))):
        assert ours.dtype == torch.float16
        assert (ours.double() - expected).norm() < 5e-3 * expected.norm()


def test_weights_in_training_and_of_inference_mode_are_constants():
    with torch.inference_mode():
        weight = draw(8, 8, seed=1)
    trained, x, v = draw(8, 8, seed=2).requires_grad_(), draw(7, 8), draw(2, 7, 8, seed=3)

    def f(x):
        with Differentiable():
            return torch.sin(x @ trained) * weight[:7] + functional.linear(x, weight)

    with torch.inference_mode():
        expected = torch.cos(x @ trained) * (v @ trained) * weight[:7] + v @ weight.T
    torch.testing.assert_close(Jacobian(f, x).jvp(v), expected)
    assert trained.grad is None


def test_a_parameter_of_inference_mode_is_a_constant_of_every_operation():
    """As a host loads its weights. PReLU is an operation of torch's own, which keeps its weight."""
    with torch.inference_mode():
        weight = torch.nn.Parameter(draw(2, seed=1))
    x, v = draw(2, 4, 6), draw(3, 2, 4, 6, seed=3)

    def f(x, weight=weight):
        with Differentiable():
            return functional.prelu(x, weight)

    copy = Jacobian(lambda x: f(x, weight.detach().clone()), x)
    torch.testing.assert_close(Jacobian(f, x).jvp(v), copy.jvp(v))


def test_what_was_made_in_inference_mode_takes_in_no_derivative():
    with torch.inference_mode():
        buffer = torch.zeros(1, 3, dtype=torch.float64)

    def f(x):
        with Differentiable():
            buffer.copy_(x)
            return 2 * buffer

    with pytest.raises(RuntimeError, match=r"[Ii]nference"):
        Jacobian(f, draw(3)).jvp(draw(1, 3))


def test_overwriting_breaks_reverse_mode_without_it():
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        adjoint_error(Jacobian(overwrite, draw(6, 8)))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize(
    "norm",
    [
        lambda x, weight, bias: torch.nn.functional.group_norm(x, 2, weight, bias),
        lambda x, weight, bias: torch.nn.functional.layer_norm(x.mT, (4,), weight, bias),
    ],
    ids=["group_norm", "layer_norm"],
)
def test_norms_of_half_precision_with_weights_of_float32(norm, dtype):
    generator = torch.Generator().manual_seed(0)
    x, weight, bias = (torch.randn(*shape, generator=generator) for shape in ((4, 6), (4,), (4,)))
    v = torch.randn(3, 4, 6, generator=generator)

    def products(x, v):
        def f(points):
            with Differentiable():
                return norm(points, weight, bias)

        jacobian = Jacobian(f, x)
        return jacobian.jvp(v), jacobian.vjp(v.view(3, *jacobian.out_shape))

    for found, exact in zip(products(x.to(dtype), v.to(dtype)), products(x, v)):
        assert found.dtype == dtype and (found.float() - exact).norm() < 0.02 * exact.norm()
