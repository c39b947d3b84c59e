"""MODEL and CONDITIONING of ComfyUI, reduced to the core's `Denoiser`.

A model is loaded and its conditionings are processed only while the host samples. So `while_sampling` starts the
host's own sampling with a sampler that samples nothing, and calls a function there. Areas, masks, LoRA,
ControlNet, hooks and wrappers act as in any sampling, and the host cleans up as after any sampling.
"""

import copy
import hashlib
import math
from contextlib import contextmanager, nullcontext
from functools import partial
from weakref import WeakKeyDictionary, ref

import comfy.model_management
import comfy.model_patcher
import comfy.model_sampling
import comfy.patcher_extension
import comfy.sample
import comfy.samplers
import torch

from ...pullback_core import FlowSchedule, VPSchedule
from ...pullback_core.models.fingerprint import hash_weights
from ...pullback_core.models.stop import StopForward
from .attention import ExactAttention, differentiable_attention, exact_hosted_attention
from .differentiation import differentiable, in_float32, left_early, unpacked, without_trace
from .features import ending_at, family_of, feature_named, network_of
from .loading import clone_for_derivatives
from .state import FoundState, Memory, Way, is_active

OVERRIDE = "optimized_attention_override"
FINGERPRINT = "pullback_fingerprint"  # attached to a model whose file the core knows
SMALL = 64 * 2**20  # bytes of activations of one evaluation, up to which many run at once
# What a record keeps, in the host's estimates of an evaluation: measured 0.9 (SD1.5), 1.1 (SDXL at 1024 x 1024), 0.5 (six blocks of
# Flux's width, where twenty-eight precede h).
PRODUCT_MEMORY = 3


_passed_checks = WeakKeyDictionary()  # MODEL -> what `check_derivatives` need not do again


def while_sampling(
    model, conditioning, latent, fn, *, sigma=0.0, feature="middle", float32=False, products=False
):
    """Call fn(denoiser, x) within the host's sampling, and return what it returns.

    latent: the host's LATENT, with noise of level sigma left in it; x: its samples in sampler coordinates (VE or flow), on
    the model's device, (b, c, h, w), also for models that hold a picture as a film of one frame.
    feature: see `features_of`. float32: compute in float32, whatever the model's precision.
    products: whether fn computes Jacobian products, for which the host then frees more memory.
    Raises ValueError, in a sentence for the user, for models, latents, noise levels and features that cannot serve.
    """
    schedule = schedule_of(model)
    if sigma != 0:
        schedule.require_level(sigma)
    feature = feature_named(model, feature)
    if model.model_options.get("context_handler") is not None or latent["samples"].is_nested:
        raise ValueError(
            "A basis belongs to one whole picture: bypass nodes for context windows, and connect a latent of pictures alone."
        )
    samples = comfy.sample.fix_empty_latent_channels(model, latent["samples"])
    channels = model.get_model_object("latent_format").latent_channels
    if samples.ndim not in (4, 5) or samples.shape[1] != channels or samples.shape[2:-2].numel() != 1:
        raise ValueError(
            f"The latent has shape {tuple(samples.shape)}, and this model needs (batch, {channels}, height, width); "
            "encode the picture with the VAE that belongs to this model."
        )
    prompt = _hash_conditioning(conditioning)
    others = tuple(_reference(extra.get(name)) for _, extra in conditioning for name in ("control", "hooks"))
    passed = _passed_checks.setdefault(model, {}).setdefault((float32, prompt, others), {})
    model = clone_for_derivatives(model)
    if float32:
        model.set_model_compute_dtype(torch.float32)
    if products:
        model.add_wrapper_with_key(
            comfy.patcher_extension.WrappersMP.PREPARE_SAMPLING, "pullback", _ask_for_products
        )
    guider = comfy.samplers.CFGGuider(model)
    guider.set_conds(conditioning, conditioning)
    guider.set_cfg(1.0)

    found = FoundState(model, conditioning)

    def work(x, options):
        # What the host keeps between nodes has noise but is scaled as if clean: its samplers put x_0's share back.
        denoiser = HostDenoiser(guider, options, schedule, prompt, feature, passed, found)
        with without_trace(network_of(guider.model_patcher)), denoiser.ending():
            return fn(denoiser, schedule.alpha(sigma) * _picture(x))

    call = _Call(work)
    levels = torch.tensor([sigma or schedule.sigma_max, 0.0])
    try:
        guider.sample(torch.zeros_like(samples), samples, call, levels, disable_pbar=True, seed=0)
    finally:
        found.restore()
    return call.result


