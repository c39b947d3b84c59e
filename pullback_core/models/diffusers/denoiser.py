"""The `Denoiser` of UNet pipelines of Hugging Face's diffusers: Stable Diffusion 1, 2 and XL, and unconditional ones.

Imports nothing of diffusers itself: a UNet, a scheduler and a pipeline are known here by their names and attributes.
"""

import hashlib
import sys
from contextlib import ExitStack, contextmanager, nullcontext

import torch

from ...linalg.autograd_graph import foreign_functions
from ...linalg.check import linearity_error
from ...linalg.precision import without_autocast
from ...rules.constants import WatchedConstants
from ...rules.mode import Differentiable
from ...rules.rule import AUTOGRAD_FUNCTIONS
from ..fingerprint import hash_weights, prompt_hash
from ..denoiser import Denoiser
from ..schedule import VPSchedule
from ..stop import StopForward

PREDICTIONS = ("epsilon", "v_prediction", "sample")
UNETS = ("UNet2DModel", "UNet2DConditionModel")
# Pipelines that at guidance 1 hand their UNet the encoded prompt and nothing else (TEXT), or also sizes (TEXT_AND_SIZE).
TEXT = (
    "StableDiffusionPipeline",
    "StableDiffusionImg2ImgPipeline",
    "StableDiffusionInpaintPipeline",
    "StableDiffusionInpaintPipelineLegacy",
    "StableDiffusionDiffEditPipeline",
    "AltDiffusionPipeline",
    "AltDiffusionImg2ImgPipeline",
    "LatentConsistencyModelPipeline",
    "LatentConsistencyModelImg2ImgPipeline",
)
TEXT_AND_SIZE = (
    "StableDiffusionXLPipeline",
    "StableDiffusionXLImg2ImgPipeline",
    "StableDiffusionXLInpaintPipeline",
    "KolorsPipeline",
    "KolorsImg2ImgPipeline",
)
SIDE_NETWORKS = ("controlnet", "adapter")  # components of a pipeline
BY_HAND = "make a DiffusersDenoiser of its UNet, its scheduler and the keyword arguments of the UNet's call"
# What a UNet of a kind needs in added_cond_kwargs.
ADDED = {
    "addition_embed_type": {
        "text_time": ("text_embeds", "time_ids"),
        "text_image": ("image_embeds",),
        "image": ("image_embeds",),
        "image_hint": ("image_embeds", "hint"),
    },
    "encoder_hid_dim_type": dict.fromkeys(
        ("text_image_proj", "image_proj", "ip_image_proj"), ("image_embeds",)
    ),
}
LINEARITY_TOLERANCE, LINEARITY_TOLERANCE_HALF = 1e-4, 0.02  # of J v against J^T u; rounding stays below
NOT_A_SETTING = (
    "training",
    "slice_size",
)  # attributes of an attention processor that do not change what it computes
FREEU = ("s1", "s2", "b1", "b2")


