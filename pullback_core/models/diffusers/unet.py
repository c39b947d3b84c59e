"""A UNet of diffusers: its blocks, and the modes in which it runs."""

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch

from .adapters import lora_layers

UNETS = ("UNet2DModel", "UNet2DConditionModel")  # classes


def unwrapped(unet: Any) -> Any:
    """The UNet itself, without a wrapper that compiles it or spreads its batches over devices."""
    while True:
        if hasattr(unet, "_orig_mod"):
            unet = unet._orig_mod
        elif isinstance(unet, torch.nn.DataParallel | torch.nn.parallel.DistributedDataParallel):
            unet = unet.module
        else:
            return unet


def blocks_of(unet: Any) -> dict[str, torch.nn.Module]:
    """Find the blocks whose output can be the feature.

    Args:
        unet: A UNet without a wrapper.

    Returns:
        Name -> block, in the order of computation.

    Raises:
        ValueError: It is another network, or a UNet for inpainting.
    """
    if not any(kind.__name__ in UNETS for kind in type(unet).__mro__):
        raise ValueError(
            f"A diffusers UNet is needed (UNet2DModel or UNet2DConditionModel), got {type(unet).__name__}."
        )
    taken, returned = unet.config["in_channels"], unet.config["out_channels"]
    if returned < taken:
        raise ValueError(
            f"This UNet takes {taken} channels and returns {returned}, as for inpainting; "
            "choose another model."
        )
    blocks = {f"down_{index}": block for index, block in enumerate(unet.down_blocks)}
    if unet.mid_block is not None:
        blocks["middle"] = unet.mid_block
    return blocks | {f"up_{index}": block for index, block in enumerate(unet.up_blocks)}


def require_derivatives(unet: Any) -> None:
    """Refuse a UNet that computes without a second derivative, or skips parts of the network.

    Args:
        unet: A UNet without a wrapper.

    Raises:
        ValueError: It uses the attention of xformers, or a cache.
    """
    for module in unet.modules():
        processor = type(getattr(module, "processor", None)).__name__
        if "XFormers" in processor:
            raise ValueError(
                f"The UNet's attention is computed by {processor}, which has no second derivative; "
                "call unet.disable_xformers_memory_efficient_attention()."
            )
        hooks = getattr(getattr(module, "_diffusers_hook", None), "hooks", {})
        stateful = [name for name, hook in hooks.items() if getattr(hook, "_is_stateful", False)]
        if stateful:
            raise ValueError(
                f"The UNet has a cache ({stateful[0]}), which reuses results of other inputs; "
                "call unet.disable_cache()."
            )


@contextmanager
def evaluating(unet: Any) -> Iterator[None]:
    """Switch dropout and gradient checkpointing off, and restore them afterwards.

    Checkpointing would compute everything again. The strengths of LoRA layers are restored too: a call with a
    scale of its own changes them while it runs.

    Args:
        unet: A UNet of diffusers.
    """
    switches = ("training", "gradient_checkpointing")
    on = [(module, name) for module in unet.modules() for name in switches if vars(module).get(name)]
    strengths = [(layer.scaling, dict(layer.scaling)) for layer in lora_layers(unet)]
    for module, name in on:
        setattr(module, name, False)
    try:
        yield
    finally:
        for module, name in on:
            setattr(module, name, True)
        for scaling, before in strengths:
            scaling.update(before)


def uncompiled() -> AbstractContextManager[object]:
    """Run compiled parts of the UNet as they are written: a compiled block cannot be ended in the middle."""
    if "torch._dynamo" in sys.modules and hasattr(torch.compiler, "set_stance"):
        return torch.compiler.set_stance("force_eager")
    return nullcontext()


def has_moving_weights(module: torch.nn.Module) -> bool:
    """Tell whether hooks of accelerate or diffusers move or cast the weights at every forward pass."""
    return any(hasattr(part, name) for part in module.modules() for name in ("_hf_hook", "_diffusers_hook"))
