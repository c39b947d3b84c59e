"""What artists do to models: weights, patches and conditionings of every kind, on tiny models.

Each entry of `WEIGHTS` makes a MODEL of a family. Each entry of `PATCHES` changes a `Case`, or gives None
where there is no such thing.
"""

import inspect
import json
import sys
from dataclasses import dataclass, replace
from functools import partial

import comfy.cldm.cldm
import comfy.controlnet
import comfy.hooks
import comfy.ldm.modules.attention
import comfy.model_management
import comfy.model_patcher
import comfy.ops
import comfy.utils
import torch
from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel
from tiny_families import FLOWS, draw
from tiny_models import KINDS, SHAPE, conditioning_for, latent_for, tiny_model

FAMILIES = (*KINDS, *FLOWS)


@dataclass
class Case:
    """A model and its inputs.

    Attributes:
        kind: One of `FAMILIES`.
        model: MODEL.
        remade: Called with changes of the shape, makes the model anew with the same kind of weights.
        conditioning: CONDITIONING.
        latent: LATENT.
    """

    kind: str
    model: object
    remade: object
    conditioning: list
    latent: dict

    @property
    def network(self):
        return self.model.model.diffusion_model

    @property
    def unet(self):
        return isinstance(self.network, UNetModel)

    @property
    def family(self):
        """The `TinyFamily` of a transformer."""
        return FLOWS[self.kind]


def case_of(kind, weights, monkeypatch):
    make = partial(WEIGHTS[weights], kind, monkeypatch)
    model = make()
    return Case(kind, model, make, conditioning_for(kind), latent_for(model))


# Weights.


def scaled_float8(kind, monkeypatch, matmul=False, **changes):
    """Weights in fp8, each with a scale, as in files. `matmul`: as on a card that multiplies in fp8."""
    if matmul:
        monkeypatch.setattr(
            comfy.model_management, "supports_fp8_compute", lambda *arguments, **options: True
        )
    compute = torch.bfloat16 if matmul else torch.float32
    if not hasattr(comfy.ops, "mixed_precision_ops"):  # ComfyUI 0.3.64

        def configure(config):
            config.scaled_fp8, config.optimizations["fp8"] = torch.float8_e4m3fn, matmul

        return tiny_model(kind, dtype=torch.bfloat16, cast=compute, configure=configure, **changes)

    def configure(config):
        config.quant_config = {"mixed_ops": True}

    plain, model = (
        tiny_model(kind, dtype=compute, **changes),
        tiny_model(kind, dtype=compute, cast=compute, configure=configure, **changes),
    )
    state = plain.model.diffusion_model.state_dict()
    for name, layer in plain.model.diffusion_model.named_modules():
        if isinstance(layer, torch.nn.Linear):
            weight = layer.weight.detach().float()
            scale = weight.abs().max() / 448
            state[f"{name}.weight"] = (weight / scale).to(torch.float8_e4m3fn)
            state[f"{name}.weight_scale"] = scale
            state[f"{name}.comfy_quant"] = torch.tensor(
                list(json.dumps({"format": "float8_e4m3fn"}).encode()), dtype=torch.uint8
            )
    with torch.inference_mode():
        model.model.diffusion_model.load_state_dict(state)
    return model


SMALLEST = {
    "convrot_w4a4": 256,
    "asym_w4a8_int8": 256,
}  # inputs of a layer, of which forms that rotate them need a multiple