class DiffusersDenoiser(Denoiser):
    """The `Denoiser` of one UNet under one conditioning, without classifier-free guidance.

    unet: a UNet2DModel or UNet2DConditionModel. It computes in its own precision (also inside torch.autocast), in evaluation
        mode, without gradient checkpointing and uncompiled, and is left as it was found. Its weights may be offloaded, or cast
        layer by layer; all that `encode` uses stay in memory for the products. Its attention must be torch's, not xformers'.
    scheduler: any with the model's `alphas_cumprod`; its noise levels and prediction type count, its steps do not.
    conditioning: keyword arguments of the UNet's call, such as encoder_hidden_states or added_cond_kwargs, every
        tensor in them of batch 1. All that this UNet needs must be there.
    feature: the block whose output `encode` returns: "down_0", "down_1", ..., "middle", "up_0", ...
    Raises ValueError for a network, noise, prediction type, conditioning or feature that cannot serve.
    """

    def __init__(self, unet, scheduler, conditioning=None, *, feature="middle"):
        self.unet = _unwrapped(unet)
        blocks = _blocks(self.unet)
        if feature not in blocks:
            raise ValueError(f"There is no block named {feature!r}; choose one of {', '.join(blocks)}.")
        self.schedule, self._prediction = _schedule(scheduler)
        self.feature, self._block = feature, blocks[feature]
        self._checked_functions = set()  # names
        self.conditioning = _map_tensors(_of_one_sample, conditioning or {})
        _require_conditioning(self.unet, self.conditioning)
        self.provenance = {"model": _fingerprint(self.unet, self.conditioning), "feature": feature}

    @classmethod
    def from_pipeline(cls, pipeline, prompt="", *, feature="middle", size=None):
        """The denoiser of a pipeline under a prompt (one string), which an unconditional pipeline must leave empty.

        size: (height, width) of the picture in pixels, of which SDXL is told; None is the size of its training.
        Raises ValueError as the class does, and for pipelines whose conditioning is of another kind.
        """
        if not hasattr(pipeline, "unet"):
            raise ValueError(
                f"A pipeline with a UNet is needed (Stable Diffusion 1, 2, XL, DDPM, DDIM), got {type(pipeline).__name__}."
            )
        if not isinstance(prompt, str):
            raise ValueError(
                f"A denoiser has one prompt, a string, got a {type(prompt).__name__}; make one denoiser for each."
            )
        denoiser = cls(
            pipeline.unet, pipeline.scheduler, _conditioning(pipeline, prompt, size), feature=feature
        )
        denoiser.provenance["prompt"] = prompt_hash(prompt)
        encoders = [getattr(pipeline, name, None) for name in ("text_encoder", "text_encoder_2")]
        denoiser.provenance["model"] = _with_adapters_of(encoders, denoiser.provenance["model"])
        return denoiser

    def denoise(self, x, sigma):
        """Predict x_0, never clipped. x: (b, c, h, w) in sampler coordinates (VE). Returns x's shape and precision."""
        z = x / self.schedule.scale(sigma)
        predicted = self._network(z, sigma)[:, : x.shape[1]].to(
            x
        )  # channels beyond x's are a learned variance
        if self._prediction == "epsilon":
            return x - sigma * predicted
        return predicted if self._prediction == "sample" else (z - sigma * predicted) / (1 + sigma**2) ** 0.5

    def encode(self, x, sigma):
        """x_t -> h: x (b, c, h, w) in sampler coordinates (VE) -> (b, *H) in x's precision, differentiable both ways."""
        z = x / self.schedule.scale(sigma)
        _require_derivatives(self.unet)
        constants = WatchedConstants()
        with Differentiable(), constants:
            h = self._feature(z, sigma)
        if constants.overwritten():
            with Differentiable(), WatchedConstants(copies=True):
                h = self._feature(z, sigma)
        self._check_foreign_functions(h, z)
        return h

    def _feature(self, z, sigma):
        with self._block.register_forward_hook(_leave):
            try:
                self._network(z, sigma)
            except StopForward as stop:
                return stop.h.to(z)
        raise RuntimeError(
            f"The UNet ran without calling its block {self.feature!r}; restore the UNet's own forward."
        )

    def _check_foreign_functions(self, h, z):
        """Once for each autograd function of another library, compare J v with J^T u: it may have no second derivative."""
        functions = foreign_functions(h, AUTOGRAD_FUNCTIONS) - self._checked_functions
        if not functions:
            return
        try:
            error = linearity_error(h, z)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as reason:
            error = str(reason).strip().splitlines()[0]
        tolerance = LINEARITY_TOLERANCE_HALF if self.unet.dtype.itemsize < 4 else LINEARITY_TOLERANCE
        if not isinstance(error, float) or not error <= tolerance:
            raise ValueError(
                f"The UNet computes with {', '.join(sorted(functions))}, which has no second derivative that can be used ({error}), "
                "so there is no basis; load the UNet without quantisation or other replaced layers."
            )
        self._checked_functions |= functions

    def _network(self, z, sigma):
        if sigma != 0:
            self.schedule.require_level(sigma)
        dtype = self.unet.dtype
        timestep = self.schedule.timestep(sigma).round().long().to(z.device).expand(len(z))
        conditioning = _map_tensors(
            lambda part: part.to(z.device, dtype if part.is_floating_point() else None).expand(
                len(z), *part.shape[1:]
            ),
            self.conditioning,
        )
        with _evaluating(self.unet), _uncompiled(), without_autocast():
            return self.unet(z.to(dtype), timestep, **conditioning, return_dict=False)[0]


