"""Walking the graph that autograd records."""

import torch

from pullback_core.linalg.autograd_graph import autograd_nodes, foreign_functions


class Doubled(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return 2 * x

    @staticmethod
    def backward(ctx, gradient):
        return 2 * gradient


class Halved(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x / 2

    @staticmethod
    def backward(ctx, gradient):
        return gradient / 2


def test_every_node_comes_once():
    x = torch.ones(2, requires_grad=True)
    y = torch.sin(x)
    names = [node.name() for node in autograd_nodes(y * y + y)]
    assert sorted(names) == [
        "AddBackward0",
        "MulBackward0",
        "SinBackward0",
        "torch::autograd::AccumulateGrad",
    ]


def test_a_tensor_without_a_graph_has_no_nodes():
    assert not list(autograd_nodes(torch.ones(2))) and not foreign_functions(torch.ones(2))


def test_custom_functions_are_found_but_for_those_that_are_known():
    x = torch.ones(2, requires_grad=True)
    output = torch.sin(Doubled.apply(torch.tanh(Halved.apply(x)))) + Doubled.apply(x)
    assert foreign_functions(output) == {"Doubled", "Halved"}
    assert foreign_functions(output, (Doubled,)) == {"Halved"}
    assert not foreign_functions(output, (Doubled, Halved)) and not foreign_functions(torch.sin(x))
