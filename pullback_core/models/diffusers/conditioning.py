"""The keyword arguments of a UNet's call: tensors in nested dicts, lists and tuples."""

from collections.abc import Callable
from typing import Any

import torch

# A UNet with this setting in its config (first key) of this value (second key) needs these entries in
# added_cond_kwargs.
ADDED = {
    "addition_embed_type": {
        "text_time": ("text_embeds", "time_ids"),
        "text_image": ("image_embeds",),
        "image": ("image_embeds",),
        "image_hint": ("image_embeds", "hint"),
    },
    "encoder_hid_dim_type": {
        "text_image_proj": ("image_embeds",),
        "image_proj": ("image_embeds",),
        "ip_image_proj": ("image_embeds",),
    },
}


def setting(config: Any, name: str) -> Any:
    """Read an entry of a diffusers config.

    An IP-Adapter changes only the attribute of the config, not the entry of the same name.

    Args:
        config: The config of a UNet.
        name: The name of the entry.

    Returns:
        Its value, or None.
    """
    return getattr(config, name, config.get(name))


def require_conditioning(unet: Any, conditioning: dict[str, Any]) -> None:
    """Refuse keyword arguments when the UNet needs more.

    Args:
        unet: A UNet without a wrapper.
        conditioning: The keyword arguments.

    Raises:
        ValueError: Something is missing; the message lists it.
    """
    config, added = unet.config, conditioning.get("added_cond_kwargs") or {}
    missing = [
        f"added_cond_kwargs[{name!r}]"
        for kind, needed in ADDED.items()
        for name in needed.get(setting(config, kind), ())
        if name not in added
    ]
    if "cross_attention_dim" in config and "encoder_hidden_states" not in conditioning:
        missing.append("encoder_hidden_states")
    if getattr(unet, "class_embedding", None) is not None and conditioning.get("class_labels") is None:
        missing.append("class_labels")
    if missing:
        raise ValueError(
            f"The conditioning lacks {', '.join(dict.fromkeys(missing))}, which this UNet needs; add them."
        )


def of_single_sample(conditioning: dict[str, Any]) -> dict[str, Any]:
    """Check that all tensors are of batch 1.

    Args:
        conditioning: The keyword arguments.

    Returns:
        The same tensors in new dicts, lists and tuples.

    Raises:
        ValueError: There is a tensor of another batch.
    """
    return _map_tensors(_require_batch_of_one, conditioning)


def expanded(
    conditioning: dict[str, Any], batch: int, device: torch.device, dtype: torch.dtype
) -> dict[str, Any]:
    """Repeat the conditioning of one sample for a batch.

    Args:
        conditioning: The keyword arguments, their tensors of batch 1.
        batch: The size of the batch.
        device: Where the tensors are needed.
        dtype: The precision of the UNet, for tensors of floating point numbers.

    Returns:
        The same keyword arguments with tensors (batch, ...).
    """

    def expand(tensor: torch.Tensor) -> torch.Tensor:
        tensor = tensor.to(device, dtype if tensor.is_floating_point() else None)
        return tensor.expand(batch, *tensor.shape[1:])

    return _map_tensors(expand, conditioning)


def _map_tensors(function: Callable[[torch.Tensor], torch.Tensor], value: Any) -> Any:
    """The same nested dicts, lists and tuples, with a function applied to every tensor in them."""
    if isinstance(value, dict):
        return {name: _map_tensors(function, part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_map_tensors(function, part) for part in value)
    return function(value) if isinstance(value, torch.Tensor) else value


def _require_batch_of_one(tensor: torch.Tensor) -> torch.Tensor:
    if tensor.ndim == 0 or len(tensor) != 1:
        raise ValueError(
            f"Every tensor of the conditioning must be of batch 1, got shape {tuple(tensor.shape)}; "
            "give those of one sample."
        )
    return tensor
