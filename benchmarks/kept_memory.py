"""How much memory does the graph of a Jacobian product keep in ComfyUI's networks of real size?

    cd ComfyUI && python custom_nodes/ComfyUI-Pullback/benchmarks/kept_memory.py
    cd ComfyUI && python .../benchmarks/kept_memory.py --network flux --dtype bfloat16

Run it by ComfyUI's Python from ComfyUI's folder. Nothing is computed: the tensors have shapes and no contents
(torch's FakeTensorMode). So a network of any size takes seconds and no memory. The figure counts every tensor
that autograd keeps for J^T u, once; weights are counted apart. What J v keeps beside it is small, and the
peak of one product comes on top: see `in_comfyui.py`, which computes.
"""

import argparse
import asyncio
import os
import sys
from pathlib import Path

from in_comfyui import CONTEXT, POOLED, UNETS  # a script finds what lies beside it

PACK = Path(__file__).resolve().parents[1]
ADM = {"sdxl": 2816, "flux": POOLED["flux"]}  # the width of the vector that goes with the noise level


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--network", choices=UNETS, nargs="+", default=list(UNETS))
    parser.add_argument("--size", type=int, default=128, help="latent pixels a side: 128 is 1024 x 1024")
    parser.add_argument("--dtype", choices=("float32", "float16", "bfloat16"), default="bfloat16")
    parser.add_argument("--features", nargs="+", default=("middle", "picture"))
    options = parser.parse_args()
    sys.argv = ["main.py", "--cpu", "--use-pytorch-cross-attention"]
    sys.path[:0] = [os.getcwd(), str(PACK / "tests/host")]
    sys.path.remove(str(PACK / "benchmarks"))
    import comfy.options

    comfy.options.enable_args_parsing()
    import utils.extra_config  # noqa: F401  before `nodes`, which hides it

    import nodes

    assert asyncio.run(nodes.load_custom_node(str(PACK), module_parent="custom_nodes"))
    pack = nodes.NODE_CLASS_MAPPINGS["PullbackBasis"].__module__.rpartition(".nodes.")[0]
    import torch

    print(
        f"{options.size} x {options.size} latents, {options.dtype}, torch {torch.__version__}; GiB\n"
        "network   weights   feature    kept   with weights   weights that a product uses"
    )
    for network in options.network:
        for feature in options.features:
            weights, kept, used = _count(torch, sys.modules, pack, network, feature, options)
            print(
                f"{network:8s} {weights:8.2f}   {feature:8s} {kept:6.2f} {weights + kept:14.2f} {used:18.2f}",
                flush=True,
            )


def _count(torch, modules, pack, network, feature, options):
    """GiB of (all weights, activations that a product keeps, weights that it keeps)."""
    from tiny_models import tiny_model
    from torch._subclasses.fake_tensor import FakeTensorMode
    from torch.autograd.graph import saved_tensors_hooks

    kind, shape = UNETS[network]
    storages = {}

    def note(tensor):
        storage = tensor.untyped_storage()
        storages[storage._cdata] = storage
        return tensor

    with FakeTensorMode(allow_non_fake_inputs=True):
        model = tiny_model(kind, dtype=getattr(torch, options.dtype), **shape)
        net = model.model.diffusion_model
        for layer in net.modules():  # autograd keeps no tensors made in inference mode
            for name, weight in layer._parameters.items():
                if weight is not None:
                    layer._parameters[name] = torch.nn.Parameter(weight.detach().clone(), requires_grad=False)
        channels = model.get_model_object("latent_format").latent_channels
        with saved_tensors_hooks(note, note), torch.inference_mode(False), torch.enable_grad():
            x = torch.randn(1, channels, options.size, options.size).requires_grad_()
            result = _encode(torch, modules, f"{pack}.nodes.host", model, network, feature, x)
    assert result.requires_grad
    places = {weight.untyped_storage()._cdata for weight in net.parameters()}
    kept = sum(storage.nbytes() for place, storage in storages.items() if place not in places)
    used = sum(storage.nbytes() for place, storage in storages.items() if place in places)
    return tuple(size / 2**30 for size in (sum(weight.nbytes for weight in net.parameters()), kept, used))


def _encode(torch, modules, host, model, network, feature, x):
    """The feature at x, as `HostDenoiser.encode` computes it, without a sampling of the host around it."""
    features, differentiation = modules[f"{host}.features"], modules[f"{host}.differentiation"]
    options = {"optimized_attention_override": modules[f"{host}.attention"].differentiable_attention}
    conditioning = {"c_crossattn": torch.randn(1, *CONTEXT[network])}
    if network in ADM:
        conditioning["y"] = torch.randn(1, ADM[network])
    if network == "flux":
        conditioning["guidance"] = torch.tensor([3.5])
    inner, net, level = model.model, model.model.diffusion_model, torch.full((1,), 0.7)

    def apply():
        return inner.apply_model(x, level, transformer_options=options, **conditioning).float()

    with differentiation.differentiable([net], set()):
        name = features.feature_named(model, feature)
        if name == features.PICTURE:
            return apply()
        try:
            with features.stopping_at(net, name, options):
                apply()
        except features.StopForward as stop:
            return stop.h
    raise RuntimeError(f"The block {name} did not run.")


if __name__ == "__main__":
    main()
