"""Where h is read: the blocks of each architecture, and how a forward pass ends at one of them.

A new family of transformers is a row of `FAMILIES`. A model that is in no row is refused by its name.
"""

import re
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel

from ...pullback_core.models.stop import StopForward

DEFAULT = "middle"  # a UNet's bottleneck, and of a transformer the block at the default depth
DEFAULT_DEPTH = 0.5  # of all blocks; measured for six families: see web/docs/PullbackExplainFeatures.md
FIRST, LAST, AFTER_TEXT = (
    "first",
    "last",
    "after the text",
)  # where the image tokens stand among all tokens of a block


class Stream(NamedTuple):
    """A row of transformer blocks: the network's name for it, and where a block's output has the image tokens.

    output: which of several outputs has them; None where a block has one output. place: where they stand among its tokens.
    """

    modules: str
    output: int | None = None
    place: str = FIRST


class Family(NamedTuple):
    """A flow transformer.

    models: the host's kinds of model (classes of comfy.model_base) that use the network for pictures.
    streams: the names of its blocks (without an underscore) and their `Stream`, in the order of computation.
    text: modules whose outputs have as many tokens, together, as stand before the image where that is `AFTER_TEXT`.
    patch: how many pixels of the latent make a token, or the network's attribute that says so.
    filled_to: the attribute that says to a multiple of what the image tokens are filled up, if any.
    beside: the input of the network, if any, that is a second picture at the right of the noisy one.
    unless: an attribute that only variants have of which there can be no basis, and what to say of them.
    """

    name: str
    models: tuple
    streams: dict
    text: tuple = ()
    patch: str | int = "patch_size"
    filled_to: str = ""
    beside: str = ""
    unless: tuple = ()


def _double_and_single(name, models, text=("txt_in",), **rest):
    streams = {"double": Stream("double_blocks", 0), "single": Stream("single_blocks", None, AFTER_TEXT)}
    return Family(name, models, streams, text, **rest)


LUMINA = {"layer": Stream("layers", None, LAST)}
OMNIGEN = {
    "double": Stream("double_stream_layers", 0, LAST),
    "single": Stream("single_stream_layers", None, LAST),
}