def packed(kind, monkeypatch, form, **changes):
    """Weights of linear layers in one of the host's packed forms, as on a card that multiplies in this form.

    None where no layer is wide enough for it.
    """
    from comfy.quant_ops import QUANT_ALGOS, QuantizedTensor

    for name in ("fp8", "nvfp4", "mxfp8"):
        check = f"supports_{name}_compute"
        monkeypatch.setattr(comfy.model_management, check, lambda *arguments, **options: True, raising=False)

    def configure(config):
        config.quant_config = {"mixed_ops": True}

    plain = tiny_model(kind, dtype=torch.bfloat16, **changes)
    model = tiny_model(kind, dtype=torch.bfloat16, cast=torch.bfloat16, configure=configure, **changes)
    state, count = plain.model.diffusion_model.state_dict(), 0
    for name, layer in plain.model.diffusion_model.named_modules():
        if (
            isinstance(layer, torch.nn.Linear)
            and min(layer.weight.shape) >= 32
            and layer.in_features % SMALLEST.get(form, 1) == 0
        ):
            layout = QUANT_ALGOS[form]["comfy_tensor_layout"]
            options = {} if form in SMALLEST else {"scale": "recalculate"}
            weight = QuantizedTensor.from_float(layer.weight.detach().clone(), layout, **options)
            del state[f"{name}.weight"]
            state |= weight.state_dict(f"{name}.weight")
            state[f"{name}.comfy_quant"] = torch.tensor(
                list(json.dumps({"format": form}).encode()), dtype=torch.uint8
            )
            count += 1
    with torch.inference_mode():
        model.model.diffusion_model.load_state_dict(state)
    return model if count else None


def partly_offloaded(kind, monkeypatch, **changes):
    """Half of the weights stay where they are. Each is fetched when needed, as on a small card."""
    model = tiny_model(kind, dtype=torch.float16, cast=torch.float32, **changes)
    load, half = comfy.model_patcher.ModelPatcher.load, model.model_size() // 2

    def load_half(patcher, device_to=None, lowvram_model_memory=0, *arguments, full_load=False, **options):
        load(patcher, device_to, half, *arguments, full_load=False, **options)

    monkeypatch.setattr(comfy.model_patcher.ModelPatcher, "load", load_half)
    return model


class QuantizedOperations(comfy.ops.manual_cast):
    """Linear layers that unpack their weights for every call, as the GGUF loader's."""

    class Linear(comfy.ops.manual_cast.Linear):
        def forward_comfy_cast_weights(self, values):
            if self.weight.dtype != torch.int8:  # packed once, at the first call
                self.step = (self.weight.detach().abs().amax(dim=1, keepdim=True) / 127).float()
                packed = (self.weight.detach() / self.step).round().to(torch.int8)
                self.weight = torch.nn.Parameter(packed, requires_grad=False)
            bias = None if self.bias is None else self.bias.to(values.dtype)
            return torch.nn.functional.linear(
                values, self.weight.to(values.dtype) * self.step.to(values.dtype), bias
            )


def quantized(kind, monkeypatch, **changes):
    def configure(config):
        config.custom_operations = QuantizedOperations

    return tiny_model(kind, configure=configure, **changes)


def held_in(dtype, cast=None):
    return lambda kind, monkeypatch, **changes: tiny_model(kind, dtype=dtype, cast=cast, **changes)


WEIGHTS = {
    "float32": held_in(torch.float32),
    "float16": held_in(torch.float16),
    "bfloat16": held_in(torch.bfloat16),
    "float16 as float32": held_in(torch.float16, torch.float32),
    "float8 as float32": held_in(torch.float8_e4m3fn, torch.float32),
    "float8 as bfloat16": held_in(torch.float8_e4m3fn, torch.bfloat16),
    "scaled float8": scaled_float8,
    "scaled float8, multiplied in float8": partial(scaled_float8, matmul=True),
    "half of it offloaded": partly_offloaded,
    "GGUF-like": quantized,
}


# Patches and conditionings. Nodes of the host are called as the server calls them.


def lora(case, call, monkeypatch):
    """A change of low rank of every attention and feed-forward weight of the kind that LoRAs change."""
    clone, patches = case.model.clone(), {}
    for number, (name, weight) in enumerate(case.network.named_parameters()):
        if weight.ndim == 2 and "emb" not in name:
            up, down = draw(len(weight), 2, seed=number), draw(2, weight.shape[1], seed=number + 1)
            patches[f"diffusion_model.{name}"] = ("diff", (0.1 * up @ down / weight.shape[1] ** 0.5,))
    assert len(patches) > 20 and len(clone.add_patches(patches, 1.0)) == len(patches)
    return replace(case, model=clone)


