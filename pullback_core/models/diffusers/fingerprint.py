"""The fingerprint of a UNet, wherever its weights are kept."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch

from ..fingerprint import hash_weights
from .adapters import lora_layers, plain_values, strengths_of

LENGTH = 16  # characters


def unet_fingerprint(unet: Any, conditioning: dict[str, Any]) -> str:
    """Name the weights of a UNet and the strengths of its adapters.

    Only a few numbers of each weight are read. The fingerprint is the same in every session.

    Args:
        unet: A UNet without a wrapper.
        conditioning: The keyword arguments of the UNet's call. Their numbers and texts count, their tensors
            do not.

    Returns:
        16 characters.

    Raises:
        ValueError: A weight is not loaded.
    """
    digest = hashlib.sha256()
    with _weights_loaded(unet):
        hash_weights(digest, _weights_of(unet))
    settings = strengths_of(unet) + plain_values(conditioning)
    if settings:
        digest.update(repr(settings).encode())
    return digest.hexdigest()[:LENGTH]


def with_adapters_of(encoders: Sequence[Any], fingerprint: str) -> str:
    """Add the LoRA layers of text encoders to the fingerprint of a model.

    They change the meaning of a prompt.

    Args:
        encoders: Text encoders.
        fingerprint: The fingerprint of the UNet.

    Returns:
        Another fingerprint; the same one where no encoder has LoRA layers.
    """
    adapted = [encoder for encoder in encoders if lora_layers(encoder)]
    if not adapted:
        return fingerprint
    digest = hashlib.sha256(fingerprint.encode())
    for encoder in adapted:
        hash_weights(digest, encoder.state_dict() | _offloaded_weights(encoder))
        digest.update(repr(strengths_of(encoder)).encode())
    return digest.hexdigest()[:LENGTH]


def _weights_of(unet: Any) -> dict[str, torch.Tensor]:
    """Name -> weight, under the names of the uncompiled UNet."""
    weights = {
        name.replace("_orig_mod.", ""): weight
        for name, weight in (unet.state_dict() | _offloaded_weights(unet)).items()
    }
    missing = [name for name, weight in weights.items() if weight.device.type == "meta"]
    if missing:
        raise ValueError(
            f"The UNet's weight {missing[0]} is not loaded (it is on the meta device); "
            "load the UNet's weights first."
        )
    return weights


def _offloaded_weights(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    """The weights that accelerate keeps elsewhere while no layer runs, by their names in the state_dict."""
    weights = {}
    for prefix, part in module.named_modules():
        hook = getattr(part, "_hf_hook", None)
        for one in getattr(hook, "hooks", (hook,)):
            kept = getattr(one, "weights_map", None)
            if kept is not None:
                for name in _missing_weights(part):
                    weights[f"{prefix}.{name}" if prefix else name] = kept[name]
    return weights


def _missing_weights(part: torch.nn.Module) -> list[str]:
    """The names of a layer's own weights that are on the meta device."""
    return [
        name for name, tensor in part.state_dict().items() if tensor.device.type == "meta" and "." not in name
    ]


@contextmanager
def _weights_loaded(unet: Any) -> Iterator[None]:
    """Load the groups of weights that diffusers keeps on disk, and offload them again afterwards."""
    registries = [getattr(part, "_diffusers_hook", None) for part in unet.modules()]
    hooks = [hook for registry in registries for hook in getattr(registry, "hooks", {}).values()]
    groups = {id(group): group for hook in hooks if (group := getattr(hook, "group", None)) is not None}
    with ExitStack() as stack:
        for group in groups.values():
            if getattr(group, "offload_to_disk_path", None) is not None:
                group.onload_()
                stack.callback(group.offload_)
        yield
