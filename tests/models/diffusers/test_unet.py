"""The modes of a UNet while it computes, and networks that cannot be used."""

from functools import partial

import pytest
import torch
from tiny_pipelines import (
    SIGMA,
    autoencoder,
    ddim_scheduler,
    diffusers,
    draw,
    everything_about,
    jacobian_at,
    latents,
    noisy_latent,
    refused_in_one_sentence,
    text_conditioning,
    text_unet,
)

from pullback_core import adjoint_error, ddim, local_basis
from pullback_core.models.diffusers import DiffusersDenoiser


def state(unet):
    """All that using a UNet might leave behind, in a form to compare."""
    return [
        *(
            (
                name,
                module.training,
                getattr(module, "gradient_checkpointing", None),
                list(module._forward_hooks),
                list(module._forward_pre_hooks),
                vars(module).get("forward"),
            )
            for name, module in unet.named_modules()
        ),
        *(
            (name, weight.requires_grad, weight.dtype, weight.grad, weight._version)
            for name, weight in unet.named_parameters()
        ),
        *sorted((name, id(processor)) for name, processor in unet.attn_processors.items()),
    ]


class Broken(Exception):
    pass


@pytest.mark.parametrize("kind", ["sd"])
def test_the_unet_is_left_as_it_was_found(denoiser):
    unet = text_unet(dropout=0.5)
    unet.eval().enable_gradient_checkpointing()
    unet.mid_block.train()
    unet.down_blocks[0].requires_grad_(False)
    unet.mid_block.register_forward_hook(lambda *_: None)
    denoiser = DiffusersDenoiser(unet, ddim_scheduler(), denoiser.conditioning)
    before, noisy = state(unet), noisy_latent(latents(denoiser, 1))
    local_basis(denoiser, noisy, 2, max_products=8)
    ddim.generate(denoiser, noisy)
    assert state(unet) == before
    for error in (Broken, KeyboardInterrupt):

        def fail(*_, error=error):
            raise error

        hook = unet.mid_block.resnets[0].register_forward_pre_hook(fail)
        broken = state(unet)
        for function in (denoiser.encode, denoiser.denoise):
            with pytest.raises(error):
                function(noisy.x, SIGMA)
            assert state(unet) == broken
        hook.remove()
    assert state(unet) == before


@pytest.mark.parametrize("kind", ["sd"])
def test_dropout_and_checkpointing_are_off_for_the_time(denoiser):
    training = text_unet(dropout=0.5).train()
    training.enable_gradient_checkpointing()
    other = DiffusersDenoiser(training, ddim_scheduler(), denoiser.conditioning)
    x = latents(denoiser, 1)
    assert torch.equal(other.encode(x, SIGMA), denoiser.encode(x, SIGMA))
    assert torch.equal(other.denoise(x, SIGMA), denoiser.denoise(x, SIGMA))
    assert adjoint_error(jacobian_at(other, x[0])) < 1e-5


@pytest.mark.parametrize("kind", ["sd"])
def test_a_compiled_unet_serves_uncompiled(denoiser):
    compiled = DiffusersDenoiser(torch.compile(denoiser.unet), ddim_scheduler(), denoiser.conditioning)
    x = latents(denoiser, 1)
    assert torch.equal(compiled.encode(x, SIGMA), denoiser.encode(x, SIGMA))
    assert compiled.provenance["model"] == denoiser.provenance["model"]


def test_a_unet_spread_over_devices_serves(plain):
    for found, exact in zip(everything_about(torch.nn.DataParallel(text_unet().eval())), plain, strict=True):
        assert torch.equal(found, exact)


class XFormersAttnProcessor(diffusers.models.attention_processor.AttnProcessor2_0):
    """Stands for that of a library which is not installed here."""


def cached(unet):
    diffusers.hooks.HookRegistry.check_if_exists_or_initialize(unet.mid_block).register_hook(
        Cache(), "a_cache"
    )


class Cache(diffusers.hooks.ModelHook):
    _is_stateful = True


def with_xformers(unet):
    unet.set_attn_processor(XFormersAttnProcessor())


@pytest.mark.parametrize(
    "change, message",
    [(with_xformers, "XFormersAttnProcessor.*disable_xformers"), (cached, "cache.*a_cache")],
    ids=["xformers", "cache"],
)
def test_what_has_no_derivative_is_refused(change, message):
    unet = text_unet()
    change(unet)
    denoiser = DiffusersDenoiser(unet, ddim_scheduler(), text_conditioning())
    with pytest.raises(ValueError, match=message):
        denoiser.encode(draw(1, 4, 8, 8), SIGMA)


@pytest.mark.parametrize(
    "make_unet, feature, message",
    [
        (autoencoder, "middle", "diffusers UNet is needed.*AutoencoderKL"),
        (diffusers.UNet1DModel, "middle", "UNet2DConditionModel.*UNet1DModel"),
        (partial(text_unet, in_channels=9), "middle", "9 channels and returns 4"),
        (text_unet, "bottom", "'bottom'.*down_0, down_1, middle, up_0, up_1"),
        (partial(text_unet, mid_block_type=None), "middle", "'middle'.*down_0, down_1, up_0, up_1"),
    ],
)
def test_a_network_or_feature_that_cannot_be_used_is_refused(make_unet, feature, message):
    unet = make_unet()
    refused_in_one_sentence(message, lambda: DiffusersDenoiser(unet, ddim_scheduler(), feature=feature))
