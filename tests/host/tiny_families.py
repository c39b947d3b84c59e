"""The flow transformers of ComfyUI, made small, with what is known of the architecture of each.

A new family is one row of `ALL_FLOWS`. The tests and the support pages take everything that they need to know
of a family from its row.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass

import comfy.ldm.flux.model
import comfy.supported_models
import torch

CONTEXT, POOLED = 24, 1280  # the widths of prompts and of pooled prompts
FLOW_CHANNELS = 16
TWO_STREAMS = {"double": ("double_blocks", 3), "single": ("single_blocks", 4)}


def draw(*shape, seed):
    """Normal random numbers that depend on the seed alone."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def no_extras(seed):
    return {}


@dataclass(frozen=True)
class TinyFamily:
    """One family.

    Attributes:
        title: What people call it; the README lists these names. "" for a variant of the family before.
        config: The class of comfy.supported_models.
        shape: What ComfyUI reads from the files of the family, with small sizes. Or a function that gives it,
            where only newer hosts have what it needs.
        loads: The classes of comfy.supported_models whose files are of this family.
        blocks: Kind of block -> (the attribute with the blocks, how many there are), in order.
        patch: How many latent pixels are the side of a token.
        image_second: A block that keeps text and image apart gives the text first.
        image_first: In a block that joins them, the image stands before the text.
        text_padded_to: In a block that joins them, so many text tokens stand before the image; 0 where the
            image is last.
        reads_references: It reads reference pictures.
        replaceable: ComfyUI lets patches replace its blocks.
        controlled: ComfyUI adds the residuals of ControlNets.
        overridable: ComfyUI passes attention overrides on to its attention.
        decodes_as_stored: Its last layers compute in the dtype in which weights are stored, also where
            ComfyUI casts the weights to another.
        measured_in_full: The support page has all rows, not only those that may differ between families.
        extras: Called with a seed; gives what its text encoders add to a CONDITIONING.
    """

    title: str
    config: str
    shape: dict | Callable[[], dict]
    loads: tuple[str, ...] = ()
    blocks: dict[str, tuple[str, int]] | None = None
    patch: int = 2
    image_second: bool = False
    image_first: bool = False
    text_padded_to: int = 0
    reads_references: bool = False
    replaceable: bool = False
    controlled: bool = False
    overridable: bool = True
    decodes_as_stored: bool = False
    measured_in_full: bool = False
    extras: Callable[[int], dict] = no_extras

    def __post_init__(self):
        object.__setattr__(self, "loads", self.loads or (self.config,))
        object.__setattr__(self, "blocks", self.blocks or TWO_STREAMS)

    @property
    def features(self):
        """The names of the features, in order."""
        return tuple(f"{kind}_{index}" for kind, (_, count) in self.blocks.items() for index in range(count))

    def make_config(self, changes):
        """The configuration of a tiny model: an object of `config`, without sizes that are in no file."""
        family = getattr(comfy.supported_models, self.config)
        shape = self.shape() if callable(self.shape) else self.shape
        return type(self.config, (family,), {"unet_extra_config": {}})({**shape, **changes})


def flux_extras(seed):
    # Networks see 1000 times the guidance. 4000 is a number in bfloat16; 3500, ComfyUI's default, is not.
    return {"guidance": 4.0}


def masked_extras(seed):
    return {"attention_mask": torch.ones(1, 7, dtype=torch.int64)}


def hidream_extras(seed):
    return {"conditioning_llama3": draw(1, 5, 5, CONTEXT, seed=seed + 2000)}


def anima_extras(seed):
    ids = torch.randint(0, 32128, (9,), generator=torch.Generator().manual_seed(seed))
    return {"t5xxl_ids": ids, "t5xxl_weights": torch.ones(9)}


# The shapes. Heads have 16 numbers = 4 + 6 + 6 for the axes of the position.
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
ZIMAGE = LUMINA | {
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
}
ZIMAGE_PIXEL = ZIMAGE | {
    "image_model": "zimage_pixel",
    "in_channels": 3,
    "decoder_hidden_size": 32,
    "decoder_num_res_blocks": 1,
    "decoder_max_freqs": 4,
}
FLUX2 = FLUX | {
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
}
LONGCAT = FLUX | {"guidance_embed": False, "vec_in_dim": None, "txt_ids_dims": [1, 2]}
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


def fields(params, config):
    """The entries of a config that this host's network takes; newer hosts take more."""
    known = inspect.signature(params).parameters
    return {name: value for name, value in config.items() if name in known or name == "image_model"}


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


OMNIGEN2 = OMNIGEN | {"image_model": "omnigen2", "text_feat_dim": CONTEXT}
BOOGU = OMNIGEN | {
    "image_model": "boogu",
    "instruction_feat_dim": CONTEXT,
    "num_double_stream_layers": 3,
    "num_layers": 4,
}


PATCHED = {"replaceable": True, "controlled": True}
FULL = {"measured_in_full": True}

