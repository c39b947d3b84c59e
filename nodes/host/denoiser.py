"""MODEL and CONDITIONING of ComfyUI, reduced to the core's `Denoiser`.

A model is loaded and its conditionings are processed only while the host samples. So `run` starts the
host's own sampling with a sampler that samples nothing, and calls a function there. Areas, masks, LoRA,
ControlNet, hooks and wrappers act as in any sampling, and the host cleans up as after any sampling.
"""

import hashlib

import comfy.model_management
import comfy.model_patcher
import comfy.model_sampling
import comfy.sample
import comfy.samplers
import torch
from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel

from ...pullback_core import Jacobian, VPSchedule, adjoint_error
from ...pullback_core.basis import hash_weights
from ...pullback_core.jacobian import contiguous_norms, difference_error
from .attention import differentiable_attention

OVERRIDE = "optimized_attention_override"
FINGERPRINT = "pullback_fingerprint"  # attached to a model whose file the core knows
SMALL = 64 * 2**20  # bytes of activations of one evaluation, up to which many run at once
ADJOINT_TOLERANCE, DIFFERENCE_TOLERANCE = 0.02, 0.3


def run(model, conditioning, latent, fn, *, feature="middle", float32=False):
    """Call fn(denoiser, x) within the host's sampling, and return what it returns.

    latent: the host's LATENT; x: its samples in sampler coordinates (VE), on the model's device, (b, c, h, w).
    feature: see `features_of`. float32: compute in float32, whatever the model's precision.
    Raises ValueError, in a sentence for the user, for models, latents and features that cannot serve.
    """
    schedule = schedule_of(model)
    if feature not in features_of(model):
        raise ValueError(f"This model has no block named {feature!r}; choose one of {', '.join(features_of(model))}.")
    samples = comfy.sample.fix_empty_latent_channels(model, latent["samples"])
    channels = model.get_model_object("latent_format").latent_channels
    if samples.ndim != 4 or samples.shape[1] != channels:
        raise ValueError(
            f"The latent has shape {tuple(samples.shape)}, and this model needs (batch, {channels}, height, width); "
            "encode the picture with the VAE that belongs to this model."
        )
    if float32:
        model = model.clone()
        model.set_model_compute_dtype(torch.float32)
    guider = comfy.samplers.CFGGuider(model)
    guider.set_conds(conditioning, conditioning)
    guider.set_cfg(1.0)
    call = _Call(lambda x, options: fn(HostDenoiser(guider, options, schedule, conditioning, feature), x))
    levels = torch.tensor([schedule.sigma_max, 0.0])
    guider.sample(torch.zeros_like(samples), samples, call, levels, disable_pbar=True, seed=0)
    return call.result


class _Call(comfy.samplers.Sampler):
    """A sampler that calls a function where sampling would happen."""

    def __init__(self, fn):
        self.fn = fn

    def sample(self, model_wrap, sigmas, extra_args, callback, noise, latent_image=None, denoise_mask=None, disable_pbar=False):
        self.result = self.fn(latent_image, extra_args["model_options"])
        return latent_image


class HostDenoiser:
    """The core's `Denoiser` over a guider that is sampling. Made by `run`, of no use outside it."""

    def __init__(self, guider, options, schedule, conditioning, feature):
        self.schedule, self.feature = schedule, feature
        self._guider, self._options = guider, options
        self._entries = [[entry] for entry in guider.conds["positive"]]
        self.provenance = {
            "model": _fingerprint(guider.model_patcher), "prompt": _hash_conditioning(conditioning), "feature": feature,
        }

    def denoise(self, x, sigma):
        comfy.model_management.throw_exception_if_processing_interrupted()
        return self._guider(x, self._levels(x, sigma), model_options=self._options, seed=0)

    def encode(self, z, sigma):
        with contiguous_norms(self._guider.inner_model.diffusion_model):
            return self._encode(z, sigma, differentiable_attention)

    def encode_as_hosted(self, z, sigma):
        """`encode` by the very kernels that the host samples with, to check the others against."""
        return self._encode(z, sigma, None)

    def batch_size(self, latent_shape):
        """How many evaluations of latents (c, h, w) run at once: the same on every machine, for results that repeat."""
        return None if self._guider.inner_model.memory_required([1, *latent_shape]) <= SMALL else 1

    def _levels(self, x, sigma):
        return torch.full((len(x),), float(sigma), dtype=torch.float32, device=x.device)

    def _encode(self, z, sigma, attention):
        comfy.model_management.throw_exception_if_processing_interrupted()
        x = self.schedule.from_network(z, sigma)
        options = comfy.model_patcher.create_model_options_clone(self._options)
        transformer = options["transformer_options"] = {**options.get("transformer_options", {})}
        transformer["patches"] = _tapped(transformer.get("patches", {}), self.feature)
        if attention and transformer.setdefault(OVERRIDE, attention) is not attention:
            raise ValueError("Another node replaces this model's attention, which has no derivative here; bypass that node.")
        features = []
        for entry in self._entries:  # one by one: how many the host runs together depends on free memory
            try:
                comfy.samplers.calc_cond_batch(self._guider.inner_model, [entry], x, self._levels(x, sigma), options)
            except _Captured as captured:
                features.append(captured.h)
        if not features:
            raise ValueError("No conditioning is active at this noise level; widen its timestep range, or choose another level.")
        return features[0] if len(features) == 1 else torch.cat([h.flatten(1) for h in features], dim=1)


