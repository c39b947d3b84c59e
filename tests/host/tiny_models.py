"""Tiny MODELs of the families that people use, built from the host's own configurations, with seeded random weights."""

import inspect
from contextlib import contextmanager
from functools import partial
from unittest.mock import patch

import comfy.ldm.flux.model
import comfy.model_base
import comfy.model_management
import comfy.model_patcher
import comfy.supported_models
import comfy.utils
import torch

KINDS = ("sd1", "sd2v", "sdxl")
CONTEXT, POOLED = 24, 1280
FLOW_CHANNELS = 16
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


# Flow transformers. The shape of each is what the host reads from the family's files, with everything small; heads of 16 = 4 + 6 + 6.
DOUBLE_AND_SINGLE = {
    "in_channels": FLOW_CHANNELS,
    "out_channels": FLOW_CHANNELS,
    "context_in_dim": CONTEXT,
    "hidden_size": 32,
    "mlp_ratio": 2.0,
    "num_heads": 2,
    "depth": 3,
    "depth_single_blocks": 4,
    "axes_dim": [4, 6, 6],
    "theta": 10000,
    "patch_size": 2,
    "qkv_bias": True,
}
FLUX = DOUBLE_AND_SINGLE | {"image_model": "flux", "vec_in_dim": POOLED, "guidance_embed": True}
CHROMA = DOUBLE_AND_SINGLE | {
    "image_model": "chroma",
    "in_channels": 64,
    "out_channels": 64,
    "in_dim": 64,
    "out_dim": 32,
    "hidden_dim": 32,
    "n_layers": 2,
}
if "txt_ids_dims" in inspect.signature(comfy.ldm.flux.model.FluxParams).parameters:  # ComfyUI 0.8.0
    FLUX |= {"txt_ids_dims": []}
    CHROMA |= {"txt_ids_dims": [], "vec_in_dim": None}
LUMINA = {
    "image_model": "lumina2",
    "patch_size": 2,
    "in_channels": FLOW_CHANNELS,
    "dim": 32,
    "cap_feat_dim": CONTEXT,
    "n_layers": 6,
    "n_heads": 2,
    "n_kv_heads": 1,
    "qk_norm": True,
    "axes_dims": [4, 6, 6],
    "axes_lens": [300, 512, 512],
    "multiple_of": 32,
}
QWEN = {
    "image_model": "qwen_image",
    "in_channels": 64,
    "num_layers": 6,
    "attention_head_dim": 16,
    "num_attention_heads": 2,
    "joint_attention_dim": CONTEXT,
    "axes_dims_rope": [4, 6, 6],
}
SD3 = {
    "in_channels": FLOW_CHANNELS,
    "out_channels": FLOW_CHANNELS,
    "patch_size": 2,
    "depth": 1,
    "num_blocks": 6,
    "input_size": None,
    "adm_in_channels": POOLED,
    "num_patches": 32 * 32,
    "pos_embed_max_size": 32,
    "pos_embed_scaling_factor": None,
    "qk_norm": "rms",
    "context_embedder_config": {
        "target": "torch.nn.Linear",
        "params": {"in_features": CONTEXT, "out_features": 64},
    },
}
FLOWS = {
    "flux": (comfy.supported_models.Flux, FLUX),
    "schnell": (comfy.supported_models.FluxSchnell, FLUX | {"guidance_embed": False}),
    "chroma": (comfy.supported_models.Chroma, CHROMA),
    "sd3": (comfy.supported_models.SD3, SD3),
    "sd35medium": (comfy.supported_models.SD3, SD3 | {"x_block_self_attn_layers": [0, 1, 2]}),
    "qwen": (comfy.supported_models.QwenImage, QWEN),
    "lumina2": (comfy.supported_models.Lumina2, LUMINA),
}
if hasattr(comfy.supported_models, "ZImage"):  # ComfyUI 0.8.0
    FLOWS["zimage"] = (
        comfy.supported_models.ZImage,
        LUMINA
        | {
            "dim": 256,
            "n_heads": 4,
            "n_kv_heads": 4,
            "axes_dims": [16, 24, 24],
            "n_layers": 4,
            "ffn_dim_multiplier": 1.0,
            "z_image_modulation": True,
            "time_scale": 1000.0,
            "pad_tokens_multiple": 32,
            "rope_theta": 256.0,
        },
    )
