"""MODEL and CONDITIONING of ComfyUI as the core's `Denoiser`."""

import copy
from contextlib import contextmanager, nullcontext
from functools import partial

import comfy.model_management
import comfy.model_patcher
import comfy.samplers
import torch

from ...pullback_core.models.denoiser import PICTURE, Denoiser
from ...pullback_core.models.stop import StopForward
from .attention import ExactAttention, differentiable_attention, exact_hosted_attention
from .differentiation import (
    differentiable,
    in_float32,
    releasing_prefetched_weights,
    without_low_precision_matmul,
)
from .families import network_of
from .features import feature_named, stopping_at
from .fingerprints import model_fingerprint
from .level_memory import LevelMemory, SamplingPath, is_active
from .memory import evaluation_batch_size, products_exceed_memory

OVERRIDE = "optimized_attention_override"


class HostDenoiser(Denoiser):
    """The core's `Denoiser` over a guider of the host that is sampling.

    `while_sampling` makes it, and it is of no use after that call. An evaluation depends on its arguments
    alone, also where hooks, wrappers or ControlNets remember earlier ones; see `level_memory`. For Jacobian
    products, `check_derivatives` makes a `CheckedDenoiser` of it.

    Attributes:
        schedule: The `NoiseSchedule` of the model.
        provenance: As in every `Denoiser`, with "precision" (a dtype) in addition.
        feature: The name of the block whose output is h, or `PICTURE`.
        passed_checks: What `check_derivatives` found out in this and in earlier samplings.
        networks: The modules that are computed with.
        foreign_operators: The names of other libraries' operators that `encode` met.
    """

    def __init__(self, guider, options, schedule, prompt, feature, passed_checks, initial_state):
        self.schedule, self.feature, self.passed_checks = schedule, feature, passed_checks
        self.foreign_operators = set()
        self._guider, self._options, self._initial_state = guider, options, initial_state
        self._memory, self._path, self._in_order = LevelMemory(guider, options), None, False
        self._entries = [[entry] for entry in guider.conds["positive"]]
        self._holds_films = guider.inner_model.latent_format.latent_dimensions == 3
        self._network = network_of(guider.model_patcher)
        # The models that are loaded beside it belong to ControlNets and to patches.
        self.networks = [self._network, *_modules_of(guider.loaded_models)]
        precision = guider.inner_model.manual_cast_dtype or guider.inner_model.get_dtype()
        self.provenance = {
            "model": model_fingerprint(guider.model_patcher),
            "prompt": prompt,
            "feature": feature,
            "precision": str(precision).removeprefix("torch."),
        }

    def with_feature(self, feature):
        """The same denoiser with another feature, within the same sampling.

        Raises:
            ValueError: The model has no such feature.
        """
        other = copy.copy(self)
        other.feature = feature_named(self._guider.model_patcher, feature)
        other.provenance = {**self.provenance, "feature": other.feature}
        return other

    def along(self, sigmas, in_order=False):
        """The same denoiser at these noise levels, within the same sampling.

        Args:
            sigmas: (steps + 1,) the decreasing noise levels of a sampler of the host. Without this call, a
                sampler is taken to start at each level that is evaluated.
            in_order: Every level is evaluated once, in falling order, and nothing else meanwhile. Then the
                host's objects keep what they remember from one evaluation to the next, as in its own
                samplers.
        """
        other = copy.copy(self)
        other._path, other._in_order = SamplingPath(sigmas), in_order
        if in_order:
            other._options = other._options_on(other._path)
            other._memory.restore_start()
        return other

    def depends_on_start(self, schedules, x0):
        """As `Denoiser.depends_on_start`. The host is sampled along the longest of the schedules."""
        paths = [SamplingPath(sigmas) for sigmas in schedules]
        self._record(paths[0], x0)
        return self._memory.depends_on_start(paths)

    def denoise(self, x, sigma):
        if self._in_order:
            return self._evaluate(x, sigma, self._options)
        if self._path is not None:
            self._record(self._path, x)
        return self._evaluate(x, sigma, self._arrive(sigma))

    def encode(self, x, sigma, *, float32=False, copy_slices=False):
        """The feature of x, computed by operations that autograd can differentiate.

        Args:
            x: (b, c, h, w) in sampler coordinates.
            sigma: The noise level of x.
            float32: Compute in float32, whatever the precision of the model.
            copy_slices: As in `differentiable`.

        Returns:
            (b, *H). The features of several prompts stand in one row: (b, n). `PICTURE` is one picture, of
            x's shape and in sampler coordinates: the host combines the prompts as in `denoise`.

        Raises:
            ValueError: No prompt is active at this noise level, the prompts have different hooks, or the
                block of the feature did not run.
        """
        if len({id(entry.get("hooks")) for (entry,) in self._entries}) > 1:
            raise ValueError(
                "The prompts have different hooks, so they are of different models; give all of them the "
                "same hooks."
            )
        computing = partial(self._differentiable, float32, copy_slices)
        return self._encode(x, sigma, computing, differentiable_attention)

    def encode_as_hosted(self, x, sigma, *, float32=False):
        """The feature of x, computed by the kernels that the host samples with, to check `encode` against it.

        Two things differ from the host's sampling, because their rounding would hide the differences that a
        check looks for: weights are unpacked, and attention is not computed in int8.
        """
        return self._encode(x, sigma, partial(self._as_hosted, float32), exact_hosted_attention())

    def sigmas_above(self, sigma):
        """The noise levels that the host's objects remember at this one, a tuple; None if there are none."""
        if self._path is None or not (self._path.has_memory or self._memory.has_keyframes):
            return None
        return self._path.sigmas_above(sigma)

    def keep_after_error(self):
        """Keep the state of other nodes' objects after a failed evaluation, also when this sampling is over.

        Such an object may have changed for good, to a kernel that works for example. Restoring it would
        repeat the error.
        """
        self._memory.accept_changes()
        self._initial_state.accept_changes()

    @contextmanager
    def ending(self):
        """Within it, evaluations may change what the host's objects remember. Exit restores them."""
        try:
            yield
        finally:
            self._memory.restore_start()

    def evaluation_batch_size(self, latent_shape):
        """How many evaluations of latents (c, h, w) run at once, None for all of them."""
        return evaluation_batch_size(self._guider.inner_model, latent_shape)

    def products_exceed_memory(self, latent_shape):
        """Whether the activations of one Jacobian product at a latent (c, h, w) exceed the free memory."""
        patcher, prompts = self._guider.model_patcher, len(self._entries)
        return products_exceed_memory(patcher, self.feature, latent_shape, prompts)

    def product_limits(self, latent_shape):
        """Only a `CheckedDenoiser` has limits, because the check decides them."""
        raise RuntimeError(
            "The products of this denoiser have not been checked: call check_derivatives, and use the "
            "CheckedDenoiser that it returns."
        )

    @contextmanager
    def _differentiable(self, float32, copy_slices):
        computing = differentiable(self.networks, self.foreign_operators, copy_slices)
        with computing, self._precision(float32):
            yield

    @contextmanager
    def _as_hosted(self, float32):
        with without_low_precision_matmul(self.networks), self._precision(float32), ExactAttention():
            yield

    def _precision(self, float32):
        controls = [entry["control"] for (entry,) in self._entries if entry.get("control") is not None]
        return in_float32(self._guider.inner_model, controls) if float32 else nullcontext()

    def _with_frames(self, x):
        return x.unsqueeze(2) if self._holds_films else x

    def _options_on(self, path):
        """The model options of an evaluation on this path. They tell the network all its levels."""
        options = comfy.model_patcher.create_model_options_clone(self._options)
        sigmas = path.sigmas.to(self._guider.model_patcher.load_device)
        options.setdefault("transformer_options", {})["sample_sigmas"] = sigmas
        return options

    def _arrive(self, sigma):
        """Put the host's objects into their state at a noise level. Returns the options of one evaluation."""
        path = self._path or SamplingPath([sigma, 0.0])
        self._memory.restore_at(path, sigma)
        return self._options_on(path)

    def _evaluate(self, x, sigma, options):
        comfy.model_management.throw_exception_if_processing_interrupted()
        try:
            x = self._with_frames(x)
            return without_frames(self._guider(x, _levels(x, sigma), model_options=options, seed=0))
        finally:
            self._memory.after_evaluation()

    def _record(self, path, x):
        """Let the memory record the states along a path, with noisy versions of a nearly clean picture x."""
        options = self._options_on(path)

        def evaluate(sigma, seed):
            noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(seed)).to(x)
            self._evaluate(self.schedule.add_noise(x, noise, sigma), sigma, options)

        self._memory.record(path, evaluate)

    def _encode(self, x, sigma, computing, attention):
        """The features of all prompts, or the picture that the host predicts with all of them.

        Args:
            x: (b, c, h, w) in sampler coordinates.
            sigma: The noise level of x.
            computing: Called for each evaluation; gives the context manager around it.
            attention: An `optimized_attention_override`, or None.
        """
        level = _levels(x, sigma)[0]
        if not any(is_active(entry, level) for (entry,) in self._entries):
            raise ValueError(
                "No conditioning is active at this noise level; widen its timestep range, or choose another "
                "level."
            )
        if self.feature == PICTURE:
            hooks = self._entries[0][0].get("hooks")
            options = self._options_to_encode(sigma, hooks, attention)
            with computing():
                return self._evaluate(x, sigma, options).float()
        features = []
        for (entry,) in self._entries:  # one by one: how many the host runs together depends on free memory
            options = self._options_to_encode(sigma, entry.get("hooks"), attention)
            try:
                with computing():
                    h = self._feature_of(entry, x, sigma, options)
            finally:
                self._memory.after_evaluation()
            if h is not None:
                features.append(h)
        return features[0] if len(features) == 1 else torch.cat([h.flatten(1) for h in features], dim=1)

    def _options_to_encode(self, sigma, hooks, attention):
        """The options of one evaluation. The host's objects and weights get their state at this level."""
        options = self._arrive(sigma)
        self._memory.apply_hooks(hooks)
        if attention:
            options["transformer_options"].setdefault(OVERRIDE, attention)
        return options

    def _feature_of(self, entry, x, sigma, options):
        """The feature of one prompt, None where the prompt is not active."""
        comfy.model_management.throw_exception_if_processing_interrupted()
        x = self._with_frames(x)
        levels = _levels(x, sigma)
        with stopping_at(self._network, self.feature, options["transformer_options"]):
            try:
                with releasing_prefetched_weights():
                    comfy.samplers.calc_cond_batch(self._guider.inner_model, [[entry]], x, levels, options)
            except StopForward as stop:
                return stop.h
        if is_active(entry, levels[0]):
            raise ValueError(
                f"The block {self.feature} did not run, so there is nothing to read: a node that patches the "
                "model leaves this block out, replaces it or ends before it. Bypass that node, or choose "
                "another feature."
            )
        return None


def without_frames(x):
    """The picture of a film of one frame: (b, c, 1, h, w) or (b, c, h, w) -> (b, c, h, w)."""
    return x.squeeze(2) if x.ndim == 5 else x


def _levels(x, sigma):
    """A noise level as the host's networks take it: one number for each picture."""
    return torch.full((len(x),), float(sigma), dtype=torch.float32, device=x.device)


def _modules_of(patchers):
    """The networks of a list of loaded models."""
    models = [getattr(patcher, "model", None) for patcher in patchers]
    return [model for model in models if isinstance(model, torch.nn.Module)]