def _reference(part):
    """Tells one object from every other; an id is given again when its object is gone."""
    return None if part is None else ref(part)


def _ask_for_products(executor, model, noise_shape, *args, **kwargs):
    """Around the host's loading of models: have it free what products take, by the name of a larger batch than there is."""
    held, computed = model.model.get_dtype(), model.get_model_object("manual_cast_dtype")
    # Reverse mode keeps the weights that were made for it until it has used them.
    weights = 0 if computed in (None, held) else model.model_size() * computed.itemsize / held.itemsize
    evaluation = model.model.memory_required(list(noise_shape))
    batch = math.ceil(PRODUCT_MEMORY + weights / evaluation)
    return executor(model, [batch * noise_shape[0], *noise_shape[1:]], *args, **kwargs)


class _Call(comfy.samplers.Sampler):
    """A sampler that calls a function where sampling would happen."""

    def __init__(self, fn):
        self.fn = fn

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
        self.result = self.fn(latent_image, extra_args["model_options"])
        return latent_image


def _picture(x):
    """The picture of a film of one frame: (b, c, 1, h, w) or (b, c, h, w) -> (b, c, h, w)."""
    return x.squeeze(2) if x.ndim == 5 else x


class HostDenoiser:
    """The core's `Denoiser` over a guider that is sampling. Made by `while_sampling`, of no use outside it.

    Every evaluation depends on its arguments alone, also where hooks, wrappers or ControlNets remember earlier ones; see `state`.
    """

    careful = False  # set where the network cannot be differentiated otherwise: products one by one, and parts of tensors as copies

    def __init__(self, guider, options, schedule, prompt, feature, passed_checks, found):
        self.schedule, self.feature, self.passed_checks, self._found = schedule, feature, passed_checks, found
        self._guider, self._options = guider, options
        self._memory, self._way, self._in_order = Memory(guider, options), None, False
        self.foreign = set()  # operators of other libraries that `encode` met
        self._entries = [[entry] for entry in guider.conds["positive"]]
        self._frames = guider.inner_model.latent_format.latent_dimensions == 3
        self._network = network_of(guider.model_patcher)
        self._networks = [
            self._network,
            *_modules_of(guider.loaded_models),
        ]  # these are of ControlNets and of patches
        precision = guider.inner_model.manual_cast_dtype or guider.inner_model.get_dtype()
        self.provenance = {
            "model": _fingerprint(guider.model_patcher),
            "prompt": prompt,
            "feature": feature,
            "precision": str(precision).removeprefix("torch."),
        }

    def with_feature(self, feature):
        """The same denoiser with another feature, within the same call of `while_sampling`. Raises ValueError for one that the model lacks."""
        other = copy.copy(self)
        other.feature = feature_named(self._guider.model_patcher, feature)
        other.provenance = {**self.provenance, "feature": other.feature}
        return other

    def along(self, sigmas, in_order=False):
        """The same denoiser on a way of noise levels, within the same call of `while_sampling`.

        sigmas: (steps + 1,) decreasing, the way back that a sampler of the host takes. Without a way, it would start at each level.
        in_order: every level is evaluated once, falling, and nothing else is evaluated meanwhile: then the host's objects
            keep what they remember from one evaluation to the next, as in the host's own samplers.
        """
        other = copy.copy(self)
        other._way, other._in_order = Way(sigmas), in_order
        if in_order:
            other._options = other._options_on(other._way)
            other._memory.start()
        return other

    def depends_on_start(self, ways, x):
        """Whether samplers on these ways, SIGMAS with the same end and the longest first, meet some level in different states.

        x: (b, c, h, w), the clean picture, in sampler coordinates.
        """
        ways = [Way(sigmas) for sigmas in ways]
        self._record(ways[0], x)
        return self._memory.depends_on_start(ways)

    def denoise(self, x, sigma):
        if self._in_order:
            return self._evaluate(x, sigma, self._options)
        if self._way is not None:
            self._record(self._way, x)
        return self._evaluate(x, sigma, self._arrive(sigma))

    def encode(self, z, sigma, float32=False):
        if len({id(entry.get("hooks")) for (entry,) in self._entries}) > 1:
            raise ValueError(
                "The prompts have different hooks, so they are of different models; give all of them the same hooks."
            )
        return self._encode(z, sigma, partial(self._differentiable, float32), differentiable_attention)

    def encode_as_hosted(self, z, sigma, float32=False):
        """`encode` by the very kernels that the host samples with, to check the others against.

        But weights are unpacked, and attention is not computed in int8: such steps hide what differences are to show.
        """
        return self._encode(z, sigma, partial(self._as_hosted, float32), exact_hosted_attention())

    def levels_above(self, sigma):
        """The noise levels that the host's objects remember at this one, as a tuple; None where they remember none."""
        if self._way is None or not (self._way.remembers or self._memory.has_keyframes):
            return None
        return tuple(self._way.levels[: self._way.above(sigma)])

    def keep_after_error(self):
        """Keep what objects of other nodes remember of an evaluation that failed, for the time after this call of `while_sampling` as well.

        Such an object may have changed for good, to a kernel that works for example. To put it back would repeat the error.
        """
        self._memory.keep_others()
        self._found.keep_others()

    @contextmanager
    def ending(self):
        """Within it, evaluations may change what the host's objects remember. It is as at the start afterwards."""
        try:
            yield
        finally:
            self._memory.start()

    def batch_size(self, latent_shape):
        """How many evaluations of latents (c, h, w) run at once: the same on every machine, for results that repeat."""
        small = self._guider.inner_model.memory_required([1, *latent_shape]) <= SMALL
        return None if small and not self.careful else 1

    def memory(self, latent_shape):
        """What a `Jacobian` at a latent (c, h, w) shall make of the memory that the host has free: its `batch_size` and `offload`."""
        free = comfy.model_management.get_free_memory(self._guider.model_patcher.load_device)
        needed = PRODUCT_MEMORY * self._guider.inner_model.memory_required([1, *latent_shape])
        return {"batch_size": self.batch_size(latent_shape), "offload": free < needed}

    @contextmanager
    def _differentiable(self, float32):
        with differentiable(self._networks, self.foreign, copies=self.careful), self._precision(float32):
            yield

    @contextmanager
    def _as_hosted(self, float32):
        with unpacked(self._networks), self._precision(float32), ExactAttention():
            yield

    def _precision(self, float32):
        controls = [entry["control"] for (entry,) in self._entries if entry.get("control") is not None]
        return in_float32(self._guider.inner_model, controls) if float32 else nullcontext()

    def _hosted(self, x):
        return x.unsqueeze(2) if self._frames else x

    def _levels(self, x, sigma):
        return torch.full((len(x),), float(sigma), dtype=torch.float32, device=x.device)

    def _options_on(self, way):
        options = comfy.model_patcher.create_model_options_clone(self._options)
        options.setdefault("transformer_options", {})["sample_sigmas"] = way.sigmas.to(
            self._guider.model_patcher.load_device
        )
        return options

    def _arrive(self, sigma):
        """Put the host's objects into their state at a noise level. Returns the model options of one evaluation there."""
        way = self._way or Way([sigma, 0.0])
        self._memory.arrive(way, sigma)
        return self._options_on(way)

    def _evaluate(self, x, sigma, options):
        comfy.model_management.throw_exception_if_processing_interrupted()
        try:
            return _picture(
                self._guider(self._hosted(x), self._levels(x, sigma), model_options=options, seed=0)
            )
        finally:
            self._memory.done()

    def _record(self, way, x):
        """Have the memory know the states along a way, from noisy versions of a picture x that is nearly clean."""
        options = self._options_on(way)

        def evaluate(sigma, seed):
            noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(seed)).to(x)
            self._evaluate(self.schedule.add_noise(x, noise, sigma), sigma, options)

        self._memory.record(way, evaluate)

    def _encode(self, z, sigma, computing, attention):
        """The features of all prompts. computing(): a context manager for one evaluation."""
        features = []
        for (entry,) in self._entries:  # one by one: how many the host runs together depends on free memory
            options = self._arrive(sigma)
            self._memory.apply_hooks(entry.get("hooks"))
            if attention:
                options["transformer_options"].setdefault(OVERRIDE, attention)
            try:
                with computing():
                    features += self._features_of(entry, z, sigma, options)
            finally:
                self._memory.done()
        if not features:
            raise ValueError(
                "No conditioning is active at this noise level; widen its timestep range, or choose another level."
            )
        return features[0] if len(features) == 1 else torch.cat([h.flatten(1) for h in features], dim=1)

    def _features_of(self, entry, z, sigma, options):
        """The feature of one prompt, as a list, which is empty where the prompt is not active."""
        comfy.model_management.throw_exception_if_processing_interrupted()
        x = self._hosted(self.schedule.from_network(z, sigma))
        levels = self._levels(x, sigma)
        with ending_at(self._network, self.feature, options["transformer_options"]):
            try:
                with left_early():
                    comfy.samplers.calc_cond_batch(self._guider.inner_model, [[entry]], x, levels, options)
            except StopForward as stop:
                return [stop.h]
        if is_active(entry, levels[0]):
            raise ValueError(
                f"The block {self.feature} did not run, so there is nothing to read: a node that patches the model leaves this block "
                "out, replaces it or ends before it. Bypass that node, or choose another feature."
            )
        return []