@torch.no_grad()
@without_autocast()
def encode_image(pipeline, image):
    """Pictures to latents: (b, 3, h, w) RGB in [-1, 1] -> (b, c, h', w') float32; the same where there is no VAE."""
    with _vae(pipeline) as vae:
        if vae is None:
            return image
        encoded = vae.encode(image.to(_device_of(pipeline, vae), vae.dtype))
    latent = encoded.latent_dist.mode() if hasattr(encoded, "latent_dist") else encoded.latents
    scale, shift = _latent_statistics(pipeline, vae, latent)
    return (latent - shift) * scale


@torch.no_grad()
@without_autocast()
def decode_latent(pipeline, latent):
    """The way back of `encode_image`: (b, c, h', w') -> (b, 3, h, w) float32, not clamped."""
    with _vae(pipeline) as vae:
        if vae is None:
            return latent
        latent = latent.to(_device_of(pipeline, vae))
        scale, shift = _latent_statistics(pipeline, vae, latent)
        return vae.decode((latent / scale + shift).to(vae.dtype), return_dict=False)[0].to(latent.dtype)


@contextmanager
def _vae(pipeline):
    """The VAE or None, for a while in float32: SDXL's VAE overflows in half precision."""
    vae = getattr(pipeline, "vae", None) or getattr(pipeline, "vqvae", None)
    if vae is None or vae.dtype == torch.float32 or _has_moving_weights(vae):
        yield vae
        return
    found = vae.dtype
    torch.nn.Module.to(vae, torch.float32)  # the VAE's own `to` warns of every change of precision
    try:
        yield vae
    finally:
        torch.nn.Module.to(vae, found)


def _latent_statistics(pipeline, vae, latent):
    """(scale, shift): the UNet's latents are (the VAE's - shift) * scale. As the pipeline itself scales them."""
    config, call = vae.config, _call_of(pipeline)
    scale, shift = config.get("scaling_factor"), 0.0
    if scale is None:
        raise ValueError(
            f"The {type(vae).__name__} has no scaling_factor in its config; register it with vae.register_to_config()."
        )
    mean, std = config.get("latents_mean"), config.get("latents_std")
    if mean is not None and std is not None and call not in TEXT:
        mean, std = (torch.as_tensor(values).view(1, -1, 1, 1).to(latent) for values in (mean, std))
        return scale / std, mean
    if call not in TEXT + TEXT_AND_SIZE:
        shift = config.get("shift_factor") or 0.0
    return scale, shift


def _device_of(pipeline, vae):
    return pipeline._execution_device if _has_moving_weights(vae) else vae.device


def _has_moving_weights(module):
    """Whether hooks of accelerate or diffusers move or cast the weights around every forward."""
    return any(hasattr(part, name) for part in module.modules() for name in ("_hf_hook", "_diffusers_hook"))


def _leave(block, inputs, output):
    raise StopForward(
        output[0] if isinstance(output, tuple) else output
    )  # a down block returns its skips as well


@contextmanager
def _evaluating(unet):
    """Without dropout, and without checkpointing, which would compute everything again; as found afterwards.

    Strengths of LoRA layers are restored as well: a call with a scale of its own changes them for the time.
    """
    switches = ("training", "gradient_checkpointing")
    found = [(module, name) for module in unet.modules() for name in switches if vars(module).get(name)]
    strengths = [(layer.scaling, dict(layer.scaling)) for layer in _lora_layers(unet)]
    for module, name in found:
        setattr(module, name, False)
    try:
        yield
    finally:
        for module, name in found:
            setattr(module, name, True)
        for scaling, before in strengths:
            scaling.update(before)


def _uncompiled():
    """Where compiled parts of the UNet run as they are written: a compiled block cannot be left halfway."""
    if "torch._dynamo" in sys.modules and hasattr(torch.compiler, "set_stance"):
        return torch.compiler.set_stance("force_eager")
    return nullcontext()


