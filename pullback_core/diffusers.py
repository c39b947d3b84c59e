"""The `Denoiser` of UNet pipelines of Hugging Face's diffusers: Stable Diffusion 1, 2 and XL, and unconditional ones.

Imports nothing of diffusers itself: a UNet, a scheduler and a pipeline are known here by their attributes.
"""

import hashlib
from contextlib import contextmanager

import torch

from .basis import hash_weights, prompt_hash
from .differentiable import Captured, Differentiable
from .schedule import VPSchedule

PREDICTIONS = ("epsilon", "v_prediction", "sample")
ZERO_SNR_ALPHA = 2.0**-24  # instead of a last alphas_cumprod of 0, whose sigma is infinite; as in diffusers' Euler scheduler


class DiffusersDenoiser:
    """The `Denoiser` of one UNet under one conditioning, without classifier-free guidance.

    unet: a UNet2DModel or UNet2DConditionModel. It computes in its own precision, in evaluation mode and without
        gradient checkpointing, and is left as it was found. Its attention must be torch's, not xformers'.
    scheduler: any with the model's `alphas_cumprod`; its noise levels and prediction type count, its steps do not.
    conditioning: keyword arguments of the UNet's call, such as encoder_hidden_states or added_cond_kwargs, every
        tensor in them of batch 1.
    feature: the block whose output `encode` returns: "down_0", "down_1", ..., "middle", "up_0", ...
    Raises ValueError for a network, noise, prediction type, conditioning or feature that cannot serve.
    """

    def __init__(self, unet, scheduler, conditioning=None, *, feature="middle"):
        self.unet = getattr(unet, "_orig_mod", unet)  # a compiled UNet cannot be left halfway
        blocks = _blocks(self.unet)
        if feature not in blocks:
            raise ValueError(f"There is no block named {feature!r}; choose one of {', '.join(blocks)}.")
        self.schedule, self._prediction = _schedule(scheduler)
        self.feature, self._block = feature, blocks[feature]
        self.conditioning = _map_tensors(_of_one_sample, conditioning or {})
        self.provenance = {"model": _fingerprint(self.unet), "feature": feature}

    @classmethod
    def from_pipeline(cls, pipeline, prompt="", *, feature="middle", size=None):
        """The denoiser of a pipeline under a prompt (one string), which an unconditional pipeline must leave empty.

        size: (height, width) of the picture in pixels, of which SDXL is told; None is the size of its training.
        Raises ValueError as the class does, and for pipelines whose conditioning is of another kind.
        """
        if not hasattr(pipeline, "unet"):
            raise ValueError(f"A pipeline with a UNet is needed (Stable Diffusion 1, 2, XL, DDPM, DDIM), got {type(pipeline).__name__}.")
        if not isinstance(prompt, str):
            raise ValueError(f"A denoiser has one prompt, a string, got a {type(prompt).__name__}; make one denoiser for each.")
        denoiser = cls(pipeline.unet, pipeline.scheduler, _conditioning(pipeline, prompt, size), feature=feature)
        denoiser.provenance["prompt"] = prompt_hash(prompt)
        return denoiser

    def denoise(self, x, sigma):
        """Predict x_0, never clipped. x: (b, c, h, w) in sampler coordinates (VE). Returns x's shape and precision."""
        z = self.schedule.to_network(x, sigma)
        predicted = self._network(z, sigma)[:, : x.shape[1]].to(x.dtype)  # channels beyond x's are a learned variance
        if self._prediction == "epsilon":
            return x - sigma * predicted
        return predicted if self._prediction == "sample" else (z - sigma * predicted) / (1 + sigma**2) ** 0.5

    def encode(self, z, sigma):
        """x_t -> h: z (b, c, h, w) in network coordinates (VP) -> (b, *H) in z's precision, differentiable both ways."""
        with Differentiable(), self._block.register_forward_hook(_leave):
            try:
                self._network(z, sigma)
            except Captured as captured:
                return captured.h.to(z.dtype)
        raise RuntimeError(f"The UNet ran without calling its block {self.feature!r}; restore the UNet's own forward.")

    def _network(self, z, sigma):
        dtype = self.unet.dtype
        timestep = self.schedule.timestep(sigma).round().long().to(z.device).expand(len(z))
        conditioning = _map_tensors(
            lambda part: part.to(z.device, dtype if part.is_floating_point() else None).expand(len(z), *part.shape[1:]),
            self.conditioning,
        )
        with _evaluating(self.unet):
            return self.unet(z.to(dtype), timestep, **conditioning, return_dict=False)[0]


@torch.no_grad()
def encode_image(pipeline, image):
    """Pictures to latents: (b, 3, h, w) RGB in [-1, 1] -> (b, c, h', w') float32; the same where there is no VAE."""
    with _vae(pipeline) as (vae, scale, shift):
        if vae is None:
            return image
        encoded = vae.encode(image.to(vae.device, vae.dtype))
    return ((encoded.latent_dist.mode() if hasattr(encoded, "latent_dist") else encoded.latents) - shift) * scale


