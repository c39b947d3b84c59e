"""What can be the feature h: the names of a model's blocks, and the end of a forward pass at one of them.

The feature `PICTURE` is no block: it is what the host's guider predicts, see `HostDenoiser.encode`.
"""

from contextlib import ExitStack, contextmanager

from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel

from ...pullback_core.models.denoiser import PICTURE
from ...pullback_core.models.stop import StopForward
from .families import AFTER_TEXT, FIRST, LAST, family_of, network_of, row_of

DEFAULT = "middle"  # a UNet's bottleneck, or a transformer's block at the default depth
DEFAULT_DEPTH = 0.5  # of all blocks; measured for six families: see web/docs/PullbackExplainFeatures.md


def features_of(model):
    """The names of what can be the feature h of a MODEL: its blocks, see `blocks_of`, and `PICTURE`.

    Raises:
        ValueError: There can be no basis of this model, see `family_of`.
    """
    return [*blocks_of(model), PICTURE]


def blocks_of(model):
    """The names of the blocks of a MODEL whose output can be the feature h, in the order of computation.

    Raises:
        ValueError: There can be no basis of this model, see `family_of`.
    """
    network, family = network_of(model), family_of(model)
    if family is None:
        inputs = [f"input_{index}" for index in range(len(network.input_blocks))]
        outputs = [f"output_{index}" for index in range(len(network.output_blocks) - 1)]
        return [*inputs, DEFAULT, *outputs]
    names = []
    for kind, stream in family.streams.items():
        names += [f"{kind}_{index}" for index in range(len(getattr(network, stream.modules)))]
    return names


def feature_named(model, name):
    """The feature of a MODEL that a name stands for: one of `features_of`, or `DEFAULT`.

    Raises:
        ValueError: The model has no such feature.
    """
    blocks = blocks_of(model)
    if name == DEFAULT and DEFAULT not in blocks:
        return blocks[int(DEFAULT_DEPTH * len(blocks))]
    if name not in (PICTURE, *blocks):
        others = ", ".join(other for other in blocks if other != DEFAULT)
        raise ValueError(
            f"This model has no block named {name!r}; choose {DEFAULT}, {PICTURE} or one of {others}."
        )
    return name


@contextmanager
def stopping_at(network, feature, options):
    """Within it, a forward pass of the network ends at a feature: it raises `StopForward` with h.

    Args:
        network: The diffusion model.
        feature: A name of `blocks_of`.
        options: The transformer options of the forward pass; they are changed.

    Yields:
        Nothing. h is (b, c, height, width) in float32. A transformer's h holds the image tokens alone, laid
        out as the picture.
    """
    if isinstance(network, UNetModel):
        options["patches"] = _stopping_patches(options.get("patches", {}), feature)
        yield
        return
    kind, index = feature.split("_")
    with _stopping_after(network, kind, int(index)):
        yield


def _stopping_patches(patches, feature):
    """The patches of a UNet with one more, which stops at the feature.

    Forward hooks are no way here: the host calls the layers of some blocks one by one.
    """
    kind, _, index = feature.partition("_")
    if kind == "input":
        block, name = ("input", int(index)), "input_block_patch"

        def stop_after_input(h, options):
            return _stop(h) if options["block"] == block else h

        return {**patches, name: [*patches.get(name, []), stop_after_input]}

    # The output of the middle block, or of an output block, is what the next output block begins with.
    block, name = ("output", int(index) + 1 if index else 0), "output_block_patch"

    def stop_before_output(h, skip, options):
        return _stop(h) if options["block"] == block else (h, skip)

    return {**patches, name: [stop_before_output, *patches.get(name, [])]}


def _stop(h):
    raise StopForward(h.float())


@contextmanager
def _stopping_after(network, kind, index):
    """Within it, a forward pass of a transformer raises `StopForward` after a block."""
    family = row_of(network)
    stream = family.streams[kind]
    block = getattr(network, stream.modules)[index]
    with ExitStack() as hooks:
        tokens = _ImageTokens(network, family, stream, hooks)

        def stop(block, inputs, output):
            _stop(tokens.as_picture(output if stream.output is None else output[stream.output]))

        hooks.enter_context(block.register_forward_hook(stop))
        yield


class _ImageTokens:
    """Finds the image tokens among all tokens of a block, by what hooks see of the forward pass.

    Args:
        network: A transformer.
        family: Its `Family`.
        stream: The `Stream` of the block.
        hooks: An ExitStack that removes the hooks.
    """

    def __init__(self, network, family, stream, hooks):
        self._network, self._family, self._place = network, family, _place_in_this_host(network, stream)
        self._size, self._width_beside, self._text_tokens = (0, 0), 0, 0
        hooks.enter_context(network.register_forward_pre_hook(self._enter, with_kwargs=True))
        if stream.place == AFTER_TEXT:
            for name in family.text:
                text = getattr(network, name, None)
                if text is not None:
                    hooks.enter_context(text.register_forward_hook(self._count_text))

    def _enter(self, network, inputs, options):
        beside = options.get(self._family.beside)
        self._size = tuple(inputs[0].shape[-2:])
        self._width_beside = 0 if beside is None else beside.shape[-1]
        self._text_tokens = 0

    def _count_text(self, text, inputs, output):
        self._text_tokens += output.shape[1]

    def as_picture(self, output):
        """The image tokens of a block's output (b, ..., c), laid out as the picture (b, c, rows, columns)."""
        tokens = output.flatten(1, -2)
        down, right = _patch_sides(self._network, self._family)
        rows, columns = -(-self._size[0] // down), -(-self._size[1] // right)
        columns_with_beside = -(-(self._size[1] + self._width_beside) // right)
        count = rows * columns_with_beside
        multiple = getattr(self._network, self._family.padded_to, None) if self._family.padded_to else None
        padded = -(-count // (multiple or 1)) * (multiple or 1)
        starts = {FIRST: 0, LAST: tokens.shape[1] - padded, AFTER_TEXT: self._text_tokens}
        start = starts[self._place]
        grid = tokens[:, start : start + count].transpose(1, 2).unflatten(2, (rows, columns_with_beside))
        return grid[..., :columns]


def _patch_sides(network, family):
    """The height and width of a token, in latent pixels."""
    patch = getattr(network, family.patch) if isinstance(family.patch, str) else family.patch
    return patch[-2:] if isinstance(patch, tuple | list) else (patch, patch)


def _place_in_this_host(network, stream):
    """Where the image tokens stand. Before ComfyUI 0.9 some networks put the text behind them."""
    first = next(iter(getattr(network, "double_blocks", ())), None)
    flipped = getattr(first, "flipped_img_txt", False)
    return FIRST if stream.place == AFTER_TEXT and flipped else stream.place
