"""The model families whose features can be read, and where their blocks are.

A new transformer family is one row of `FAMILIES`. A model without a row is refused by its name.
"""

import re
from dataclasses import dataclass

from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel

# Where the image tokens stand among all tokens of a block.
FIRST, LAST, AFTER_TEXT = "first", "last", "after the text"


@dataclass(frozen=True)
class Stream:
    """A list of transformer blocks that run one after another.

    Attributes:
        modules: The network's attribute that holds the blocks.
        output: The index of the output with the image tokens; None where a block has one output.
        place: Where the image tokens stand in that output: `FIRST`, `LAST` or `AFTER_TEXT`.
    """

    modules: str
    output: int | None = None
    place: str = FIRST


@dataclass(frozen=True)
class Family:
    """A flow transformer of the host.

    Attributes:
        name: What people call it.
        models: The classes of comfy.model_base that use the network for pictures.
        streams: Kind of block (a word without underscores) -> `Stream`, in the order of computation.
        text: The modules whose outputs are the text tokens. They are counted where a place is `AFTER_TEXT`.
        patch: How many latent pixels are the side of a token, or the network's attribute that says so.
        padded_to: The network's attribute with the number to a multiple of which the host pads the image
            tokens; "" where it pads none.
        beside: The network's keyword argument for a second picture, at the right of the noisy one; "" where
            there is none.
        refused: An attribute that only unusable variants of the network have, and what to say of them.
    """

    name: str
    models: tuple[str, ...]
    streams: dict[str, Stream]
    text: tuple[str, ...] = ()
    patch: str | int = "patch_size"
    padded_to: str = ""
    beside: str = ""
    refused: tuple[str, str] | None = None


def _double_and_single(name, models, text=("txt_in",), **rest):
    """A family whose first blocks keep image and text apart, and whose later blocks join them, as in Flux."""
    streams = {"double": Stream("double_blocks", 0), "single": Stream("single_blocks", None, AFTER_TEXT)}
    return Family(name, models, streams, text, **rest)


LUMINA = {"layer": Stream("layers", None, LAST)}
OMNIGEN = {
    "double": Stream("double_stream_layers", 0, LAST),
    "single": Stream("single_stream_layers", None, LAST),
}