def _modules_of(patchers):
    return [
        patcher.model for patcher in patchers if isinstance(getattr(patcher, "model", None), torch.nn.Module)
    ]


def schedule_of(model):
    """The `NoiseSchedule` of a MODEL. Raises ValueError, naming it, for a model of an unknown family or kind of prediction."""
    family_of(model)
    return schedule_in(model.get_model_object("model_sampling"))


def schedule_in(sampling):
    """As `schedule_of`, for a model's `model_sampling`."""
    if isinstance(sampling, comfy.model_sampling.CONST):
        middle = float(sampling.percent_to_sigma(0.5))
        schedule = FlowSchedule(middle / (1 - middle))
        if all(
            abs(schedule.sigma(1 - percent) - sampling.percent_to_sigma(percent)) < 1e-3
            for percent in (0.1, 0.3, 0.7, 0.9)
        ):
            return schedule
    foreign = (comfy.model_sampling.EDM, comfy.model_sampling.CONST, comfy.model_sampling.IMG_TO_IMG)
    if (
        not isinstance(sampling, comfy.model_sampling.EPS)
        or isinstance(sampling, foreign)
        or not hasattr(sampling, "sigmas")
    ):
        kinds = "/".join(kind.__name__ for kind in type(sampling).__bases__)
        raise ValueError(
            f"This model samples as {kinds}; only eps- and v-prediction (SD 1.x, SD 2.x, SDXL) and rectified flow (Flux, SD3, "
            "Qwen-Image and others) are known here."
        )
    return VPSchedule(1 / (1 + sampling.sigmas.cpu().double() ** 2))


