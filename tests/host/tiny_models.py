"""Tiny MODELs of the families that people use, with seeded random weights, and inputs for them."""

from contextlib import contextmanager
from functools import partial
from unittest.mock import patch

import comfy.model_base
import comfy.model_management
import comfy.model_patcher
import comfy.supported_models
import comfy.utils
import torch
from tiny_families import CONTEXT, FLOWS, POOLED, draw

SHAPE = {
    "image_size": 32,
    "in_channels": 4,
    "out_channels": 4,
    "model_channels": 32,
    "channel_mult": [1, 2],
    "num_res_blocks": [1, 1],
    "transformer_depth": [0, 1],
    "transformer_depth_output": [0, 0, 1, 1],
    "transformer_depth_middle": 1,
    "context_dim": CONTEXT,
    "use_spatial_transformer": True,
    "use_temporal_attention": False,
    "legacy": False,
}
LINEAR = {"use_linear_in_transformer": True}


class TinySD1(comfy.supported_models.SD15):
    own = {"adm_in_channels": None, "use_linear_in_transformer": False}


class TinySD2V(comfy.supported_models.SD20):
    own = {"adm_in_channels": None, **LINEAR}

    def model_type(self, state_dict, prefix=""):
        return comfy.model_base.ModelType.V_PREDICTION


class TinySDXL(comfy.supported_models.SDXL):
    own = {"adm_in_channels": 2816, "num_classes": "sequential", **LINEAR}


UNETS = {"sd1": TinySD1, "sd2v": TinySD2V, "sdxl": TinySDXL}
KINDS = tuple(UNETS)


# In inference mode as in the server, where the weights of a loaded model are inference tensors.
@torch.inference_mode()
def tiny_model(kind="sd1", *, dtype=torch.float32, cast=None, seed=0, configure=None, **changes):
    """A MODEL. The weights of one seed are the same in every dtype, up to its rounding.

    Args:
        kind: One of `KINDS` or `FLOWS`.
        dtype: The dtype of the weights.
        cast: The dtype of computing, where it is another one.
        seed: The seed of the weights.
        configure: Called with the configuration, for settings of ComfyUI's loaders.
        changes: Of the shape.
    """
    if kind in UNETS:
        config = UNETS[kind]({**SHAPE, **UNETS[kind].own, **changes})
    else:
        config = FLOWS[kind].make_config(changes)
    config.set_inference_dtype(dtype, cast)
    if configure:
        configure(config)
    if dtype == torch.float64:
        # It asks for float32, which is more exact than half precision.
        config.unet_config.pop("attn_precision", None)
    device = comfy.model_management.unet_offload_device()
    with small_adapter():
        base = config.get_model({}, "", device).eval()
    generator = torch.Generator().manual_seed(seed)
    network = base.diffusion_model
    position = [(name, buffer) for name, buffer in network.named_buffers() if name == "pos_embed"]  # SD3
    for name, weight in [*network.named_parameters(), *position]:
        noise = torch.randn(weight.shape, generator=generator)
        if weight.ndim > 1:
            weight.copy_(noise / weight[0].numel() ** 0.5)
        else:
            weight.copy_(0.1 * noise + (1.0 if "weight" in name or "scale" in name else 0.0))
    return comfy.model_patcher.ModelPatcher(
        base, load_device=comfy.model_management.get_torch_device(), offload_device=device
    )


@contextmanager
def small_adapter():
    """Within it, Anima's reader of prompts is small. ComfyUI builds it in one size alone."""
    try:
        from comfy.ldm.anima import model as anima
    except ImportError:
        yield
        return
    small = partial(anima.LLMAdapter, CONTEXT, CONTEXT, 32, 1, 2)
    with patch.object(anima, "LLMAdapter", small):
        yield


def patched(model, *, seed=11, strength=1.0):
    """A clone with one changed weight, as a LoRA changes it."""
    clone, name = model.clone(), "diffusion_model.middle_block.0.in_layers.2.weight"
    weight = comfy.utils.get_attr(model.model, name)
    change = 0.5 * draw(*weight.shape, seed=seed) / weight[0].numel() ** 0.5
    assert clone.add_patches({name: ("diff", (change,))}, strength) == [name]
    return clone


def relative(a, b):
    return ((a.double() - b.double()).norm() / b.double().norm()).item()


def tiny_conditioning(seed=1, **options):
    """A CONDITIONING with the pooled vector that SDXL needs, and the others ignore."""
    return [[draw(1, 7, CONTEXT, seed=seed), {"pooled_output": draw(1, POOLED, seed=seed + 1000), **options}]]


def tiny_latent(batch=1, height=8, width=8, seed=2):
    """A LATENT of about the size that a VAE gives."""
    return {"samples": 5 * draw(batch, 4, height, width, seed=seed)}


def latent_for(model, size=8, seed=2):
    """A LATENT of one picture for a MODEL, of unit variance within it. size: a side, or (height, width)."""
    height, width = (size, size) if isinstance(size, int) else size
    latent_format = model.get_model_object("latent_format")
    frames = (1,) if latent_format.latent_dimensions == 3 else ()
    return {
        "samples": latent_format.process_out(
            draw(1, latent_format.latent_channels, *frames, height, width, seed=seed)
        )
    }


def conditioning_for(kind, seed=1, **options):
    """A CONDITIONING for a family, with what its text encoders add."""
    extras = FLOWS[kind].extras(seed) if kind in FLOWS else {}
    return tiny_conditioning(seed, **extras, **options)


@torch.inference_mode()
def applied(model, conditioning, x, sigma):
    """x_0 as one plain call of ComfyUI's model predicts it: no sampling, no adapter."""
    ((context, extra),) = conditioning
    inner, height, width = model.model, x.shape[2] * 8, x.shape[3] * 8
    y = inner.encode_adm(**extra, device=x.device, height=height, width=width)
    return inner.apply_model(
        x,
        x.new_full((len(x),), sigma),
        c_crossattn=context.expand(len(x), -1, -1),
        y=None if y is None else y.expand(len(x), -1),
    )


def observed(model, feature, conditioning, x, sigma):
    """The output of a block of a UNet in one plain call of ComfyUI's model, in the model's dtype."""
    network = model.model.diffusion_model
    kind, _, index = feature.partition("_")
    block = network.middle_block if kind == "middle" else getattr(network, f"{kind}_blocks")[int(index)]
    seen = []
    handle = block[-1].register_forward_hook(lambda layer, inputs, output: seen.append(output.clone()))
    try:
        applied(model, conditioning, x, sigma)
    finally:
        handle.remove()
    (output,) = seen
    return output