class Residuals(comfy.controlnet.ControlBase):
    """A ControlNet for transformers: residuals of the image tokens, which depend on the noisy picture."""

    def __init__(self, network, patch):
        super().__init__()
        width = getattr(network, "hidden_size", None) or network.inner_dim
        self.project, self.patch = draw(4096, width, seed=31), patch

    def get_control(self, x_noisy, t, cond, batched_number, transformer_options):
        tokens = torch.nn.functional.unfold(x_noisy.flatten(1, -3), self.patch, stride=self.patch).transpose(
            1, 2
        )
        residual = 0.1 * torch.tanh(tokens @ self.project[: tokens.shape[-1]].to(tokens))
        return self.control_merge(
            {"input": [residual.clone(), residual.clone()], "output": [residual.clone()]}, None, None
        )

    def copy(self):
        return self


def controlnet(case, call, monkeypatch):
    if case.unet:
        control = _unet_controlnet(case)
    elif case.family.controlled:
        control = Residuals(case.network, case.family.patch)
    else:
        return None
    hint = draw(1, 3, 64, 64, seed=32).sigmoid()
    control.set_cond_hint(hint, 0.8)
    return replace(
        case, conditioning=[[tensor, {**extra, "control": control}] for tensor, extra in case.conditioning]
    )


def _unet_controlnet(case):
    config = {**SHAPE, **case.model.model.model_config.unet_config}
    for name in (
        "out_channels",
        "transformer_depth_output",
        "use_temporal_attention",
        "disable_unet_model_creation",
    ):
        config.pop(name, None)
    network = comfy.cldm.cldm.ControlNet(
        **config, hint_channels=3, operations=comfy.ops.manual_cast, device="cpu"
    )
    with torch.no_grad():
        for number, weight in enumerate(network.parameters()):
            weight.copy_(
                draw(*weight.shape, seed=number) / max(1, weight[0].numel()) ** 0.5
                if weight.ndim > 1
                else 0.1
            )
    return comfy.controlnet.ControlNet(
        network, load_device=comfy.model_management.get_torch_device(), manual_cast_dtype=torch.float32
    )


def _attend(q, k, v, heads, **reshape):
    """Attention that knows nothing of the host's options, in the kernel that the host takes on most cards."""
    return comfy.ldm.modules.attention.attention_pytorch(q, k, v, heads, **reshape)


