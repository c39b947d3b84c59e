"""What a pipeline of diffusers gives its UNet under a prompt, and which pipelines can be used."""

from typing import Any, NamedTuple

import torch

from ...linalg.precision import without_autocast
from .conditioning import setting
from .unet import unwrapped

BY_HAND = "make a DiffusersDenoiser of its UNet, its scheduler and the keyword arguments of the UNet's call"
SIDE_NETWORKS = ("controlnet", "adapter")  # components of a pipeline
TEXT_ENCODERS = ("text_encoder", "text_encoder_2")  # components of a pipeline


class PipelineKind(NamedTuple):
    """How the `__call__` of a pipeline class uses the UNet at guidance 1, and the VAE.

    Attributes:
        takes_size: The UNet is also given pooled text embeddings and the size of the picture.
        latent_statistics: Latents are scaled by the VAE's latents_mean and latents_std, where it has them.
        latent_shift: Latents are shifted by the VAE's shift_factor, where it has one.
    """

    takes_size: bool
    latent_statistics: bool
    latent_shift: bool


TEXT = PipelineKind(takes_size=False, latent_statistics=False, latent_shift=False)
TEXT_AND_SIZE = PipelineKind(takes_size=True, latent_statistics=True, latent_shift=False)
# Pipelines that give their UNet the encoded prompt and sizes and nothing else. The name is that of the class
# that defines `__call__`.
KINDS = {
    "StableDiffusionPipeline": TEXT,
    "StableDiffusionImg2ImgPipeline": TEXT,
    "StableDiffusionInpaintPipeline": TEXT,
    "StableDiffusionInpaintPipelineLegacy": TEXT,
    "StableDiffusionDiffEditPipeline": TEXT,
    "AltDiffusionPipeline": TEXT,
    "AltDiffusionImg2ImgPipeline": TEXT,
    "LatentConsistencyModelPipeline": TEXT,
    "LatentConsistencyModelImg2ImgPipeline": TEXT,
    "StableDiffusionXLPipeline": TEXT_AND_SIZE,
    "StableDiffusionXLImg2ImgPipeline": TEXT_AND_SIZE,
    "StableDiffusionXLInpaintPipeline": TEXT_AND_SIZE,
    "KolorsPipeline": TEXT_AND_SIZE,
    "KolorsImg2ImgPipeline": TEXT_AND_SIZE,
}


def kind_of(pipeline: Any) -> PipelineKind | None:
    """Find the row of `KINDS` for a pipeline.

    Args:
        pipeline: A pipeline.

    Returns:
        The row; None for a pipeline that is not in the table, or whose `__call__` is not diffusers' own.
    """
    for kind in type(pipeline).__mro__:
        if "__call__" in vars(kind):
            return KINDS.get(kind.__name__) if kind.__module__.split(".")[0] == "diffusers" else None
    return None


def text_encoders_of(pipeline: Any) -> list[Any]:
    """List the text encoders of a pipeline."""
    encoders = [getattr(pipeline, name, None) for name in TEXT_ENCODERS]
    return [encoder for encoder in encoders if encoder is not None]


@without_autocast()
def conditioning_of(pipeline: Any, prompt: str, size: tuple[int, int] | None) -> dict[str, Any]:
    """Make the keyword arguments of the UNet's call, as the pipeline itself makes them at guidance 1.

    Args:
        pipeline: A pipeline with a UNet.
        prompt: One prompt.
        size: (height, width) of the picture in pixels; None is the size of the training.

    Returns:
        The keyword arguments, every tensor of batch 1.

    Raises:
        ValueError: The pipeline gives its UNet more than a prompt, or takes no prompt.
    """
    unet = unwrapped(pipeline.unet)
    config = getattr(unet, "config", {})
    if getattr(unet, "class_embedding", None) is not None:
        raise ValueError(
            f"The UNet of this {type(pipeline).__name__} needs class labels, which a prompt cannot give; "
            f"{BY_HAND}."
        )
    if "cross_attention_dim" not in config:
        if prompt:
            raise ValueError(
                f"This pipeline is unconditional and takes no prompt, got {prompt!r}; leave the prompt empty."
            )
        return {}
    kind = _require_prompt_only(pipeline, config)
    encoded = _encode_prompt(pipeline, prompt)
    embeddings = encoded[0]
    conditioning: dict[str, Any] = {"encoder_hidden_states": embeddings}
    if kind.takes_size:
        conditioning["added_cond_kwargs"] = {
            "text_embeds": encoded[2],
            "time_ids": _time_ids(pipeline, config, size).to(embeddings.dtype),
        }
    if config.get("time_cond_proj_dim") is not None:
        # A distilled UNet is told the guidance scale minus 1.
        guidance = pipeline.get_guidance_scale_embedding(
            torch.zeros(1), embedding_dim=config["time_cond_proj_dim"]
        )
        conditioning["timestep_cond"] = guidance.to(embeddings)
    return conditioning


@torch.no_grad()
def _encode_prompt(pipeline: Any, prompt: str) -> tuple[Any, ...]:
    """(embeddings, negative ones), and where the UNet takes sizes also (pooled embeddings, negative ones)."""
    return pipeline.encode_prompt(
        prompt,
        device=pipeline._execution_device,
        num_images_per_prompt=1,
        do_classifier_free_guidance=False,
    )


def _time_ids(pipeline: Any, config: Any, size: tuple[int, int] | None) -> torch.Tensor:
    """(1, 6): original size, crop and target size of the picture, in pixels."""
    side = config["sample_size"] * pipeline.vae_scale_factor
    height, width = size or (side, side)
    return torch.tensor([[height, width, 0, 0, height, width]])


def _require_prompt_only(pipeline: Any, config: Any) -> PipelineKind:
    """Refuse a pipeline that conditions its UNet on more than a prompt, or may do so. Returns its kind."""
    name = type(pipeline).__name__
    if setting(config, "encoder_hid_dim_type") == "ip_image_proj":
        raise ValueError(
            f"This {name} has an IP-Adapter, which conditions its UNet on a picture; "
            f"call pipeline.unload_ip_adapter(), or {BY_HAND}, "
            "with the picture as image_embeds in added_cond_kwargs."
        )
    side_network = next((part for part in SIDE_NETWORKS if getattr(pipeline, part, None) is not None), None)
    if side_network:
        raise ValueError(
            f"{name} conditions its UNet on more than a prompt: its {side_network} adds to the features "
            "at every noise level; use the pipeline without it."
        )
    kind = kind_of(pipeline)
    if kind is None or _takes_more_than_a_prompt(pipeline, config, kind):
        raise ValueError(f"{name} conditions its UNet on more than a prompt, or may do so; {BY_HAND}.")
    if not text_encoders_of(pipeline):
        raise ValueError(
            f"This {name} has no text encoder, so it cannot read a prompt; load one, or {BY_HAND}."
        )
    return kind


def _takes_more_than_a_prompt(pipeline: Any, config: Any, kind: PipelineKind) -> bool:
    return bool(
        setting(config, "addition_embed_type") != ("text_time" if kind.takes_size else None)
        or setting(config, "encoder_hid_dim_type") not in (None, "text_proj")
        or "gated" in (setting(config, "attention_type") or "")
        or pipeline.config.get("requires_aesthetics_score")
    )