if hasattr(comfy.supported_models, "Flux2"):
    FLOWS["flux2"] = (
        comfy.supported_models.Flux2,
        FLUX
        | {
            "image_model": "flux2",
            "in_channels": 128,
            "out_channels": 128,
            "patch_size": 1,
            "axes_dim": [4, 4, 4, 4],
            "theta": 2000,
            "global_modulation": True,
            "mlp_silu_act": True,
            "qkv_bias": False,
            "ops_bias": False,
            "default_ref_method": "index",
            "ref_index_scale": 10.0,
            "txt_ids_dims": [3],
            "vec_in_dim": None,
        },
    )


def fields(params, config):
    """What this host's dataclass of a network's parameters has of a config, which newer hosts have more of."""
    known = inspect.signature(params).parameters
    return {name: value for name, value in config.items() if name in known or name == "image_model"}


def offered(kind, name, config):
    """Add a family to `FLOWS` where this host has it, without the sizes that it never reads from files.

    config: a dict, or a function that gives one.
    """
    family = getattr(comfy.supported_models, name, None)
    if family is not None:
        small = type(name, (family,), {"unet_extra_config": {}})
        FLOWS[kind] = small, config() if callable(config) else config


def hunyuan_image():
    from comfy.ldm.hunyuan_video.model import HunyuanVideoParams

    return fields(
        HunyuanVideoParams,
        DOUBLE_AND_SINGLE
        | {
            "image_model": "hunyuan_video",
            "in_channels": 64,
            "out_channels": 64,
            "vec_in_dim": None,
            "axes_dim": [8, 8],
            "theta": 256,
            "patch_size": [1, 1],
            "guidance_embed": False,
            "byt5": False,
            "meanflow": False,
            "use_cond_type_embedding": False,
            "vision_in_dim": None,
            "meanflow_sum": False,
        },
    )


def chroma_radiance():
    from comfy.ldm.chroma_radiance.model import ChromaRadianceParams

    return fields(
        ChromaRadianceParams,
        CHROMA
        | {
            "image_model": "chroma_radiance",
            "in_channels": 3,
            "out_channels": 3,
            "nerf_hidden_size": 16,
            "nerf_mlp_ratio": 2,
            "nerf_depth": 2,
            "nerf_max_freqs": 4,
            "nerf_tile_size": 512,
            "nerf_final_head_type": "conv",
            "nerf_embedder_dtype": None,
            "use_x0": False,
            "use_sequential_txt_ids": False,
        },
    )