def _unwrapped(unet):
    """The UNet itself, not what compiles it or spreads its batches over devices."""
    while True:
        if hasattr(unet, "_orig_mod"):
            unet = unet._orig_mod
        elif isinstance(unet, torch.nn.DataParallel | torch.nn.parallel.DistributedDataParallel):
            unet = unet.module
        else:
            return unet


def _blocks(unet):
    """The blocks whose output can serve as h, by name, in the order of computation."""
    if not any(kind.__name__ in UNETS for kind in type(unet).__mro__):
        raise ValueError(
            f"A diffusers UNet is needed (UNet2DModel or UNet2DConditionModel), got {type(unet).__name__}."
        )
    taken, returned = unet.config["in_channels"], unet.config["out_channels"]
    if returned < taken:
        raise ValueError(
            f"This UNet takes {taken} channels and returns {returned}, as for inpainting; choose another model."
        )
    down, up = (
        {f"{kind}_{i}": block for i, block in enumerate(getattr(unet, f"{kind}_blocks"))}
        for kind in ("down", "up")
    )
    return down | ({} if unet.mid_block is None else {"middle": unet.mid_block}) | up


def _schedule(scheduler):
    """(`VPSchedule`, prediction type) of a scheduler."""
    alphas, prediction = (
        getattr(scheduler, "alphas_cumprod", None),
        scheduler.config.get("prediction_type", "epsilon"),
    )
    continuous = scheduler.config.get("timestep_type") == "continuous" or scheduler.config.get(
        "use_flow_sigmas"
    )
    if alphas is None or continuous:
        raise ValueError(
            f"A scheduler with alphas_cumprod (DDPM, DDIM, PNDM, Euler, DPM-Solver) is needed, got {type(scheduler).__name__}"
            f"{' of continuous timesteps' if continuous else ''}; flow and EDM models cannot serve."
        )
    if prediction not in PREDICTIONS:
        raise ValueError(
            f"The scheduler's prediction_type must be one of {', '.join(PREDICTIONS)}, got {prediction!r}."
        )
    return VPSchedule(_precise_alphas(scheduler, alphas.cpu().double())), prediction


def _precise_alphas(scheduler, alphas):
    """The scheduler's alphas_cumprod; computed anew from its betas where rounding made the first ones 1, that is without noise."""
    betas = getattr(scheduler, "betas", None)
    if alphas[0] < 1 or not isinstance(betas, torch.Tensor) or betas.shape != alphas.shape:
        return alphas
    precise = torch.cumprod(1 - betas.cpu().double(), dim=0)
    return (
        torch.where(alphas > 0.5, precise, alphas)
        if torch.allclose(precise, alphas, rtol=1e-3, atol=1e-6)
        else alphas
    )


@without_autocast()
def _conditioning(pipeline, prompt, size):
    """Keyword arguments of the UNet's call under a prompt, as the pipeline itself makes them at guidance 1."""
    unet = _unwrapped(pipeline.unet)
    config, call = getattr(unet, "config", {}), _call_of(pipeline)
    if getattr(unet, "class_embedding", None) is not None:
        raise ValueError(
            f"The UNet of this {type(pipeline).__name__} needs class labels, which no prompt gives; {BY_HAND}."
        )
    if "cross_attention_dim" not in config:
        if prompt:
            raise ValueError(
                f"This pipeline is unconditional and takes no prompt, got {prompt!r}; leave the prompt empty."
            )
        return {}
    _require_text_alone(pipeline, config, call)
    with torch.no_grad():
        text = pipeline.encode_prompt(
            prompt,
            device=pipeline._execution_device,
            num_images_per_prompt=1,
            do_classifier_free_guidance=False,
        )
    conditioning = {"encoder_hidden_states": text[0]}
    if call in TEXT_AND_SIZE:
        height, width = size or 2 * (config["sample_size"] * pipeline.vae_scale_factor,)
        time_ids = torch.tensor(
            [[height, width, 0, 0, height, width]], dtype=text[0].dtype
        )  # original size, crop, target size
        conditioning["added_cond_kwargs"] = {"text_embeds": text[2], "time_ids": time_ids}
    if config.get("time_cond_proj_dim") is not None:  # a distilled UNet is told the guidance scale, less 1
        guidance = pipeline.get_guidance_scale_embedding(
            torch.zeros(1), embedding_dim=config["time_cond_proj_dim"]
        )
        conditioning["timestep_cond"] = guidance.to(text[0])
    return conditioning


