"""How the host's networks are computed so that autograd can differentiate them.

Each context manager restores the host on exit.
"""

import sys
from collections.abc import Iterable
from contextlib import ExitStack, contextmanager

import comfy.model_management
import comfy.ops
import torch
from comfy.cli_args import args as command_line

from ...pullback_core.rules.mode import Differentiable, as_autograd_inputs
from .kernels import TORCH_LIBRARIES, is_operator, operator_name, plain_operation
from .replaced_attributes import replaced_attributes

STREAMED = "_v"  # the attribute by which the host marks a layer whose weights it streams
# (owner, attribute, value) of switches that newer hosts have. They are set while derivatives are taken.
SWITCHES = (
    # The host computes with plain operations of torch.
    (comfy.model_management, "in_training", True),
    # Each offloaded weight gets its own memory, not a buffer that layers share.
    (comfy.model_management, "NUM_STREAMS", 0),
    # A replayed CUDA graph runs no Python, so no operation could be replaced.
    (command_line, "disable_cuda_graphs", True),
)
CHECKPOINT_OPTIONS = (
    "use_reentrant",
    "context_fn",
    "determinism_check",
    "debug",
    "preserve_rng_state",
    "early_stop",
)


class _HostDifferentiable(Differentiable):
    """The core's `Differentiable`, which also computes the host's kernels by plain operations.

    Hosts since ComfyUI 0.8 have such kernels.

    Args:
        copy_slices: As in `Differentiable`.
        foreign_operators: A set. The names of other libraries' operators that get differentiated values are
            added to it, because such an operator may drop a derivative silently.
    """

    def __init__(self, copy_slices, foreign_operators):
        super().__init__(copy_slices)
        self._foreign_operators = foreign_operators

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if is_operator(function):
            plain = plain_operation(function)
            if plain is not None:
                if torch.is_grad_enabled():
                    args, kwargs = as_autograd_inputs(function, args, kwargs)
                with self:  # the operations of the plain function need the same care
                    return plain(*args, **kwargs)
            library, name = operator_name(function)
            if library not in TORCH_LIBRARIES and _is_differentiated((args, kwargs)):
                self._foreign_operators.add(f"{library}.{name}")
        return super().__torch_function__(function, types, args, kwargs)


def _is_differentiated(part):
    """Whether a tensor among nested arguments depends on the point of differentiation."""
    if isinstance(part, torch.Tensor):
        return part.requires_grad
    if isinstance(part, dict):
        part = part.values()
    return isinstance(part, Iterable) and not isinstance(part, str) and any(map(_is_differentiated, part))


@contextmanager
def differentiable(networks, foreign_operators, copy_slices=False):
    """Within it, networks of the host are computed by operations that have derivatives.

    Args:
        networks: Every module that a forward pass computes with: the diffusion model, ControlNets, models of
            patches.
        foreign_operators: A set. The names of operators are added to it of which that is not known.
        copy_slices: As in the core's `Differentiable`.
    """
    with ExitStack() as stack:
        stack.enter_context(without_low_precision_matmul(networks))
        stack.enter_context(replaced_attributes(torch.utils.checkpoint, checkpoint=_without_checkpoint))
        if "torch._dynamo" in sys.modules and hasattr(torch.compiler, "set_stance"):
            # Compiled code would bypass the operations of `Differentiable`.
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        for owner, name, value in SWITCHES:
            if hasattr(owner, name):
                stack.enter_context(replaced_attributes(owner, **{name: value}))
        stack.enter_context(_HostDifferentiable(copy_slices, foreign_operators))
        yield


def _without_checkpoint(function, *args, **kwargs):
    """As `torch.utils.checkpoint.checkpoint`, but activations are kept, not computed again."""
    kwargs = {name: value for name, value in kwargs.items() if name not in CHECKPOINT_OPTIONS}
    return function(*args, **kwargs)


@contextmanager
def without_low_precision_matmul(networks):
    """Within it, networks do not multiply in fp8, fp4 or int8. Such products have no derivative.

    Weights keep their stored values and are converted before they are multiplied. Layers whose weights the
    host streams through shared memory (DynamicVRAM) compute with copies of their own: autograd keeps weights
    until the last product, and by then the shared memory holds others.
    """
    with ExitStack() as stack:
        stack.enter_context(replaced_attributes(comfy.ops, fp8_linear=_no_fp8_product))
        for layer in {layer for network in networks for layer in network.modules()}:
            # If a layer has a function to apply to its weights, the host converts the weights first.
            if hasattr(layer, STREAMED) and hasattr(layer, "weight_function"):
                functions = {
                    name: [*getattr(layer, name, []), torch.clone]
                    for name in ("weight_function", "bias_function")
                }
                stack.enter_context(replaced_attributes(layer, **functions))
            elif getattr(layer, "layout_type", None) is not None:
                functions = [*layer.weight_function, _unchanged]
                stack.enter_context(replaced_attributes(layer, weight_function=functions))
        yield


def _no_fp8_product(layer, values):
    """Stands for the host's `fp8_linear`. None says that it cannot multiply this layer in fp8."""
    return None


def _unchanged(weight):
    return weight


@contextmanager
def releasing_prefetched_weights():
    """On exit, release the weights that the host loaded ahead of a forward pass that `StopForward` ended."""
    try:
        yield
    finally:
        prefetch = sys.modules.get("comfy.model_prefetch")
        if hasattr(prefetch, "cleanup_prefetch_queues"):
            prefetch.cleanup_prefetch_queues()


@contextmanager
def in_float32(model, controls):
    """Within it, a `BaseModel` of the host and its ControlNets compute in float32, by the host's own cast."""
    networks = [model, *(patcher.model for control in controls for patcher in control.get_models())]
    with ExitStack() as stack:
        for owner in (model, *controls):
            if hasattr(owner, "manual_cast_dtype"):
                stack.enter_context(replaced_attributes(owner, manual_cast_dtype=torch.float32))
        for layer in (layer for network in networks for layer in network.modules()):
            if hasattr(layer, "comfy_cast_weights"):
                stack.enter_context(replaced_attributes(layer, comfy_cast_weights=True))
        yield


@contextmanager
def restoring_module_state(network):
    """On exit, restore module attributes that an evaluation replaced by tensors with a grad_fn.

    Such a tensor holds the whole autograd graph with its memory, and a later evaluation would find it in a
    cache.
    """
    before = {id(attributes): dict(attributes) for attributes in _attribute_dicts(network)}
    try:
        yield
    finally:
        for attributes in _attribute_dicts(network):
            for name in [name for name, value in attributes.items() if _has_graph(value)]:
                attributes[name] = before.get(id(attributes), {}).get(name)


def _attribute_dicts(network):
    """Every dict in which a module keeps tensors: its attributes, and dicts among them, such as buffers."""
    for module in network.modules():
        yield vars(module)
        yield from [value for value in vars(module).values() if type(value) is dict]


def _has_graph(value):
    return isinstance(value, torch.Tensor) and value.grad_fn is not None
