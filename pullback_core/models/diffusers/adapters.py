"""LoRA layers, IP-Adapters and FreeU: the settings of a network that its weights do not show."""

from typing import Any

import torch

NOT_A_SETTING = ("training", "slice_size")  # they do not change what an attention processor computes
FREEU = ("s1", "s2", "b1", "b2")


def lora_layers(module: torch.nn.Module) -> list[Any]:
    """The layers of the library peft in a network, each with a strength for every adapter in `scaling`."""
    return [part for part in module.modules() if _is_lora_layer(part)]


def _is_lora_layer(part: Any) -> bool:
    return isinstance(getattr(part, "scaling", None), dict) and hasattr(part, "active_adapters")


def strengths_of(module: torch.nn.Module) -> list[tuple[Any, ...]]:
    """List the settings of adapters and of FreeU that no weight shows.

    Args:
        module: A UNet or a text encoder.

    Returns:
        The settings, in the order of the layers. The list is empty for a plain network.
    """
    found: list[tuple[Any, ...]] = []
    for name, part in module.named_modules():
        found += _lora_strengths(name, part) + _freeu_strengths(name, part) + _processor_settings(name, part)
    return found


def _lora_strengths(name: str, part: Any) -> list[tuple[Any, ...]]:
    if not _is_lora_layer(part):
        return []
    active = [] if part.disable_adapters else list(part.active_adapters)
    return [(name, [(adapter, part.scaling.get(adapter)) for adapter in active], list(part.merged_adapters))]


def _freeu_strengths(name: str, part: Any) -> list[tuple[Any, ...]]:
    values = [vars(part).get(setting) for setting in FREEU]
    return [] if all(value is None for value in values) else [(name, values)]


def _processor_settings(name: str, part: Any) -> list[tuple[Any, ...]]:
    """The numbers and texts among the attributes of an attention processor: the scale of an IP-Adapter."""
    if not hasattr(part, "processor"):
        return []
    settings = {key: value for key, value in vars(part.processor).items() if key not in NOT_A_SETTING}
    return [(name, path, value) for path, value in plain_values(settings)]


def plain_values(value: Any, path: str = "") -> list[tuple[str, Any]]:
    """List every number and text in nested dicts, lists and tuples.

    Args:
        value: The nested value. Entries whose names begin with _ are left out.
        path: The path of the value itself.

    Returns:
        A list of (path, number or text).
    """
    if isinstance(value, dict):
        parts = [(key, part) for key, part in value.items() if not str(key).startswith("_")]
    elif isinstance(value, list | tuple):
        parts = list(enumerate(value))
    else:
        return [(path, value)] if isinstance(value, bool | int | float | str) else []
    return [found for key, part in parts for found in plain_values(part, f"{path}/{key}")]