def _call_of(pipeline):
    """The name of diffusers' class whose `__call__` runs the pipeline; None for a class of somebody else."""
    for kind in type(pipeline).__mro__:
        if "__call__" in vars(kind):
            return kind.__name__ if kind.__module__.split(".")[0] == "diffusers" else None
    return None


def _require_text_alone(pipeline, config, call):
    """Refuse a pipeline that conditions its UNet on more than a prompt, or may do so."""
    name = type(pipeline).__name__
    if _setting(config, "encoder_hid_dim_type") == "ip_image_proj":
        raise ValueError(
            f"This {name} has an IP-Adapter, which conditions its UNet on a picture; call pipeline.unload_ip_adapter(), or {BY_HAND}, "
            "with the picture as image_embeds in added_cond_kwargs."
        )
    side_network = next((part for part in SIDE_NETWORKS if getattr(pipeline, part, None) is not None), None)
    if side_network:
        raise ValueError(
            f"{name} conditions its UNet on more than a prompt: its {side_network} adds to the UNet's features at every noise level; "
            "use the pipeline without it."
        )
    added = "text_time" if call in TEXT_AND_SIZE else None
    if (
        call not in TEXT + TEXT_AND_SIZE
        or _setting(config, "addition_embed_type") != added
        or _setting(config, "encoder_hid_dim_type") not in (None, "text_proj")
        or "gated" in (_setting(config, "attention_type") or "")
        or pipeline.config.get("requires_aesthetics_score")
    ):
        raise ValueError(f"{name} conditions its UNet on more than a prompt, or may do so; {BY_HAND}.")
    if all(getattr(pipeline, part, None) is None for part in ("text_encoder", "text_encoder_2")):
        raise ValueError(
            f"This {name} has no text encoder, so it cannot read a prompt; load one, or {BY_HAND}."
        )


def _setting(config, name):
    """An entry of a diffusers config, or None. An IP-Adapter changes the attribute alone, not the entry of that name."""
    return getattr(config, name, config.get(name))


def _require_conditioning(unet, conditioning):
    """Refuse keyword arguments that lack some that the UNet needs."""
    config, added = unet.config, conditioning.get("added_cond_kwargs") or {}
    missing = [
        f"added_cond_kwargs[{name!r}]"
        for kind, needed in ADDED.items()
        for name in needed.get(_setting(config, kind), ())
        if name not in added
    ]
    if "cross_attention_dim" in config and "encoder_hidden_states" not in conditioning:
        missing.append("encoder_hidden_states")
    if getattr(unet, "class_embedding", None) is not None and conditioning.get("class_labels") is None:
        missing.append("class_labels")
    if missing:
        raise ValueError(
            f"The conditioning lacks {', '.join(dict.fromkeys(missing))}, which this UNet needs; add them."
        )


def _require_derivatives(unet):
    """Refuse what computes without a second derivative, or leaves out parts of the network."""
    for module in unet.modules():
        processor = type(getattr(module, "processor", None)).__name__
        if "XFormers" in processor:
            raise ValueError(
                f"The UNet's attention is computed by {processor}, which has no derivative of its derivative; "
                "call unet.disable_xformers_memory_efficient_attention()."
            )
        hooks = getattr(getattr(module, "_diffusers_hook", None), "hooks", {})
        stateful = [name for name, hook in hooks.items() if getattr(hook, "_is_stateful", False)]
        if stateful:
            raise ValueError(
                f"The UNet has a cache ({stateful[0]}), which reuses results of other inputs; call unet.disable_cache()."
            )