def _fingerprint(model):
    """Names the weights and patches of a model, the same in every session. Reads a few numbers of every tensor."""
    known = model.get_attachment(FINGERPRINT)
    digest = hashlib.sha256(str(known).encode())
    if known is None:
        weights = model.model.diffusion_model.state_dict()
        kept = {
            name: model.backup[f"diffusion_model.{name}"].weight
            for name in weights
            if f"diffusion_model.{name}" in model.backup
        }
        hash_weights(digest, weights | kept)
    for name in sorted(model.patches, key=str):
        digest.update(f"{name} {[(patch[0], _numbers(patch[1])) for patch in model.patches[name]]}".encode())
    return known if known and not model.patches else digest.hexdigest()[:16]


def _numbers(part, everything=False):
    """What tells a weight patch or a part of a conditioning from others, whatever its kind: a few numbers of every tensor, or all."""
    if isinstance(part, torch.Tensor):
        values = part.detach().float().flatten()
        return (
            hashlib.sha256(values.cpu().numpy().tobytes()).hexdigest() if everything else values[:4].tolist()
        )
    if isinstance(part, dict):
        return [(str(name), _numbers(value, everything)) for name, value in part.items()]
    if isinstance(part, list | tuple):
        return [_numbers(value, everything) for value in part]
    if hasattr(part, "weights"):
        return _numbers(part.weights, everything)
    return part if isinstance(part, str | int | float) else type(part).__name__


def _hash_conditioning(conditioning):
    """Names what a conditioning says and where, by every number in it."""
    digest = hashlib.sha256()
    for tensor, extra in conditioning:
        for name, part in [("", tensor), *sorted(extra.items())]:
            digest.update(f"{name} {_numbers(part, everything=True)}".encode())
    return digest.hexdigest()[:16]