class _Captured(BaseException):
    """Carries h out of the network, past all that was still to be computed."""

    def __init__(self, h):
        self.h = h


def _tapped(patches, feature):
    """The model's patches, and one that leaves the network with the feature."""
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
    raise _Captured(h.float())


def features_of(model):
    """Names of the blocks whose output can serve as h, in the order of computation."""
    network = model.get_model_object("diffusion_model")
    if not isinstance(network, UNetModel):
        raise ValueError(
            f"A pullback basis needs a UNet (SD1.x, SD2.x, SDXL or the bundled faces model), got {type(network).__name__}."
        )
    inputs = [f"input_{index}" for index in range(len(network.input_blocks))]
    return [*inputs, "middle", *(f"output_{index}" for index in range(len(network.output_blocks) - 1))]


def schedule_of(model):
    """The `NoiseSchedule` of a MODEL. Raises ValueError for a kind that is not eps- or v-prediction."""
    return schedule_in(model.get_model_object("model_sampling"))


def schedule_in(sampling):
    """As `schedule_of`, for a model's `model_sampling`."""
    foreign = (comfy.model_sampling.EDM, comfy.model_sampling.CONST, comfy.model_sampling.IMG_TO_IMG)
    if not isinstance(sampling, comfy.model_sampling.EPS) or isinstance(sampling, foreign) or not hasattr(sampling, "sigmas"):
        kinds = "/".join(kind.__name__ for kind in type(sampling).__bases__)
        raise ValueError(f"This model samples as {kinds}; only eps- and v-prediction models (SD1.x, SD2.x, SDXL) are known here.")
    return VPSchedule(1 / (1 + sampling.sigmas.double().cpu() ** 2))


def check_derivatives(denoiser, z, sigma):
    """Refuse a model whose derivatives are wrong, as some kernels' are, silently. z: (1, c, h, w). Costs about ten products.

    The adjoint identity compares J v with J^T u; a difference compares J v with what the host itself computes.
    A wide one suits half precision, a narrow one a strongly curved model; wrong derivatives pass neither.
    """
    jacobian = Jacobian(lambda points: denoiser.encode(points, sigma), z[0])
    adjoint = adjoint_error(jacobian)
    hosted = lambda points: denoiser.encode_as_hosted(points, sigma)
    difference = min(difference_error(jacobian, hosted, change=change) for change in (1e-2, 1e-3))
    if not (adjoint <= ADJOINT_TOLERANCE and difference <= DIFFERENCE_TOLERANCE):
        raise ValueError(
            "The derivatives of this model are wrong here, so a basis would be meaningless "
            f"(adjoint error {adjoint:.1e}, difference error {difference:.1e}). Some patch or kernel in use has no derivative: "
            "bypass nodes that patch the model, or start ComfyUI with --use-pytorch-cross-attention."
        )


def _fingerprint(model):
    """Names the weights and patches of a model, the same in every session. Reads a few numbers of every tensor."""
    known = model.get_attachment(FINGERPRINT)
    digest = hashlib.sha256(str(known).encode())
    if known is None:
        weights = model.model.diffusion_model.state_dict()
        kept = {name: model.backup[f"diffusion_model.{name}"].weight for name in weights if f"diffusion_model.{name}" in model.backup}
        hash_weights(digest, weights | kept)
    for name in sorted(model.patches, key=str):
        digest.update(f"{name} {[(patch[0], _numbers(patch[1])) for patch in model.patches[name]]}".encode())
    return known if known and not model.patches else digest.hexdigest()[:16]


def _numbers(patch):
    """A few numbers of every tensor within a weight patch, whatever its kind."""
    if isinstance(patch, torch.Tensor):
        return patch.flatten()[:4].float().tolist()
    if isinstance(patch, list | tuple):
        return [_numbers(part) for part in patch]
    if hasattr(patch, "weights"):
        return _numbers(patch.weights)
    return patch if isinstance(patch, str | int | float) else type(patch).__name__


def _hash_conditioning(conditioning):
    digest = hashlib.sha256()
    for tensor, extra in conditioning:
        for part in (tensor, extra.get("pooled_output")):
            if part is not None:
                digest.update(part.detach().float().cpu().numpy().tobytes())
    return digest.hexdigest()[:16]
