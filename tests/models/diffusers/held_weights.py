"""The ways in which weights are kept elsewhere, packed or replaced while their layer does not run."""

import accelerate
import torch
from tiny_pipelines import CPU, layers_of


def layerwise(storage, compute):
    return lambda unet: unet.enable_layerwise_casting(storage_dtype=storage, compute_dtype=compute)


def offloaded_in_groups(**options):
    return lambda unet: unet.enable_group_offload(CPU, CPU, **options)


def offloaded_to_disk(unet, folder):
    accelerate.disk_offload(unet, folder, execution_device=CPU)


def groups_on_disk(unet, folder):
    unet.enable_group_offload(CPU, CPU, offload_type="leaf_level", offload_to_disk_path=str(folder))


def overwritten_after_use(unet):
    """Weights that are copied into place for their layer, and zeroed behind it; autograd does not notice."""
    for layer in layers_of(unet):
        kept = layer.weight.detach().clone()

        def load(layer, _, kept=kept):
            layer.weight.data.copy_(kept)

        def drop(layer, *_):
            layer.weight.data.zero_()

        layer.register_forward_pre_hook(load)
        layer.register_forward_hook(drop)


def in_one_buffer(unet):
    """All layers take turns in one buffer."""
    buffer = torch.zeros(max(layer.weight.numel() for layer in layers_of(unet)))
    for layer in layers_of(unet):
        kept = layer.weight.detach().clone()

        def load(layer, _, kept=kept):
            layer.weight.data = buffer[: kept.numel()].view_as(kept).copy_(kept)

        layer.register_forward_pre_hook(load)


class Quantised(torch.nn.Module):
    """A linear layer of 8-bit weights, unpacked into a buffer that all such layers share."""

    buffer = torch.zeros(2**12)

    def __init__(self, layer):
        super().__init__()
        self.scale = layer.weight.detach().abs().max() / 127
        self.register_buffer("packed", (layer.weight.detach() / self.scale).round().to(torch.int8))
        self.bias = layer.bias

    def forward(self, x):
        weight = self.buffer[: self.packed.numel()].view_as(self.packed).copy_(self.packed).mul_(self.scale)
        return torch.nn.functional.linear(x, weight, self.bias)


def quantised(unet):
    for parent in list(unet.modules()):
        for name, layer in list(parent.named_children()):
            if type(layer) is torch.nn.Linear:
                setattr(parent, name, Quantised(layer))


def compiled_in_place(unet):
    unet.compile(backend="eager")


def compiled_in_parts(unet):
    unet.mid_block = torch.compile(unet.mid_block, backend="aot_eager")
    unet.down_blocks[0].compile(backend="eager")


WAYS_TO_HOLD_WEIGHTS = {
    "layerwise float16": (layerwise(torch.float16, torch.float32), 2e-3),
    "layerwise float8": (layerwise(torch.float8_e4m3fn, torch.float32), 0.2),
    "layerwise float8 in bfloat16": (layerwise(torch.float8_e4m3fn, torch.bfloat16), 0.2),
    "layerwise float8 in float16": (layerwise(torch.float8_e4m3fn, torch.float16), 0.2),
    "cpu_offload": (lambda unet: accelerate.cpu_offload(unet, execution_device=CPU), 1e-5),
    "cpu_offload with buffers": (
        lambda unet: accelerate.cpu_offload(unet, execution_device=CPU, offload_buffers=True),
        1e-5,
    ),
    "cpu_offload_with_hook": (
        lambda unet: accelerate.cpu_offload_with_hook(unet, execution_device=CPU),
        1e-5,
    ),
    "disk_offload": (offloaded_to_disk, 1e-5),
    "groups of leaves": (offloaded_in_groups(offload_type="leaf_level"), 1e-5),
    "groups of blocks": (offloaded_in_groups(offload_type="block_level", num_blocks_per_group=1), 1e-5),
    "groups on disk": (groups_on_disk, 1e-5),
    "overwritten": (overwritten_after_use, 1e-5),
    "one buffer": (in_one_buffer, 1e-5),
    "quantised": (quantised, 0.02),
    "compiled in place": (compiled_in_place, 1e-5),
    "compiled in parts": (compiled_in_parts, 1e-5),
}