# Class of the network -> `Family`. A subclass needs a row of its own: it may order its tokens differently.
FAMILIES = {
    "comfy.ldm.flux.model.Flux": _double_and_single("Flux", ("Flux", "Flux2", "LongCatImage")),
    "comfy.ldm.chroma.model.Chroma": _double_and_single("Chroma", ("Chroma",)),
    "comfy.ldm.chroma_radiance.model.ChromaRadiance": _double_and_single(
        "Chroma Radiance", ("ChromaRadiance",)
    ),
    "comfy.ldm.modules.diffusionmodules.mmdit.OpenAISignatureMMDITWrapper": Family(
        "SD3",
        ("SD3",),
        {"double": Stream("joint_blocks", 1)},
    ),
    "comfy.ldm.aura.mmdit.MMDiT": Family(
        "AuraFlow",
        ("AuraFlow",),
        {"double": Stream("double_layers", 1), "single": Stream("single_layers", None, LAST)},
    ),
    "comfy.ldm.qwen_image.model.QwenImageTransformer2DModel": Family(
        "Qwen-Image",
        ("QwenImage",),
        {"double": Stream("transformer_blocks", 1)},
    ),
    "comfy.ldm.lumina.model.NextDiT": Family(
        "Lumina 2 / Z-Image", ("Lumina2",), LUMINA, padded_to="pad_tokens_multiple"
    ),
    "comfy.ldm.lumina.model.NextDiTPixelSpace": Family(
        "Z-Image of pixels",
        ("ZImagePixelSpace",),
        LUMINA,
        padded_to="pad_tokens_multiple",
    ),
    "comfy.ldm.hidream.model.HiDreamImageTransformer2DModel": Family(
        "HiDream",
        ("HiDream",),
        {"double": Stream("double_stream_blocks", 0), "single": Stream("single_stream_blocks")},
        beside="image_cond",
    ),
    "comfy.ldm.hunyuan_video.model.HunyuanVideo": _double_and_single(
        "Hunyuan Image 2.1",
        ("HunyuanImage21",),
        ("txt_in", "byt5_in"),
        refused=(
            "time_r_in",
            "is distilled and must be told to which noise level its sampler goes next: "
            "take the undistilled one",
        ),
    ),
    "comfy.ldm.ernie.model.ErnieImageModel": Family(
        "Ernie Image", ("ErnieImage",), {"layer": Stream("layers")}
    ),
    "comfy.ldm.anima.model.Anima": Family(
        "Anima", ("Anima",), {"block": Stream("blocks")}, patch="patch_spatial"
    ),
    "comfy.ldm.omnigen.omnigen2.OmniGen2Transformer2DModel": Family("OmniGen2", ("Omnigen2",), LUMINA),
    "comfy.ldm.boogu.model.BooguTransformer2DModel": Family("Boogu", ("Boogu",), OMNIGEN),
    "comfy.ldm.kandinsky5.model.Kandinsky5": Family(
        "Kandinsky 5 Image",
        ("Kandinsky5Image",),
        {"block": Stream("visual_transformer_blocks")},
    ),
    "comfy.ldm.krea2.model.SingleStreamDiT": Family(
        "Krea 2",
        ("Krea2",),
        {"block": Stream("blocks", None, AFTER_TEXT)},
        ("txtmlp",),
        patch="patch",
    ),
    "comfy.ldm.ideogram4.model.Ideogram4Transformer2DModel": Family(
        "Ideogram 4", ("Ideogram4",), LUMINA, patch=1
    ),
    "comfy.ldm.lens.model.LensTransformer2DModel": Family(
        "Lens",
        ("Lens",),
        {"double": Stream("transformer_blocks", 1)},
        patch=1,
    ),
    "comfy.ldm.mage_flow.model.MageFlowTransformer2DModel": Family(
        "MageFlow",
        ("MageFlow",),
        {"double": Stream("transformer_blocks", 1)},
    ),
    "comfy.ldm.joyimage.model.JoyImageTransformer3DModel": Family(
        "JoyImage", ("JoyImage",), {"double": Stream("double_blocks", 0)}
    ),
    "comfy.ldm.pixeldit.model.PixDiT_T2I": Family(
        "PixelDiT", ("PixelDiTT2I",), {"double": Stream("patch_blocks", 0)}
    ),
}
# The classes of comfy.model_base that use a UNet for pictures.
UNETS = (
    "BaseModel",
    "SD21UNCLIP",
    "SDXL",
    "SDXLRefiner",
    "SD15_instructpix2pix",
    "SDXL_instructpix2pix",
    "SD_X4Upscaler",
    "Stable_Zero123",
)
# What models without a row are for, and a pattern of their names.
OTHERS = {
    "makes films": r"WAN|LTX|HunyuanVideo|Cosmos(?!T2I)|Mochi|MiniMaxH3|SVD|SV3D|CogVideo|SeedVR|Kandinsky5$",
    "makes sound": r"Audio|ACEStep|Music",
    "makes shapes": r"Hunyuan3D|Trellis|TripoSplat",
    "makes no pictures": r"DETR|SAM3|DepthAnything",
}


def network_of(model):
    """The diffusion model of a MODEL, also when it is compiled."""
    network = model.get_model_object("diffusion_model")
    return getattr(network, "_orig_mod", network)


def row_of(network):
    """The row of `FAMILIES` of a network, None where it has none."""
    kind = type(network)
    return FAMILIES.get(f"{kind.__module__}.{kind.__qualname__}")


def family_of(model):
    """The `Family` of a MODEL, None for a UNet.

    Raises:
        ValueError: There can be no basis of this model. The message names it.
    """
    network = network_of(model)
    family = row_of(network)
    is_unet = isinstance(
        network, UNetModel
    )  # or a subclass: features are read through the host's own patches
    if is_unet:
        models = UNETS
    else:
        models = family.models if family else ()
    if not (is_unet or family) or not _is_among(models, model.model):
        raise ValueError(
            "A pullback basis needs a UNet (SD 1.x, SD 2.x, SDXL, the bundled faces model) or a transformer "
            f"of the families {', '.join(known.name for known in FAMILIES.values())}, "
            f"got {type(network).__name__}, the network of {_description(model.model)}."
        )
    if family and family.refused:
        attribute, reason = family.refused
        if getattr(network, attribute, None) is not None:
            raise ValueError(f"This {family.name} model {reason}.")
    return family


def _is_among(names, model):
    """Whether a `BaseModel` is of one of these classes, or of a pack's own class that derives from one."""
    kinds = [kind.__name__ for kind in type(model).__mro__ if kind.__module__ == "comfy.model_base"]
    closest = kinds[0] if kinds else "BaseModel"
    if closest == "BaseModel" and type(model).__module__ != "comfy.model_base":
        # The pack made its class from the most general one, so the network alone decides.
        return True
    return closest in names


def _description(model):
    """The host's name of a `BaseModel`, and what such a model is for where that is known."""
    name = type(getattr(model, "model_config", model)).__name__
    for does, pattern in OTHERS.items():
        if re.search(pattern, name):
            return f"{name}, which {does}"
    return name