HEADS = {"num_attention_heads": 2, "attention_head_dim": 16}
OMNIGEN = {
    "patch_size": 2,
    "in_channels": FLOW_CHANNELS,
    "hidden_size": 48,
    "num_layers": 6,
    "num_refiner_layers": 2,
    "num_attention_heads": 2,
    "num_kv_heads": 1,
    "multiple_of": 32,
    "axes_dim_rope": [8, 8, 8],
    "axes_lens": [300, 512, 512],
    "timestep_scale": 1000.0,
}
ANIMA = {
    "image_model": "anima",
    "max_img_h": 240,
    "max_img_w": 240,
    "max_frames": 128,
    "in_channels": 16,
    "out_channels": 16,
    "patch_spatial": 2,
    "patch_temporal": 1,
    "model_channels": 64,
    "concat_padding_mask": True,
    "crossattn_emb_channels": CONTEXT,
    "pos_emb_cls": "rope3d",
    "pos_emb_learnable": True,
    "pos_emb_interpolation": "crop",
    "min_fps": 1,
    "max_fps": 30,
    "use_adaln_lora": True,
    "adaln_lora_dim": 16,
    "num_blocks": 6,
    "num_heads": 2,
    "rope_h_extrapolation_ratio": 4.0,
    "rope_w_extrapolation_ratio": 4.0,
    "rope_t_extrapolation_ratio": 1.0,
    "rope_enable_fps_modulation": False,
}
HIDREAM = HEADS | {
    "image_model": "hidream",
    "axes_dims_rope": [8, 4, 4],
    "caption_channels": [CONTEXT, CONTEXT],
    "max_resolution": [128, 128],
    "in_channels": FLOW_CHANNELS,
    "out_channels": FLOW_CHANNELS,
    "llama_layers": [0, 1, 2, 3, 4, 4, 4],
    "num_routed_experts": 4,
    "num_activated_experts": 2,
    "num_layers": 3,
    "num_single_layers": 4,
    "patch_size": 2,
    "text_emb_dim": POOLED,
}
ERNIE = {
    "image_model": "ernie",
    "hidden_size": 32,
    "num_attention_heads": 2,
    "num_layers": 6,
    "ffn_hidden_size": 64,
    "text_in_dim": CONTEXT,
    "rope_axes_dim": (4, 6, 6),
}
AURA = {
    "in_channels": 4,
    "out_channels": 4,
    "dim": 32,
    "n_layers": 7,
    "n_double_layers": 3,
    "n_heads": 2,
    "global_conddim": 32,
    "cond_seq_dim": CONTEXT,
    "max_seq": 256,
}
KANDINSKY = {
    "image_model": "kandinsky5",
    "in_text_dim": CONTEXT,
    "in_text_dim2": POOLED,
    "time_dim": 32,
    "model_dim": 32,
    "ff_dim": 64,
    "visual_embed_dim": 64,
    "num_text_blocks": 1,
    "num_visual_blocks": 6,
    "axes_dims": (4, 6, 6),
    "rope_scale_factor": (1.0, 1.0, 1.0),
}
KREA = {
    "image_model": "krea2",
    "features": 64,
    "tdim": 32,
    "txtdim": CONTEXT // 2,
    "heads": 2,
    "kvheads": 1,
    "multiplier": 2,
    "layers": 6,
    "txtlayers": 2,
    "txtheads": 2,
    "txtkvheads": 2,
}
IDEOGRAM = HEADS | {
    "image_model": "ideogram4",
    "num_layers": 6,
    "intermediate_size": 64,
    "adaln_dim": 32,
    "llm_features_dim": CONTEXT,
    "mrope_section": (4, 2, 2),
}
LENS = HEADS | {
    "image_model": "lens",
    "num_layers": 6,
    "enc_hidden_dim": CONTEXT // 2,
    "axes_dims_rope": (4, 6, 6),
    "selected_layer_index": (0, 1),
}
MAGE = HEADS | {
    "image_model": "mage_flow",
    "num_layers": 6,
    "joint_attention_dim": CONTEXT,
    "axes_dims_rope": (4, 6, 6),
}
JOY = {
    "image_model": "joyimage",
    "hidden_size": 32,
    "num_attention_heads": 2,
    "text_dim": CONTEXT,
    "num_layers": 6,
    "rope_dim_list": [4, 6, 6],
}
PIXELDIT = {
    "image_model": "pixeldit_t2i",
    "num_groups": 2,
    "hidden_size": 32,
    "pixel_hidden_size": 8,
    "pixel_attn_hidden_size": 32,
    "pixel_num_groups": 2,
    "patch_depth": 6,
    "pixel_depth": 1,
    "patch_size": 2,
    "txt_embed_dim": CONTEXT,
    "txt_max_length": 16,
}
offered(
    "longcat",
    "LongCatImage",
    lambda: FLUX | {"guidance_embed": False, "vec_in_dim": None, "txt_ids_dims": [1, 2]},
)
offered("radiance", "ChromaRadiance", chroma_radiance)
offered("hidream", "HiDream", HIDREAM)
offered("hunyuanimage", "HunyuanImage21", hunyuan_image)
offered("ernie", "ErnieImage", ERNIE)
offered("anima", "Anima", ANIMA)
offered("aura", "AuraFlow", AURA)
offered("omnigen2", "Omnigen2", OMNIGEN | {"image_model": "omnigen2", "text_feat_dim": CONTEXT})
offered(
    "boogu",
    "Boogu",
    OMNIGEN
    | {
        "image_model": "boogu",
        "instruction_feat_dim": CONTEXT,
        "num_double_stream_layers": 3,
        "num_layers": 4,
    },
)
offered("kandinsky", "Kandinsky5Image", KANDINSKY)
offered("krea2", "Krea2", KREA)
offered("ideogram", "Ideogram4", IDEOGRAM)
offered("lens", "Lens", LENS)
offered("mageflow", "MageFlow", MAGE)
offered("joyimage", "JoyImage", JOY)
offered("pixeldit", "PixelDiTT2I", PIXELDIT)
offered(
    "zimagepixel",
    "ZImagePixelSpace",
    lambda: (
        FLOWS["zimage"][1]
        | {
            "image_model": "zimage_pixel",
            "in_channels": 3,
            "decoder_hidden_size": 32,
            "decoder_num_res_blocks": 1,
            "decoder_max_freqs": 4,
        }
    ),
)

