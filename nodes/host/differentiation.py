"""Where the host's networks can be differentiated, and the check that they were differentiated rightly."""

import inspect
import math
import sys
from collections.abc import Iterable
from contextlib import ExitStack, contextmanager
from functools import partial
from unittest.mock import patch

import comfy.model_management
import comfy.ops
import torch
from comfy.cli_args import args as command_line

from ...pullback_core import Jacobian
from ...pullback_core.linalg.check import derivative_errors
from ...pullback_core.rules.mode import Differentiable, as_autograd_inputs
from .attention import PLAIN_ATTENTION

ADJOINT_TOLERANCE, DIFFERENCE_TOLERANCE, VALUE_TOLERANCE = (
    0.02,
    0.1,
    0.05,
)  # the bundled model: 1e-7, at most 0.009, 1e-6
# Where operators are met of which it is not known whether they have a derivative:
PRECISION_TOLERANCE, FOREIGN_DIFFERENCE_TOLERANCE = 0.3, 0.03
TORCH_LIBRARIES = ("aten", "prims")
STREAMED = "_v"  # the host's mark of a layer whose weights are streamed
# (owner, name, value) of what the host offers to switch, where it has it, held while derivatives are taken:
SWITCHES = (
    (comfy.model_management, "in_training", True),  # the host takes its own plain operations
    (
        comfy.model_management,
        "NUM_STREAMS",
        0,
    ),  # offloaded weights get memory of their own, not a buffer that layers share
    (command_line, "disable_cuda_graphs", True),  # a replayed graph runs none of a block's operations
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
    """The core's `Differentiable`, which also computes the host's own kernels by plain operations (ComfyUI 0.8 and newer).

    foreign: a set that gets the names of operators of other libraries that differentiated values went through: they may drop a
        derivative in silence.
    """

    def __init__(self, copies, foreign):
        super().__init__(copies)
        self.foreign = foreign

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if isinstance(function, torch._ops.OpOverload | torch._ops.OpOverloadPacket):
            plain = plain_operation(function)
            if plain is not None:
                if torch.is_grad_enabled():
                    args, kwargs = as_autograd_inputs(function, args, kwargs)
                with (
                    self
                ):  # the plain operation computes as a network does, so its own operations need the same care
                    return plain(*args, **kwargs)
            library, name = _operator_name(function)
            if library not in TORCH_LIBRARIES and _is_differentiated((args, kwargs)):
                self.foreign.add(f"{library}.{name}")
        return super().__torch_function__(function, types, args, kwargs)


def plain_operation(function):
    """A function of the same arguments that autograd can differentiate, for an operator of another library; None where none is known.

    The host's library keeps one beside each of its kernels, by the same name; attention in int8 becomes the core's.
    """
    library, name = _operator_name(function)
    if library in TORCH_LIBRARIES:
        return None
    if (library, name) in PLAIN_ATTENTION:
        return PLAIN_ATTENTION[library, name]
    kept, schema = sys.modules.get(f"{library}.backends.eager"), _schema(function)
    if name.endswith("_") and hasattr(kept, name[:-1]):
        # The operation kept for a kernel that overwrites its input may refuse autograd; its twin does not.
        twin = getattr(kept, name[:-1])
        return partial(_overwrite_by, twin, schema) if _takes_arguments_of(twin, schema) else None
    plain = getattr(kept, name, None)
    return plain if plain is not None and _takes_arguments_of(plain, schema) else None


def _takes_arguments_of(operation, schema):
    """Whether an operation reads its arguments as an operator does.

    Operators that unpack weights take the number of a data type where the operation of the same name takes the data type itself.
    Such arguments have another name there. The names of tensors do not matter.
    """
    try:
        names = list(inspect.signature(operation).parameters)
    except (TypeError, ValueError):  # of torch's own functions, which say nothing about it
        return True
    if len(names) < len(schema.arguments):
        return False
    return all(
        "Tensor" in str(argument.type) or argument.name == name
        for argument, name in zip(schema.arguments, names)
    )


def _operator_name(function):
    """("library", "operator") of `torch.ops.library.operator`, or of one of its overloads."""
    return tuple(str(function).split(".")[:2])


def _schema(function):
    packet = isinstance(function, torch._ops.OpOverloadPacket)
    return (getattr(function, function.overloads()[0]) if packet else function)._schema


def _overwrite_by(operation, schema, *args, **kwargs):
    """Compute a new value for every argument that the schema says is overwritten, and overwrite it."""
    targets = [
        args[index] if index < len(args) else kwargs[argument.name]
        for index, argument in enumerate(schema.arguments)
        if argument.alias_info is not None and argument.alias_info.is_write
    ]
    copies = {
        id(target): target.clone() for target in targets
    }  # which a derivative of the operation may keep
    args = [copies.get(id(part), part) for part in args]
    results = operation(*args, **{name: copies.get(id(part), part) for name, part in kwargs.items()})
    for target, result in zip(targets, results if isinstance(results, tuple) else [results]):
        target.copy_(result)


def _is_differentiated(part):
    """Whether a tensor among these arguments, however nested, depends on the point of differentiation."""
    if isinstance(part, torch.Tensor):
        return part.requires_grad
    if isinstance(part, dict):
        part = part.values()
    return isinstance(part, Iterable) and not isinstance(part, str) and any(map(_is_differentiated, part))


@contextmanager
def differentiable(networks, foreign, copies=False):
    """Within it, networks of the host are computed by operations that have derivatives. Everything is as before afterwards.

    networks: every module that a forward pass computes with: the diffusion model, ControlNets, models of patches.
    foreign: a set that gets the names of operators of which that is not known. copies: as of the core's `Differentiable`.
    """
    with unpacked(networks), ExitStack() as stack:
        stack.enter_context(patch.object(torch.utils.checkpoint, "checkpoint", _not_checkpointed))
        if "torch._dynamo" in sys.modules and hasattr(torch.compiler, "set_stance"):
            stack.enter_context(
                torch.compiler.set_stance("force_eager")
            )  # compiled code bypasses the operations of `Differentiable`
        for owner, name, value in SWITCHES:
            if hasattr(owner, name):
                stack.enter_context(patch.object(owner, name, value))
        stack.enter_context(_HostDifferentiable(copies, foreign))
        yield


@contextmanager
def unpacked(networks):
    """Within it, networks multiply by their weights as they are stored, but not in fp8, fp4 or int8: such steps have no derivative.

    Layers whose weights the host streams through shared memory (DynamicVRAM) compute with copies of their own: autograd keeps
    weights until the last product, and by then that memory holds others.
    """
    with ExitStack() as stack:
        stack.enter_context(patch.object(comfy.ops, "fp8_linear", lambda layer, values: None, create=True))
        for layer in {layer for network in networks for layer in network.modules()}:
            # With a function of its weights to apply, the host unpacks them first.
            if hasattr(layer, STREAMED) and hasattr(layer, "weight_function"):
                for name in ("weight_function", "bias_function"):
                    stack.enter_context(patch.object(layer, name, [*getattr(layer, name, []), torch.clone]))
            elif getattr(layer, "layout_type", None) is not None:
                stack.enter_context(
                    patch.object(layer, "weight_function", [*layer.weight_function, _unchanged])
                )
        yield


def _unchanged(weight):
    return weight


@contextmanager
def left_early():
    """Around a forward pass that `StopForward` may end: what the host prepared for layers that were not reached is given back."""
    try:
        yield
    finally:
        prefetch = sys.modules.get("comfy.model_prefetch")
        if hasattr(prefetch, "cleanup_prefetch_queues"):
            prefetch.cleanup_prefetch_queues()


@contextmanager
def in_float32(model, controls):
    """Within it, a `BaseModel` of the host and its ControlNets compute in float32, as the host does when it is told to."""
    with ExitStack() as stack:
        for owner in (model, *controls):
            if hasattr(owner, "manual_cast_dtype"):
                stack.enter_context(patch.object(owner, "manual_cast_dtype", torch.float32))
        networks = [model, *(patcher.model for control in controls for patcher in control.get_models())]
        for layer in (layer for network in networks for layer in network.modules()):
            if hasattr(layer, "comfy_cast_weights"):
                stack.enter_context(patch.object(layer, "comfy_cast_weights", True))
        yield


def _not_checkpointed(function, *args, **kwargs):
    return function(
        *args, **{name: value for name, value in kwargs.items() if name not in CHECKPOINT_OPTIONS}
    )


@contextmanager
def without_trace(network):
    """Within it, what a network keeps of an evaluation that autograd recorded is found, and what was there before is put back.

    Such a tensor holds the whole record, memory and all, and would be found in a cache later.
    """
    before = {id(holder): dict(holder) for holder in _holders(network)}
    try:
        yield
    finally:
        for holder in _holders(network):
            for name in [name for name, value in holder.items() if _is_recorded(value)]:
                holder[name] = before.get(id(holder), {}).get(name)


def _holders(network):
    """Every dict in which a module keeps tensors: its attributes, its buffers, and dicts among its attributes."""
    for module in network.modules():
        yield vars(module)
        yield from [value for value in vars(module).values() if type(value) is dict]


def _is_recorded(value):
    return isinstance(value, torch.Tensor) and value.grad_fn is not None


def check_derivatives(denoiser, z, sigma):
    """Refuse a model whose derivatives are wrong, as some kernels' are, silently. z: (1, c, h, w). Returns `DerivativeErrors`.

    The adjoint identity compares J v with J^T u, a difference in float32 compares J v with what the host itself computes, and the
    value of which they are the derivatives is compared with the host's own. Passed once, it is not done again for the same model, shape,
    precision, conditioning and noise level; it costs about eight products.
    """
    passed = denoiser.passed_checks
    key = denoiser.feature, tuple(z.shape), z.dtype, sigma, denoiser.sigmas_above(sigma)
    if key in passed:
        errors, denoiser.careful = passed[key]
        return errors
    with torch.no_grad():
        denoiser.encode_as_hosted(
            z, sigma
        )  # whatever the host keeps from a first evaluation shall be no part of a record
    errors = _measured_errors(denoiser, z, sigma)
    if errors.value != math.inf and not errors.value <= VALUE_TOLERANCE:
        raise ValueError(
            f"This model gives another value every time, or within a derivative (value error {errors.value:.1e}), so a basis would be "
            "meaningless: bypass nodes that work at random, such as token merging."
        )
    # What a foreign operator drops in half precision alone shows there only, where a curved map shows as much: refuse both.
    lost = bool(denoiser.foreign) and not errors.precision <= PRECISION_TOLERANCE
    difference = FOREIGN_DIFFERENCE_TOLERANCE if denoiser.foreign else DIFFERENCE_TOLERANCE
    if lost or not (errors.adjoint <= ADJOINT_TOLERANCE and errors.difference <= difference):
        raise ValueError(
            f"The derivatives of this model are wrong here (adjoint error {errors.adjoint:.1e}, difference error "
            f"{errors.difference:.1e}, precision error {errors.precision:.1e}), so a basis would be meaningless: bypass nodes that "
            "patch the model, of which one has no derivative, or start ComfyUI with --use-pytorch-cross-attention."
        )
    passed[key] = errors, denoiser.careful
    return errors


def _measured_errors(denoiser, z, sigma):
    """`DerivativeErrors`, without special care where that works; `denoiser.careful` says whether it took care.

    Some operation may know no vmap, or overwrite what a derivative needs: that fails every time, and takes care. An error that
    does not come again, such as one of a busy device, says nothing about the model.
    """
    for careful in (False, False, True):
        denoiser.careful = careful
        try:
            return _errors(denoiser, z, sigma)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            failure = error
            denoiser.keep_after_error()
    denoiser.careful = False
    reason = (str(failure).strip() or type(failure).__name__).splitlines()[0]
    raise ValueError(
        f"This model cannot be differentiated here ({reason}), so there is no basis: "
        "bypass nodes that patch the model, or choose an earlier feature."
    ) from failure


def _errors(denoiser, z, sigma):
    jacobian = Jacobian(lambda points: denoiser.encode(points, sigma), z[0], **denoiser.memory(z.shape[1:]))
    precise = (
        lambda points: denoiser.encode(points, sigma, float32=True),
        lambda points: denoiser.encode_as_hosted(points, sigma, float32=True),
    )
    return derivative_errors(
        jacobian,
        lambda points: denoiser.encode_as_hosted(points, sigma),
        precise=None if denoiser.provenance["precision"] in ("float32", "float64") else precise,
    )
