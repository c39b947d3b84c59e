"""Work within one sampling of the host.

A model is loaded and its conditionings are processed only while the host samples. `while_sampling` starts the
host's own sampling with a sampler that samples nothing and calls a function instead. So areas, masks, LoRA,
ControlNet, hooks and wrappers act as in any sampling, and the host cleans up as after any sampling.
"""

from weakref import WeakKeyDictionary, ref

import comfy.sample
import comfy.samplers
import torch

from ...pullback_core import NoisyLatent
from .denoiser import HostDenoiser, without_frames
from .differentiation import restoring_module_state
from .families import network_of
from .features import DEFAULT, feature_named
from .fingerprints import conditioning_fingerprint
from .level_memory import InitialState
from .loading import clone_for_derivatives
from .memory import request_product_memory
from .schedules import schedule_of

_passed_checks = WeakKeyDictionary()  # MODEL -> checks that `check_derivatives` need not repeat


def while_sampling(
    model, conditioning, latent, fn, *, sigmas=None, feature=DEFAULT, float32=False, products=False
):
    """Call a function within the host's sampling, where the model can be evaluated.

    Args:
        model: MODEL.
        conditioning: CONDITIONING.
        latent: LATENT of clean pictures, or of noisy ones at the level sigmas[0].
        fn: Called with a `HostDenoiser` and the pictures, on the model's device: clean ones as a tensor
            (b, c, h, w) in sampler coordinates, noisy ones as a `NoisyLatent`. Pictures are (b, c, h, w) also
            for models that hold a picture as a film of one frame.
        sigmas: (steps + 1,) the decreasing noise levels back from a noisy latent; None for a clean one.
        feature: A name of `features_of`, or `DEFAULT`.
        float32: Compute in float32, whatever the precision of the model.
        products: fn computes Jacobian products: the host frees the memory that they need for the feature.

    Returns:
        What fn returns.

    Raises:
        ValueError: There can be no work with this model, latent, noise level or feature.
    """
    schedule = schedule_of(model)
    if sigmas is not None:
        schedule.require_level(sigmas[0])
    feature = feature_named(model, feature)
    samples = _samples_of(model, latent)
    prompt = conditioning_fingerprint(conditioning)
    passed_checks = _passed_checks_of(model, conditioning, (float32, prompt))
    guider = _guider(model, conditioning, float32, feature if products else None)
    initial_state = InitialState(guider.model_patcher, conditioning)

    def work(x, options):
        x = without_frames(x)
        if sigmas is not None:
            # The host scales a LATENT with noise as if it were clean: its samplers put back the share of x_0.
            x = NoisyLatent(schedule.alpha(float(sigmas[0])) * x, sigmas)
        denoiser = HostDenoiser(guider, options, schedule, prompt, feature, passed_checks, initial_state)
        with restoring_module_state(network_of(guider.model_patcher)), denoiser.ending():
            return fn(denoiser, x)

    first = schedule.sigma_max if sigmas is None else float(sigmas[0])
    sampler = _CallInstead(work)
    try:
        guider.sample(
            torch.zeros_like(samples),
            samples,
            sampler,
            torch.tensor([first, 0.0]),
            disable_pbar=True,
            seed=0,
        )
    finally:
        initial_state.restore()
    return sampler.result


def _samples_of(model, latent):
    """The samples of a LATENT, (b, c, h, w) or (b, c, 1, h, w). Raises ValueError for what cannot serve."""
    if model.model_options.get("context_handler") is not None or latent["samples"].is_nested:
        raise ValueError(
            "A basis belongs to one whole picture: bypass nodes for context windows, and connect a latent of "
            "pictures alone."
        )
    samples = comfy.sample.fix_empty_latent_channels(model, latent["samples"])
    channels = model.get_model_object("latent_format").latent_channels
    if samples.ndim not in (4, 5) or samples.shape[1] != channels or samples.shape[2:-2].numel() != 1:
        raise ValueError(
            f"The latent has shape {tuple(samples.shape)}, and this model needs "
            f"(batch, {channels}, height, width); "
            "encode the picture with the VAE that belongs to this model."
        )
    return samples


def _passed_checks_of(model, conditioning, settings):
    """The checks that a MODEL passed with this CONDITIONING and these settings, also in earlier samplings."""
    key = (*settings, objects_of(conditioning))
    return _passed_checks.setdefault(model, {}).setdefault(key, {})


def objects_of(conditioning):
    """What a fingerprint does not tell of a CONDITIONING: its ControlNets and hooks, as weak references."""
    return tuple(_reference(extra.get(name)) for _, extra in conditioning for name in ("control", "hooks"))


def _reference(part):
    """Tells one object from every other, also after it is gone: an id may be given again."""
    return None if part is None else ref(part)


def _guider(model, conditioning, float32, feature):
    """A guider of the host that evaluates a clone of the MODEL with one CONDITIONING, without guidance.

    With a feature, the host frees memory for its Jacobian products.
    """
    model = clone_for_derivatives(model)
    if float32:
        model.set_model_compute_dtype(torch.float32)
    if feature is not None:
        request_product_memory(model, feature, len(conditioning))
    guider = comfy.samplers.CFGGuider(model)
    guider.set_conds(conditioning, conditioning)
    guider.set_cfg(1.0)
    return guider


class _CallInstead(comfy.samplers.Sampler):
    """A sampler that calls a function where sampling would happen."""

    def __init__(self, fn):
        self._fn = fn

    def sample(
        self,
        model_wrap,
        sigmas,
        extra_args,
        callback,
        noise,
        latent_image=None,
        denoise_mask=None,
        disable_pbar=False,
    ):
        self.result = self._fn(latent_image, extra_args["model_options"])
        return latent_image
