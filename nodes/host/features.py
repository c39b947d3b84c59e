"""Where h is read: the blocks of each architecture, and how a forward pass ends at one of them."""

from contextlib import ExitStack, contextmanager
from typing import NamedTuple

from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel

from ...pullback_core.differentiable import Captured

DEFAULT = "middle"  # a UNet's bottleneck, and of a transformer the block at the default depth
DEFAULT_DEPTH = 0.5  # of all blocks; measured for every family: see web/docs/PullbackExplainFeatures.md


class Stream(NamedTuple):
    """A row of transformer blocks. image: which output of a block holds the image tokens; None where text tokens precede them."""

    modules: str
    image: int | None


class Family(NamedTuple):
    """A flow transformer. text: the module whose output has as many tokens as precede the image in a joint stream."""

    streams: dict
    text: str = ""


# By the very class: a subclass may order its tokens in another way.
FLUX = Family({"double": Stream("double_blocks", 0), "single": Stream("single_blocks", None)}, "txt_in")
FAMILIES = {
    "comfy.ldm.flux.model.Flux": FLUX,
    "comfy.ldm.chroma.model.Chroma": FLUX,
    "comfy.ldm.modules.diffusionmodules.mmdit.OpenAISignatureMMDITWrapper": Family({"double": Stream("joint_blocks", 1)}),
    "comfy.ldm.qwen_image.model.QwenImageTransformer2DModel": Family({"double": Stream("transformer_blocks", 1)}),
    "comfy.ldm.lumina.model.NextDiT": Family({"layer": Stream("layers", None)}, "context_refiner"),
}


def network_of(model):
    """The diffusion model of a MODEL, also when it is compiled."""
    network = model.get_model_object("diffusion_model")
    return getattr(network, "_orig_mod", network)


def features_of(model):
    """Names of the blocks whose output can serve as h, in the order of computation. Raises ValueError for unknown networks."""
    network = network_of(model)
    if isinstance(network, UNetModel):
        inputs = [f"input_{index}" for index in range(len(network.input_blocks))]
        return [*inputs, DEFAULT, *(f"output_{index}" for index in range(len(network.output_blocks) - 1))]
    streams = _family(network).streams
    return [f"{kind}_{index}" for kind, stream in streams.items() for index in range(len(getattr(network, stream.modules)))]


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
    """Within it, a forward pass of the network with these transformer options raises `Captured` with h, (b, c, h, w).

    Of a transformer, h is the image tokens alone, laid out as the picture. `options` is changed.
    """
    if isinstance(network, UNetModel):
        options["patches"] = _ending_patches(options.get("patches", {}), feature)
        yield
        return
    family, (kind, index) = _family(network), feature.split("_")
    stream = family.streams[kind]
    shape, text = [], []

    def leave(block, inputs, output):
        height, width = (-(-size // network.patch_size) for size in shape[-1][-2:])
        tokens = output[:, text[-1] :] if stream.image is None else output[stream.image]
        raise Captured(tokens[:, : height * width].float().transpose(1, 2).unflatten(2, (height, width)))

    with ExitStack() as hooks:
        hooks.enter_context(network.register_forward_pre_hook(lambda module, inputs: shape.append(inputs[0].shape)))
        if stream.image is None:
            last = getattr(network, family.text)
            last = last[-1] if hasattr(last, "__getitem__") else last
            hooks.enter_context(last.register_forward_hook(lambda module, inputs, output: text.append(output.shape[1])))
        hooks.enter_context(getattr(network, stream.modules)[int(index)].register_forward_hook(leave))
        yield


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
    raise Captured(h.float())


def _family(network):
    kind = type(network)
    family = FAMILIES.get(f"{kind.__module__}.{kind.__qualname__}")
    if family is None:
        raise ValueError(
            "A pullback basis needs a UNet (SD 1.x, SD 2.x, SDXL, the bundled faces model) or a transformer of the families Flux, "
            f"Chroma, SD3, Qwen-Image or Lumina 2 / Z-Image, got {kind.__name__}."
        )
    return family