@torch.no_grad()
def decode_latent(pipeline, latent):
    """The way back of `encode_image`: (b, c, h', w') -> (b, 3, h, w) float32, not clamped."""
    with _vae(pipeline) as (vae, scale, shift):
        return latent if vae is None else vae.decode(latent.to(vae.device, vae.dtype) / scale + shift, return_dict=False)[0]


@contextmanager
def _vae(pipeline):
    """(VAE or None, scaling factor, shift), for a while in float32: SDXL's VAE overflows in half precision."""
    vae = getattr(pipeline, "vae", None) or getattr(pipeline, "vqvae", None)
    if vae is None:
        yield None, 1.0, 0.0
        return
    found = vae.dtype
    torch.nn.Module.to(vae, torch.float32)  # the VAE's own `to` warns of every change of precision
    try:
        yield vae, vae.config["scaling_factor"], vae.config.get("shift_factor") or 0.0
    finally:
        torch.nn.Module.to(vae, found)


def _leave(block, inputs, output):
    raise Captured(output[0] if isinstance(output, tuple) else output)  # a down block returns its skips as well


@contextmanager
def _evaluating(unet):
    """Without dropout, and without checkpointing, which would compute everything again; as found afterwards."""
    switches = ("training", "gradient_checkpointing")
    found = [(module, name) for module in unet.modules() for name in switches if vars(module).get(name)]
    for module, name in found:
        setattr(module, name, False)
    try:
        yield
    finally:
        for module, name in found:
            setattr(module, name, True)


def _blocks(unet):
    """The blocks whose output can serve as h, by name, in the order of computation."""
    if not all(hasattr(unet, name) for name in ("down_blocks", "mid_block", "up_blocks")):
        raise ValueError(f"A diffusers UNet is needed (UNet2DModel or UNet2DConditionModel), got {type(unet).__name__}.")
    taken, returned = unet.config["in_channels"], unet.config["out_channels"]
    if returned < taken:
        raise ValueError(f"This UNet takes {taken} channels and returns {returned}, as for inpainting; choose another model.")
    down, up = ({f"{kind}_{i}": block for i, block in enumerate(getattr(unet, f"{kind}_blocks"))} for kind in ("down", "up"))
    return down | ({} if unet.mid_block is None else {"middle": unet.mid_block}) | up


def _schedule(scheduler):
    """(`VPSchedule`, prediction type) of a scheduler."""
    alphas, prediction = getattr(scheduler, "alphas_cumprod", None), scheduler.config.get("prediction_type", "epsilon")
    if alphas is None:
        raise ValueError(
            f"A scheduler with alphas_cumprod (DDPM, DDIM, PNDM, Euler, DPM-Solver) is needed, got {type(scheduler).__name__}; "
            "flow and EDM models cannot serve."
        )
    if prediction not in PREDICTIONS:
        raise ValueError(f"The scheduler's prediction_type must be one of {', '.join(PREDICTIONS)}, got {prediction!r}.")
    return VPSchedule(torch.where(alphas > 0, alphas, ZERO_SNR_ALPHA).cpu()), prediction


def _conditioning(pipeline, prompt, size):
    """Keyword arguments of the UNet's call under a prompt, as the pipeline itself makes them."""
    config = pipeline.unet.config
    added = config.get("addition_embed_type")
    if "cross_attention_dim" not in config:
        if prompt:
            raise ValueError(f"This pipeline is unconditional and takes no prompt, got {prompt!r}; leave the prompt empty.")
        return {}
    if not hasattr(pipeline, "encode_prompt") or added not in (None, "text_time") or pipeline.config.get("requires_aesthetics_score"):
        raise ValueError(
            f"{type(pipeline).__name__} conditions its UNet on more than a prompt; "
            "make a DiffusersDenoiser of its UNet, its scheduler and the keyword arguments of the UNet's call."
        )
    with torch.no_grad():
        text = pipeline.encode_prompt(prompt, device=pipeline._execution_device, num_images_per_prompt=1, do_classifier_free_guidance=False)
    if added is None:
        return {"encoder_hidden_states": text[0]}
    height, width = size or 2 * (config["sample_size"] * pipeline.vae_scale_factor,)
    time_ids = torch.tensor([[height, width, 0, 0, height, width]])  # original size, crop, target size
    return {"encoder_hidden_states": text[0], "added_cond_kwargs": {"text_embeds": text[2], "time_ids": time_ids}}


def _map_tensors(function, value):
    """The same nested dicts, lists and tuples, with a function applied to every tensor in them."""
    if isinstance(value, dict):
        return {name: _map_tensors(function, part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_map_tensors(function, part) for part in value)
    return function(value) if isinstance(value, torch.Tensor) else value


def _of_one_sample(tensor):
    if tensor.ndim == 0 or len(tensor) != 1:
        raise ValueError(f"Every tensor of the conditioning must be of batch 1, got shape {tuple(tensor.shape)}; give those of one sample.")
    return tensor


def _fingerprint(unet):
    """Names the weights, the same in every session. Reads a few numbers of every tensor."""
    digest = hashlib.sha256()
    hash_weights(digest, unet.state_dict())
    return digest.hexdigest()[:16]