# Kind -> `TinyFamily`, of all hosts. The README and the support pages have this order.
ALL_FLOWS = {
    "flux": TinyFamily(
        "Flux",
        "Flux",
        FLUX,
        loads=("Flux", "FluxInpaint"),
        reads_references=True,
        extras=flux_extras,
        **PATCHED,
        **FULL,
    ),
    "schnell": TinyFamily("", "FluxSchnell", FLUX | {"guidance_embed": False}, **PATCHED, **FULL),
    "flux2": TinyFamily(
        "Flux 2",
        "Flux2",
        FLUX2,
        patch=1,
        reads_references=True,
        extras=flux_extras,
        **PATCHED,
        **FULL,
    ),
    "longcat": TinyFamily("LongCat Image", "LongCatImage", LONGCAT, reads_references=True, **PATCHED),
    "chroma": TinyFamily("Chroma", "Chroma", CHROMA, **PATCHED, **FULL),
    "radiance": TinyFamily(
        "Chroma Radiance", "ChromaRadiance", chroma_radiance, decodes_as_stored=True, **PATCHED, **FULL
    ),
    "sd3": TinyFamily(
        "SD3", "SD3", SD3, blocks={"double": ("joint_blocks", 6)}, image_second=True, **PATCHED, **FULL
    ),
    "sd35medium": TinyFamily(
        "",
        "SD3",
        SD3 | {"x_block_self_attn_layers": [0, 1, 2]},
        blocks={"double": ("joint_blocks", 6)},
        image_second=True,
        **PATCHED,
        **FULL,
    ),
    "aura": TinyFamily(
        "AuraFlow",
        "AuraFlow",
        AURA,
        blocks={"double": ("double_layers", 3), "single": ("single_layers", 4)},
        image_second=True,
        replaceable=True,
    ),
    "qwen": TinyFamily(
        "Qwen-Image",
        "QwenImage",
        QWEN,
        blocks={"double": ("transformer_blocks", 6)},
        image_second=True,
        reads_references=True,
        **PATCHED,
        **FULL,
    ),
    "lumina2": TinyFamily(
        "Lumina 2", "Lumina2", LUMINA, blocks={"layer": ("layers", 6)}, extras=masked_extras, **FULL
    ),
    "zimage": TinyFamily(
        "Z-Image",
        "ZImage",
        ZIMAGE,
        blocks={"layer": ("layers", 4)},
        text_padded_to=32,
        reads_references=True,
        extras=masked_extras,
        **FULL,
    ),
    "zimagepixel": TinyFamily(
        "Z-Image of pixels",
        "ZImagePixelSpace",
        ZIMAGE_PIXEL,
        blocks={"layer": ("layers", 4)},
        text_padded_to=32,
        reads_references=True,
        extras=masked_extras,
        decodes_as_stored=True,
    ),
    "hidream": TinyFamily(
        "HiDream",
        "HiDream",
        HIDREAM,
        blocks={"double": ("double_stream_blocks", 3), "single": ("single_stream_blocks", 4)},
        image_first=True,
        extras=hidream_extras,
        **FULL,
    ),
    "hunyuanimage": TinyFamily(
        "Hunyuan Image 2.1", "HunyuanImage21", hunyuan_image, patch=1, **PATCHED, **FULL
    ),
    "ernie": TinyFamily(
        "Ernie Image",
        "ErnieImage",
        ERNIE,
        blocks={"layer": ("layers", 6)},
        patch=1,
        image_first=True,
        overridable=False,
        **FULL,
    ),
    "anima": TinyFamily(
        "Anima", "Anima", ANIMA, blocks={"block": ("blocks", 6)}, extras=anima_extras, **FULL
    ),
    "omnigen2": TinyFamily(
        "OmniGen2",
        "Omnigen2",
        OMNIGEN2,
        blocks={"layer": ("layers", 6)},
        reads_references=True,
        extras=masked_extras,
    ),
    "boogu": TinyFamily(
        "Boogu",
        "Boogu",
        BOOGU,
        blocks={"double": ("double_stream_layers", 3), "single": ("single_stream_layers", 4)},
        reads_references=True,
        extras=masked_extras,
    ),
    "kandinsky": TinyFamily(
        "Kandinsky 5 Image", "Kandinsky5Image", KANDINSKY, blocks={"block": ("visual_transformer_blocks", 6)}
    ),
    "krea2": TinyFamily("Krea 2", "Krea2", KREA, blocks={"block": ("blocks", 6)}, reads_references=True),
    "ideogram": TinyFamily(
        "Ideogram 4",
        "Ideogram4",
        IDEOGRAM,
        blocks={"layer": ("layers", 6)},
        patch=1,
        extras=masked_extras,
    ),
    "lens": TinyFamily(
        "Lens",
        "Lens",
        LENS,
        blocks={"double": ("transformer_blocks", 6)},
        patch=1,
        image_second=True,
        **PATCHED,
    ),
    "mageflow": TinyFamily(
        "MageFlow",
        "MageFlow",
        MAGE,
        blocks={"double": ("transformer_blocks", 6)},
        patch=1,
        image_second=True,
        reads_references=True,
        **PATCHED,
    ),
    "joyimage": TinyFamily(
        "JoyImage",
        "JoyImage",
        JOY,
        blocks={"double": ("double_blocks", 6)},
        reads_references=True,
        replaceable=True,
    ),
    "pixeldit": TinyFamily("PixelDiT", "PixelDiTT2I", PIXELDIT, blocks={"double": ("patch_blocks", 6)}),
}
# Those of this host.
FLOWS = {kind: row for kind, row in ALL_FLOWS.items() if hasattr(comfy.supported_models, row.config)}
TITLES = [row.title for row in FLOWS.values() if row.title]
LACKING = [row.title for kind, row in ALL_FLOWS.items() if row.title and kind not in FLOWS]