# By the very class of the network: a subclass may order its tokens in another way.
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
        "Lumina 2 / Z-Image", ("Lumina2",), LUMINA, filled_to="pad_tokens_multiple"
    ),
    "comfy.ldm.lumina.model.NextDiTPixelSpace": Family(
        "Z-Image of pixels",
        ("ZImagePixelSpace",),
        LUMINA,
        filled_to="pad_tokens_multiple",
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
        unless=(
            "time_r_in",
            "is distilled and must be told to which noise level its sampler goes next: take the undistilled one",
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
OTHERS = {  # what the models of the host do whose names contain this
    "makes films": r"WAN|LTX|HunyuanVideo|Cosmos(?!T2I)|Mochi|MiniMaxH3|SVD|SV3D|CogVideo|SeedVR|Kandinsky5$",
    "makes sound": r"Audio|ACEStep|Music",
    "makes shapes": r"Hunyuan3D|Trellis|TripoSplat",
    "makes no pictures": r"DETR|SAM3|DepthAnything",
}


def network_of(model):
    """The diffusion model of a MODEL, also when it is compiled."""
    network = model.get_model_object("diffusion_model")
    return getattr(network, "_orig_mod", network)


def family_of(model):
    """The `Family` of a MODEL, None for a UNet. Raises ValueError, which names the model, where there can be no basis of it."""
    network = network_of(model)
    family = _row_of(network)
    unet = isinstance(network, UNetModel)  # or a subclass: it is read through the host's own patches
    if not (unet or family) or not _is_among(UNETS if unet else family.models, model.model):
        name, does = _description(model.model)
        raise ValueError(
            "A pullback basis needs a UNet (SD 1.x, SD 2.x, SDXL, the bundled faces model) or a transformer of the families "
            f"{', '.join(known.name for known in FAMILIES.values())}, got {type(network).__name__}, the network of {name}{does}."
        )
    if family and family.unless and getattr(network, family.unless[0], None) is not None:
        raise ValueError(f"This {family.name} model {family.unless[1]}.")
    return family


def _row_of(network):
    kind = type(network)
    return FAMILIES.get(f"{kind.__module__}.{kind.__qualname__}")


def _is_among(names, model):
    """Whether a BaseModel is of one of these kinds of the host, or of a pack's own kind that was made from one of them."""
    kinds = [kind.__name__ for kind in type(model).__mro__ if kind.__module__ == "comfy.model_base"]
    closest = kinds[0] if kinds else "BaseModel"
    if closest == "BaseModel" and type(model).__module__ != "comfy.model_base":
        return (
            True  # a pack's own kind, made from the host's most general one, says nothing against its network
        )
    return closest in names


def _description(model):
    """What the host calls a BaseModel, and what such a model does where that is known."""
    name = type(getattr(model, "model_config", model)).__name__
    does = next((does for does, pattern in OTHERS.items() if re.search(pattern, name)), None)
    return name, f", which {does}" if does else ""


def features_of(model):
    """Names of the blocks whose output can serve as h, in the order of computation. Raises ValueError for unknown networks."""
    network, family = network_of(model), family_of(model)
    if family is None:
        inputs = [f"input_{index}" for index in range(len(network.input_blocks))]
        return [*inputs, DEFAULT, *(f"output_{index}" for index in range(len(network.output_blocks) - 1))]
    rows = ((kind, getattr(network, stream.modules)) for kind, stream in family.streams.items())
    return [f"{kind}_{index}" for kind, blocks in rows for index in range(len(blocks))]


def feature_named(model, name):
    """A name of `features_of`, from one of them or the default name. Raises ValueError for any other."""
    names = features_of(model)
    if name == DEFAULT and DEFAULT not in names:
        return names[int(DEFAULT_DEPTH * len(names))]
    if name not in names:
        others = ", ".join(other for other in names if other != DEFAULT)
        raise ValueError(f"This model has no block named {name!r}; choose {DEFAULT} or one of {others}.")
    return name


@contextmanager
def ending_at(network, feature, options):
    """Within it, a forward pass of the network with these transformer options raises `StopForward` with h, (b, c, h, w).

    Of a transformer, h is the image tokens alone, laid out as the picture. `options` is changed.
    """
    if isinstance(network, UNetModel):
        options["patches"] = _ending_patches(options.get("patches", {}), feature)
        yield
        return
    kind, index = feature.split("_")
    with _leaving(network, _row_of(network), kind, int(index)):
        yield


@contextmanager
def _leaving(network, family, kind, index):
    """Within it, a forward pass of a transformer raises `StopForward` at the end of a block, with its image tokens as a picture."""
    stream = family.streams[kind]
    sizes, counts = {}, []

    def enter(module, inputs, options):
        beside = options.get(family.beside)
        sizes["picture"], sizes["beside"] = inputs[0].shape[-2:], 0 if beside is None else beside.shape[-1]
        counts.clear()

    def leave(block, inputs, output):
        tokens = (output if stream.output is None else output[stream.output]).flatten(1, -2)
        raise StopForward(
            _as_picture(tokens, network, family, _place(network, stream), sizes, sum(counts)).float()
        )

    with ExitStack() as hooks:
        hooks.enter_context(network.register_forward_pre_hook(enter, with_kwargs=True))
        if stream.place == AFTER_TEXT:
            for text in (getattr(network, name, None) for name in family.text):
                if text is not None:
                    hooks.enter_context(
                        text.register_forward_hook(
                            lambda module, inputs, output: counts.append(output.shape[1])
                        )
                    )
        hooks.enter_context(getattr(network, stream.modules)[index].register_forward_hook(leave))
        yield


def _as_picture(tokens, network, family, place, sizes, text):
    """The image tokens among those of a block, (b, tokens, c), laid out as the picture, (b, c, height, width).

    sizes: of the picture that entered the network, and the width of one beside it. text: how many tokens stand before the image.
    """
    patch = getattr(network, family.patch) if isinstance(family.patch, str) else family.patch
    down, right = patch[-2:] if isinstance(patch, tuple | list) else (patch, patch)
    height, width = -(-sizes["picture"][0] // down), -(-sizes["picture"][1] // right)
    columns = -(-(sizes["picture"][1] + sizes["beside"]) // right)
    multiple = getattr(network, family.filled_to, None) or 1 if family.filled_to else 1
    filled = -(-height * columns // multiple) * multiple
    start = {FIRST: 0, LAST: tokens.shape[1] - filled, AFTER_TEXT: text}[place]
    grid = tokens[:, start : start + height * columns].transpose(1, 2).unflatten(2, (height, columns))
    return grid[..., :width]


def _place(network, stream):
    """Where the image tokens stand in this host: before ComfyUI 0.9 some networks had those of the text behind them."""
    first = next(iter(getattr(network, "double_blocks", ())), None)
    return FIRST if stream.place == AFTER_TEXT and getattr(first, "flipped_img_txt", False) else stream.place


def _ending_patches(patches, feature):
    """A UNet's patches, and one that leaves it at the feature. Hooks would miss blocks whose layers the host calls one by one."""
    kind, _, index = feature.partition("_")
    if kind == "input":
        block, name = ("input", int(index)), "input_block_patch"
        last = lambda h, options: _leave(h) if options["block"] == block else h
        return {**patches, name: [*patches.get(name, []), last]}
    # The middle block and every output block end where the next output block begins.
    block, name = ("output", int(index) + 1 if index else 0), "output_block_patch"
    first = lambda h, skip, options: _leave(h) if options["block"] == block else (h, skip)
    return {**patches, name: [first, *patches.get(name, [])]}


def _leave(h):
    raise StopForward(h.float())