def _map_tensors(function, value):
    """The same nested dicts, lists and tuples, with a function applied to every tensor in them."""
    if isinstance(value, dict):
        return {name: _map_tensors(function, part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_map_tensors(function, part) for part in value)
    return function(value) if isinstance(value, torch.Tensor) else value


def _of_one_sample(tensor):
    if tensor.ndim == 0 or len(tensor) != 1:
        raise ValueError(
            f"Every tensor of the conditioning must be of batch 1, got shape {tuple(tensor.shape)}; give those of one sample."
        )
    return tensor


def _fingerprint(unet, conditioning):
    """Names the weights, the same in every session, and the strengths of adapters. Reads a few numbers of every tensor."""
    digest = hashlib.sha256()
    with _weights_loaded(unet):
        weights = {
            name.replace("_orig_mod.", ""): weight
            for name, weight in (unet.state_dict() | _offloaded_weights(unet)).items()
        }
        unread = [name for name, weight in weights.items() if weight.device.type == "meta"]
        if unread:
            raise ValueError(
                f"The UNet's weight {unread[0]} is not loaded (it is on the meta device); load the UNet's weights first."
            )
        hash_weights(digest, weights)
    settings = _strengths(unet) + _plain_values(conditioning)
    if settings:
        digest.update(repr(settings).encode())
    return digest.hexdigest()[:16]


def _with_adapters_of(encoders, fingerprint):
    """The fingerprint of a model whose text encoders may have LoRA layers, which change what a prompt says."""
    digest = hashlib.sha256(fingerprint.encode())
    adapted = [encoder for encoder in encoders if encoder is not None and _lora_layers(encoder)]
    for encoder in adapted:
        hash_weights(digest, encoder.state_dict() | _offloaded_weights(encoder))
        digest.update(repr(_strengths(encoder)).encode())
    return digest.hexdigest()[:16] if adapted else fingerprint


def _offloaded_weights(module):
    """The weights that accelerate keeps elsewhere while no layer runs, by their names in the module's state_dict."""
    weights = {}
    for prefix, part in module.named_modules():
        hook = getattr(part, "_hf_hook", None)
        for one in getattr(hook, "hooks", (hook,)):
            kept = getattr(one, "weights_map", None)
            if kept is not None:
                names = [
                    name
                    for name, tensor in part.state_dict().items()
                    if tensor.device.type == "meta" and "." not in name
                ]
                weights |= {f"{prefix}.{name}" if prefix else name: kept[name] for name in names}
    return weights


@contextmanager
def _weights_loaded(unet):
    """Load the groups of weights that diffusers keeps on disk, and put them back."""
    hooks = (
        hook
        for part in unet.modules()
        for hook in getattr(getattr(part, "_diffusers_hook", None), "hooks", {}).values()
    )
    groups = {id(group): group for hook in hooks if (group := getattr(hook, "group", None)) is not None}
    with ExitStack() as stack:
        for group in groups.values():
            if getattr(group, "offload_to_disk_path", None) is not None:
                group.onload_()
                stack.callback(group.offload_)
        yield


def _is_lora_layer(part):
    """Whether a module is of the library peft: it adds adapters to a layer, each with a strength in `scaling`."""
    return isinstance(getattr(part, "scaling", None), dict) and hasattr(part, "active_adapters")


def _lora_layers(module):
    return [part for part in module.modules() if _is_lora_layer(part)]


def _strengths(module):
    """The settings of adapters and of FreeU that no weight shows, in an order that repeats; empty for a plain network."""
    found = []
    for name, part in module.named_modules():
        if _is_lora_layer(part):
            active = [] if part.disable_adapters else list(part.active_adapters)
            found.append((name, [(one, part.scaling.get(one)) for one in active], list(part.merged_adapters)))
        freeu = [vars(part).get(setting) for setting in FREEU]
        if any(value is not None for value in freeu):
            found.append((name, freeu))
        if hasattr(part, "processor"):
            settings = vars(part.processor).items()
            found += [
                (name, key, value)
                for key, value in _plain_values({k: v for k, v in settings if k not in NOT_A_SETTING})
            ]
    return found


def _plain_values(value, path=""):
    """(path, value) of every number and text in nested dicts, lists and tuples. Names that begin with _ are left out."""
    if isinstance(value, dict):
        parts = [(key, part) for key, part in value.items() if not str(key).startswith("_")]
    elif isinstance(value, list | tuple):
        parts = enumerate(value)
    else:
        return [(path, value)] if isinstance(value, bool | int | float | str) else []
    return [found for key, part in parts for found in _plain_values(part, f"{path}/{key}")]