CONFIGS = (
    dict(zip(KINDS, ((config, {**SHAPE, **config.own}) for config in (TinySD1, TinySD2V, TinySDXL)))) | FLOWS
)


@torch.inference_mode()  # as in the server, where the weights of a loaded model are inference tensors
def tiny_model(kind="sd1", *, dtype=torch.float32, cast=None, seed=0, configure=None, **changes):
    """A MODEL. The weights of one seed are the same in every dtype, up to its rounding.

    cast: the dtype of computing, where it is another one. configure(config): for settings of the host's loaders. changes: of the shape.
    """
    family, shape = CONFIGS[kind]
    config = family({**shape, **changes})
    config.set_inference_dtype(dtype, cast)
    if configure:
        configure(config)
    if dtype == torch.float64:
        config.unet_config.pop(
            "attn_precision", None
        )  # which asks for float32, as a gain over half precision
    device = comfy.model_management.unet_offload_device()
    with small_adapter():
        base = config.get_model({}, "", device).eval()
    generator = torch.Generator().manual_seed(seed)
    buffers = [
        (name, buffer) for name, buffer in base.diffusion_model.named_buffers() if name == "pos_embed"
    ]  # SD3's
    for name, weight in [*base.diffusion_model.named_parameters(), *buffers]:
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
    """Within it, Anima's reader of prompts, of which the host builds one size, is small."""
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


def draw(*shape, seed):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def relative(a, b):
    return ((a.double() - b.double()).norm() / b.double().norm()).item()


def noisy(denoiser, x, fraction=0.7):
    """(z, sigma): x with noise of a fraction of T, in network coordinates."""
    sigma = denoiser.schedule.sigma(fraction)
    return denoiser.schedule.to_network(
        denoiser.schedule.add_noise(x, draw(*x.shape, seed=9).to(x), sigma), sigma
    ), sigma


def tiny_conditioning(seed=1, **options):
    """A CONDITIONING with the pooled vector that SDXL needs, and the others ignore."""
    return [[draw(1, 7, CONTEXT, seed=seed), {"pooled_output": draw(1, POOLED, seed=seed + 1000), **options}]]


def tiny_latent(batch=1, height=8, width=8, seed=2):
    """A LATENT of about the size that a VAE gives."""
    return {"samples": 5 * draw(batch, 4, height, width, seed=seed)}


def latent_for(model, size=8, seed=2):
    """A LATENT of one picture for a MODEL of any family, of unit variance within the model. size: a side, or height and width."""
    height, width = (size, size) if isinstance(size, int) else size
    latent_format = model.get_model_object("latent_format")
    frames = (1,) if latent_format.latent_dimensions == 3 else ()
    return {
        "samples": latent_format.process_out(
            draw(1, latent_format.latent_channels, *frames, height, width, seed=seed)
        )
    }


REFERENCE_KINDS = (
    "flux",
    "flux2",
    "longcat",
    "qwen",
    "omnigen2",
    "boogu",
    "krea2",
    "mageflow",
    "joyimage",
    "zimage",
    "zimagepixel",
)
ONE_PIXEL = (
    "flux2",
    "hunyuanimage",
    "ernie",
    "ideogram",
    "lens",
    "mageflow",
)  # of the latent to a token; the others have 2 x 2
MASKED = ("lumina2", "zimage", "zimagepixel", "omnigen2", "boogu", "ideogram")


def patch_of(kind):
    """How many pixels of the latent are the side of a transformer's token."""
    return 1 if kind in ONE_PIXEL else 2


def conditioning_for(kind, seed=1, **options):
    """A CONDITIONING for any family: what their text encoders add, and a guidance for distilled ones.

    Networks see a thousand times that guidance: 4000 is a number in bfloat16, 3500, of the host's default, is rounded to 3504.
    """
    added = {"attention_mask": torch.ones(1, 7, dtype=torch.int64)} if kind in MASKED else {}
    if kind in ("flux", "flux2"):
        added["guidance"] = 4.0
    if kind == "hidream":
        added["conditioning_llama3"] = draw(1, 5, 5, CONTEXT, seed=seed + 2000)
    if kind == "anima":
        added["t5xxl_ids"] = torch.randint(0, 32128, (9,), generator=torch.Generator().manual_seed(seed))
        added["t5xxl_weights"] = torch.ones(9)
    return tiny_conditioning(seed, **added, **options)


@torch.inference_mode()
def applied(model, conditioning, x, sigma):
    """The prediction of x_0 by one plain call of the host's model: no sampling, no adapter."""
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
