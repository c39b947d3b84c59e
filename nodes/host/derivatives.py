"""Where the host's networks can be differentiated, and the check that they were differentiated rightly."""

import math
import sys
from contextlib import ExitStack, contextmanager
from unittest.mock import patch

import comfy.ops
import torch

from ...pullback_core import Jacobian
from ...pullback_core.differentiable import Differentiable
from ...pullback_core.jacobian import derivative_errors

ADJOINT_TOLERANCE, DIFFERENCE_TOLERANCE, VALUE_TOLERANCE = 0.02, 0.1, 0.05  # the bundled model: 1e-7, at most 0.009, 1e-6
PRECISION_TOLERANCE = 0.3  # where operators are met of which it is not known whether they have a derivative
CHECKPOINT_OPTIONS = ("use_reentrant", "context_fn", "determinism_check", "debug", "preserve_rng_state", "early_stop")


class _HostDifferentiable(Differentiable):
    """As the core's, and the host's own kernels as the plain operations that are kept beside them (since ComfyUI 0.8).

    foreign: a set that gets the names of operators of other libraries, which may drop a derivative in silence.
    """

    def __init__(self, copies, foreign):
        super().__init__(copies)
        self.foreign = foreign

    def __torch_function__(self, function, types, args=(), kwargs=None):
        if isinstance(function, torch._ops.OpOverload | torch._ops.OpOverloadPacket):
            library, name = str(function).split(".")[:2]
            plain = getattr(sys.modules.get(f"{library}.backends.eager"), name, None)
            if plain is not None:
                return plain(*args, **(kwargs or {}))
            if library not in ("aten", "prims"):
                self.foreign.add(f"{library}.{name}")
        return super().__torch_function__(function, types, args, kwargs)


@contextmanager
def differentiable(network, foreign, copies=False):
    """Within it, a network of the host is computed by operations that have derivatives. Everything is as before afterwards.

    foreign: a set that gets the names of operators of which that is not known. copies: as of the core's `Differentiable`.
    """
    with unpacked(network), ExitStack() as stack:
        stack.enter_context(patch.object(torch.utils.checkpoint, "checkpoint", _not_checkpointed))
        if "torch._dynamo" in sys.modules and hasattr(torch.compiler, "set_stance"):
            stack.enter_context(torch.compiler.set_stance("force_eager"))  # compiled code bypasses the operations of `Differentiable`
        stack.enter_context(_HostDifferentiable(copies, foreign))
        yield


@contextmanager
def unpacked(network):
    """Within it, a network multiplies by its weights as they are stored, but not in fp8 or fp4: such steps have no derivative."""
    with ExitStack() as stack:
        stack.enter_context(patch.object(comfy.ops, "fp8_linear", lambda layer, values: None, create=True))
        for layer in network.modules():
            if getattr(layer, "layout_type", None) is not None:  # with a function of its weights, the host unpacks them first
                stack.enter_context(patch.object(layer, "weight_function", [*layer.weight_function, _unchanged]))
        yield


def _unchanged(weight):
    return weight


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
    return function(*args, **{name: value for name, value in kwargs.items() if name not in CHECKPOINT_OPTIONS})


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
    passed, key = denoiser.passed_checks, (denoiser.feature, tuple(z.shape), z.dtype, sigma)
    if key in passed:
        errors, denoiser.careful = passed[key]
        return errors
    with torch.no_grad():
        denoiser.encode_as_hosted(z, sigma)  # whatever the host keeps from a first evaluation shall be no part of a record
    for careful in (denoiser.careful, True):  # some operation may know no vmap, or overwrite what a derivative needs
        denoiser.careful = careful
        try:
            errors = _errors(denoiser, z, sigma)
            break
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            failure = error
    else:
        raise ValueError(
            f"This model cannot be differentiated here ({str(failure).strip().splitlines()[0]}), so there is no basis: "
            "bypass nodes that patch the model, or choose an earlier feature."
        ) from failure
    if VALUE_TOLERANCE < errors.value < math.inf:
        raise ValueError(
            f"This model gives another value every time, or within a derivative (value error {errors.value:.1e}), so a basis would be "
            "meaningless: bypass nodes that work at random, such as token merging."
        )
    # What a foreign operator drops in half precision alone shows there only, where a curved map shows as much: refuse both.
    lost = bool(denoiser.foreign) and not errors.precision <= PRECISION_TOLERANCE
    if lost or not (errors.adjoint <= ADJOINT_TOLERANCE and errors.difference <= DIFFERENCE_TOLERANCE):
        raise ValueError(
            f"The derivatives of this model are wrong here (adjoint error {errors.adjoint:.1e}, difference error "
            f"{errors.difference:.1e}, precision error {errors.precision:.1e}), so a basis would be meaningless: bypass nodes that "
            "patch the model, of which one has no derivative, or start ComfyUI with --use-pytorch-cross-attention."
        )
    passed[key] = errors, denoiser.careful
    return errors


def _errors(denoiser, z, sigma):
    jacobian = Jacobian(lambda points: denoiser.encode(points, sigma), z[0], **denoiser.memory(z.shape[1:]))
    precise = (
        lambda points: denoiser.encode(points, sigma, float32=True),
        lambda points: denoiser.encode_as_hosted(points, sigma, float32=True),
    )
    return derivative_errors(
        jacobian, lambda points: denoiser.encode_as_hosted(points, sigma),
        precise=None if denoiser.provenance["precision"] in ("float32", "float64") else precise,
    )
