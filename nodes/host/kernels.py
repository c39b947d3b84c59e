"""Plain torch operations for operators of other libraries, which autograd cannot differentiate."""

import inspect
import sys
from functools import partial

import torch

from .attention import PLAIN_ATTENTION

TORCH_LIBRARIES = ("aten", "prims")


def is_operator(function):
    """Whether a function is `torch.ops.library.operator` or one of its overloads."""
    return isinstance(function, torch._ops.OpOverload | torch._ops.OpOverloadPacket)


def operator_name(function):
    """("library", "operator") of `torch.ops.library.operator` or of one of its overloads."""
    library, name, *_ = str(function).split(".")
    return library, name


def plain_operation(operator):
    """A function with the same arguments that autograd can differentiate.

    The host's library keeps such a function for each of its kernels, by the same name. Attention in int8
    becomes the core's attention.

    Args:
        operator: An operator of any library.

    Returns:
        The function; None where none is known, and for torch's own operators.
    """
    library, name = operator_name(operator)
    if library in TORCH_LIBRARIES:
        return None
    if (library, name) in PLAIN_ATTENTION:
        return PLAIN_ATTENTION[library, name]
    module, schema = sys.modules.get(f"{library}.backends.eager"), _schema(operator)
    if name.endswith("_") and hasattr(module, name[:-1]):
        # The plain function of an in-place kernel may refuse autograd. The one that returns its result is not
        # affected.
        plain = getattr(module, name[:-1])
        return partial(_compute_in_place, plain, schema) if _takes_arguments_of(plain, schema) else None
    plain = getattr(module, name, None)
    return plain if plain is not None and _takes_arguments_of(plain, schema) else None


def _schema(operator):
    """The schema of an operator: the names and types of its arguments."""
    if isinstance(operator, torch._ops.OpOverloadPacket):
        operator = getattr(operator, operator.overloads()[0])
    return operator._schema


def _takes_arguments_of(plain, schema):
    """Whether a function takes the arguments of an operator.

    A plain function may want a data type where an operator that unpacks weights wants the number of a data
    type. Then the argument has another name. The names of tensors do not matter.
    """
    try:
        names = list(inspect.signature(plain).parameters)
    except (TypeError, ValueError):  # functions that torch implements in C++ have no signature
        return True
    if len(names) < len(schema.arguments):
        return False
    for argument, name in zip(schema.arguments, names):
        if "Tensor" not in str(argument.type) and argument.name != name:
            return False
    return True


def _compute_in_place(plain, schema, *args, **kwargs):
    """Compute a result with `plain`, and write it into the arguments that the schema marks as overwritten."""
    targets = [
        args[index] if index < len(args) else kwargs[argument.name]
        for index, argument in enumerate(schema.arguments)
        if argument.alias_info is not None and argument.alias_info.is_write
    ]
    copies = {id(target): target.clone() for target in targets}  # autograd may keep the arguments
    args = [copies.get(id(part), part) for part in args]
    kwargs = {name: copies.get(id(part), part) for name, part in kwargs.items()}
    results = plain(*args, **kwargs)
    for target, result in zip(targets, results if isinstance(results, tuple) else [results]):
        target.copy_(result)