def ip_adapter(case, call, monkeypatch):
    """Attention to the tokens of a picture, beside that to the text's, as IPAdapter adds it."""
    clone, picture = case.model.clone(), draw(1, 5, 32, seed=33)

    def beside(q, k, v, options):
        more = picture.to(q).repeat(len(q), 1, q.shape[-1] // 32)
        return _attend(q, k, v, options["n_heads"]) + 0.5 * _attend(q, more, more, options["n_heads"])

    def block(args, extra):
        out = extra["original_block"](args)
        image, more = (
            out["img"],
            picture.to(out["img"]).repeat(len(out["img"]), 1, out["img"].shape[-1] // 32),
        )
        out["img"] = image + 0.5 * _attend(image, more, more, 2)
        return out

    if not case.unet and not case.family.replaceable:
        return None
    if case.unet:
        for place in [("input", 2), ("input", 3), ("middle", 0)]:
            for depth in (0, 1):
                clone.set_model_attn2_replace(beside, *place, depth)
    else:
        clone.set_model_patch_replace(block, "dit", "double_block", 0)
    return replace(case, model=clone)


def perturbed_attention(case, call, monkeypatch):
    """Self-attention that returns its values, as in PAG's second evaluation, without the host's functions."""
    if not case.unet:
        return None
    clone = case.model.clone()
    clone.set_model_attn1_replace(lambda q, k, v, options: v, "middle", 0, 0)
    clone.set_model_attn1_replace(
        lambda q, k, v, options: _attend(q, k, v, options["n_heads"]), "input", 3, 0
    )
    return replace(case, model=clone)


def freeu(case, call, monkeypatch):
    return (
        replace(case, model=call("FreeU_V2", model=case.model, b1=1.3, b2=1.4, s1=0.9, s2=0.2)[0])
        if case.unet
        else None
    )


def deep_shrink(case, call, monkeypatch):
    """Kohya's: the inner blocks see a smaller picture."""
    return (
        replace(
            case,
            model=call(
                "PatchModelAddDownscale",
                model=case.model,
                block_number=2,
                downscale_factor=2.0,
                start_percent=0.0,
                end_percent=1.0,
                downscale_after_skip=True,
                downscale_method="bicubic",
                upscale_method="bicubic",
            )[0],
        )
        if case.unet
        else None
    )


def token_merging(case, call, monkeypatch):
    if not case.unet:
        return None
    # It acts at full resolution.
    model = case.remade(model_channels=64, transformer_depth=[1, 1], transformer_depth_output=[1, 1, 1, 1])
    return replace(case, model=call("TomePatchModel", model=model, ratio=0.3)[0])


def easy_cache(case, call, monkeypatch):
    return replace(
        case,
        model=call(
            "EasyCache",
            model=case.model,
            reuse_threshold=0.2,
            start_percent=0.0,
            end_percent=1.0,
            verbose=False,
        )[0],
    )


def compiled(case, call, monkeypatch):
    """As Torch Compile does it, by a wrapper around the network."""
    from comfy_api.torch_helpers import set_torch_compile_wrapper

    clone = case.model.clone()
    set_torch_compile_wrapper(clone, backend="eager")
    return replace(case, model=clone)


def compiled_blocks(case, call, monkeypatch):
    """As others do it, each block by itself, in the place of the model's own."""
    clone = case.model.clone()
    blocks = ["middle_block.1.transformer_blocks"]
    if not case.unet:
        blocks = [modules for modules, _ in case.family.blocks.values()]
    for path in (f"{modules}.0" for modules in blocks):
        block = clone.get_model_object(f"diffusion_model.{path}")
        clone.add_object_patch(f"diffusion_model.{path}", torch.compile(block, backend="eager"))
    assert clone.object_patches
    return replace(case, model=clone)


def shifted(case, call, monkeypatch):
    """Another schedule of noise than the model's own."""
    if case.unet:
        return replace(
            case, model=call("ModelSamplingDiscrete", model=case.model, sampling="v_prediction", zsnr=True)[0]
        )
    if case.kind in ("flux", "qwen"):
        return replace(
            case,
            model=call(
                "ModelSamplingFlux", model=case.model, max_shift=1.3, base_shift=0.6, width=1024, height=768
            )[0],
        )
    return replace(case, model=call("ModelSamplingSD3", model=case.model, shift=2.5)[0])


def lcm(case, call, monkeypatch):
    return (
        replace(case, model=call("ModelSamplingDiscrete", model=case.model, sampling="lcm", zsnr=False)[0])
        if case.unet
        else None
    )


def edm(case, call, monkeypatch):
    return (
        replace(
            case,
            model=call(
                "ModelSamplingContinuousEDM",
                model=case.model,
                sampling="edm_playground_v2.5",
                sigma_max=120.0,
                sigma_min=0.002,
            )[0],
        )
        if case.unet
        else None
    )


def several_prompts(case, call, monkeypatch):
    return replace(case, conditioning=case.conditioning + conditioning_for(case.kind, seed=5))


def area(case, call, monkeypatch):
    return replace(
        case,
        conditioning=case.conditioning + conditioning_for(case.kind, seed=5, area=(4, 8, 4, 0), strength=1.0),
    )


def regional(case, call, monkeypatch):
    """Two prompts, each with a mask of its own."""
    left = torch.zeros(1, 64, 64)
    left[:, :, :32] = 1
    right = conditioning_for(case.kind, seed=5, mask=1 - left, mask_strength=0.7)
    return replace(case, conditioning=conditioning_for(case.kind, mask=left, mask_strength=1.0) + right)


def part_of_the_time(case, call, monkeypatch):
    """Two prompts, of which one is active at this noise level."""
    early, late = ({"start_percent": start, "end_percent": end} for start, end in ((0.0, 0.6), (0.6, 1.0)))
    return replace(
        case, conditioning=conditioning_for(case.kind, **early) + conditioning_for(case.kind, seed=5, **late)
    )


def _hooked(case, seeds):
    conditioning = []
    for seed in seeds:
        name, weight = next(
            (name, weight)
            for name, weight in case.network.named_parameters()
            if weight.ndim == 2 and ("attn" in name or "attention" in name)
        )
        change = 0.5 * draw(*weight.shape, seed=seed) / weight.shape[1] ** 0.5
        hooks = comfy.hooks.create_hook_model_as_lora({}, None, 1.0, 1.0)
        hooks.hooks[0].weights = {f"diffusion_model.{name}": ("diff", (change,))}
        hooks.hooks[0].need_weight_init = False
        conditioning += comfy.hooks.set_hooks_for_conditioning(conditioning_for(case.kind, seed=seed), hooks)
    return conditioning


def lora_hook(case, call, monkeypatch):
    return replace(case, conditioning=_hooked(case, [1]))


def regional_lora_hooks(case, call, monkeypatch):
    """Two prompts, each with its own change of the weights."""
    return replace(case, conditioning=_hooked(case, [1, 5]))


def inpainting(case, call, monkeypatch):
    """A model that sees the masked picture beside the noise."""
    if case.kind in ("sd1", "sd2v", "sdxl"):
        model = case.remade(in_channels=9)
    elif case.kind == "flux":
        model = case.remade(in_channels=96)
    else:
        return None
    mask = torch.zeros(1, 1, 64, 64)
    mask[..., 32:] = 1
    seen = {"concat_latent_image": latent_for(model, seed=6)["samples"], "concat_mask": mask}
    return replace(case, model=model, conditioning=conditioning_for(case.kind, **seen))


def reference_picture(case, call, monkeypatch):
    """A picture to edit among the tokens, as of Flux Kontext, Qwen-Image-Edit and others."""
    if case.unet or not case.family.reads_references:
        return None
    if "ref_latents" not in inspect.getsource(sys.modules[type(case.network).__module__]):
        return None  # not in this host
    reference = latent_for(case.model, seed=6)["samples"]
    return replace(
        case,
        conditioning=conditioning_for(
            case.kind, reference_latents=[reference], reference_latents_method="index"
        ),
    )


def another_attention(case, call, monkeypatch):
    """An override of attention, which other packs set."""
    if not case.unet and not case.family.overridable:
        return None
    clone = case.model.clone()
    clone.model_options["transformer_options"]["optimized_attention_override"] = (
        lambda function, *args, **kwargs: torch.sin(2 * function(*args, **kwargs))
    )
    return replace(case, model=clone)


PATCHES = {
    "none": lambda case, call, monkeypatch: case,
    "LoRA": lora,
    "ControlNet": controlnet,
    "IPAdapter-like": ip_adapter,
    "PAG-like": perturbed_attention,
    "FreeU": freeu,
    "deep shrink": deep_shrink,
    "token merging": token_merging,
    "EasyCache": easy_cache,
    "torch.compile": compiled,
    "compiled blocks": compiled_blocks,
    "another attention": another_attention,
    "another schedule": shifted,
    "LCM": lcm,
    "EDM": edm,
    "several prompts": several_prompts,
    "area": area,
    "regional prompts": regional,
    "timestep ranges": part_of_the_time,
    "LoRA hook": lora_hook,
    "regional LoRA hooks": regional_lora_hooks,
    "inpaint model": inpainting,
    "reference picture": reference_picture,
}
