"""Tiny MODELs of the families that people use, built from the host's own configurations, with seeded random weights."""

import comfy.model_base
import comfy.model_management
import comfy.model_patcher
import comfy.supported_models
import comfy.utils
import torch

KINDS = ("sd1", "sd2v", "sdxl")
CONTEXT, POOLED = 24, 1280
SHAPE = {
    "image_size": 32, "in_channels": 4, "out_channels": 4, "model_channels": 32, "channel_mult": [1, 2], "num_res_blocks": [1, 1],
    "transformer_depth": [0, 1], "transformer_depth_output": [0, 0, 1, 1], "transformer_depth_middle": 1, "context_dim": CONTEXT,
    "use_spatial_transformer": True, "use_temporal_attention": False, "legacy": False,
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


CONFIGS = dict(zip(KINDS, (TinySD1, TinySD2V, TinySDXL)))


@torch.inference_mode()  # as in the server, where the weights of a loaded model are inference tensors
def tiny_model(kind="sd1", *, dtype=torch.float32, seed=0):
    """A MODEL. The weights of one seed are the same in every dtype, up to its rounding."""
    config = CONFIGS[kind]({**SHAPE, **CONFIGS[kind].own, "dtype": dtype})
    if dtype == torch.float64:
        config.unet_config.pop("attn_precision", None)  # which asks for float32, as a gain over half precision
    device = comfy.model_management.unet_offload_device()
    base = config.get_model({}, "", device).eval()
    generator = torch.Generator().manual_seed(seed)
    for name, weight in base.diffusion_model.named_parameters():
        noise = torch.randn(weight.shape, generator=generator)
        if weight.ndim > 1:
            weight.copy_(noise / weight[0].numel() ** 0.5)
        else:
            weight.copy_(0.1 * noise + (1.0 if name.endswith("weight") else 0.0))
    return comfy.model_patcher.ModelPatcher(base, load_device=comfy.model_management.get_torch_device(), offload_device=device)


def patched(model, *, seed=11, strength=1.0):
    """A clone with one changed weight, as a LoRA changes it."""
    clone, name = model.clone(), "diffusion_model.middle_block.0.in_layers.2.weight"
    weight = comfy.utils.get_attr(model.model, name)
    change = 0.5 * draw(*weight.shape, seed=seed) / weight[0].numel() ** 0.5
    assert clone.add_patches({name: ("diff", (change,))}, strength) == [name]
    return clone


def draw(*shape, seed):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def tiny_conditioning(seed=1, **options):
    """A CONDITIONING with the pooled vector that SDXL needs, and the others ignore."""
    return [[draw(1, 7, CONTEXT, seed=seed), {"pooled_output": draw(1, POOLED, seed=seed + 1000), **options}]]


def tiny_latent(batch=1, height=8, width=8, seed=2):
    """A LATENT of about the size that a VAE gives."""
    return {"samples": 5 * draw(batch, 4, height, width, seed=seed)}


@torch.inference_mode()
def applied(model, conditioning, x, sigma):
    """The prediction of x_0 by one plain call of the host's model: no sampling, no adapter."""
    (context, extra), = conditioning
    inner, height, width = model.model, x.shape[2] * 8, x.shape[3] * 8
    y = inner.encode_adm(**extra, device=x.device, height=height, width=width)
    return inner.apply_model(
        x, x.new_full((len(x),), sigma), c_crossattn=context.expand(len(x), -1, -1), y=None if y is None else y.expand(len(x), -1)
    )


def observed(model, feature, conditioning, x, sigma):
    """The output of a block, seen by a hook on its last layer in one plain call of the host's model. Keeps the model's dtype."""
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
