"""The check of a model's derivatives. What passes it is a `CheckedDenoiser`."""

import math
from functools import partial
from typing import NamedTuple

import torch

from ...pullback_core import NoisyLatent
from ...pullback_core.linalg.check import DerivativeErrors, derivative_errors
from ...pullback_core.local_basis import feature_jacobian, in_network_coordinates
from ...pullback_core.models.denoiser import Denoiser, ProductLimits
from .memory import plain_weights

# The bundled model has: adjoint 1e-7, difference at most 0.009, value 1e-6.
ADJOINT_TOLERANCE, DIFFERENCE_TOLERANCE, VALUE_TOLERANCE = 0.02, 0.1, 0.05
# For models with operators of other libraries, which may drop a derivative silently:
PRECISION_TOLERANCE, FOREIGN_DIFFERENCE_TOLERANCE = 0.3, 0.03


class CheckResult(NamedTuple):
    """What the check of one feature at one noise level found.

    Attributes:
        errors: `DerivativeErrors`.
        products_one_by_one: Whether the products have to run one by one.
        copy_slices: Whether slices have to be copied, see the core's `Differentiable`.
    """

    errors: DerivativeErrors
    products_one_by_one: bool
    copy_slices: bool


class _DenoiserWithProducts(Denoiser):
    """A `HostDenoiser` that is differentiated in a certain way, with the limits of its products.

    Args:
        denoiser: A `HostDenoiser`.
        products_one_by_one: Run the products one by one.
        copy_slices: As in the core's `Differentiable`.
    """

    def __init__(self, denoiser, products_one_by_one, copy_slices):
        self.denoiser = denoiser
        self.schedule, self.provenance = denoiser.schedule, denoiser.provenance
        self.products_one_by_one, self.copy_slices = products_one_by_one, copy_slices

    def denoise(self, x, sigma):
        return self.denoiser.denoise(x, sigma)

    def encode(self, x, sigma, *, float32=False):
        """As `HostDenoiser.encode`."""
        return self.denoiser.encode(x, sigma, float32=float32, copy_slices=self.copy_slices)

    def depends_on_start(self, schedules, x0):
        return self.denoiser.depends_on_start(schedules, x0)

    def product_limits(self, latent_shape):
        """How many products at a latent (c, h, w) run at once, and whether the memory is too small for them.

        How many run at once does not depend on the free memory, so results are the same on every machine.
        """
        one_by_one = self.products_one_by_one
        batch_size = 1 if one_by_one else self.denoiser.evaluation_batch_size(latent_shape)
        exceeded = self.denoiser.products_exceed_memory(latent_shape)
        return ProductLimits(batch_size, exceeded, plain_weights(self.denoiser.networks))


class CheckedDenoiser(_DenoiserWithProducts):
    """A `HostDenoiser` whose derivatives are right. `check_derivatives` makes it.

    Attributes:
        denoiser: The `HostDenoiser`.
        errors: The `DerivativeErrors` that the check found.
        products_one_by_one: Whether the products have to run one by one, because an operation knows no vmap.
        copy_slices: Whether slices have to be copied, because the network overwrites what autograd keeps.
    """

    def __init__(self, denoiser, errors, products_one_by_one=False, copy_slices=False):
        super().__init__(denoiser, products_one_by_one, copy_slices)
        self.errors = errors

    def along(self, sigmas, in_order=False):
        denoiser = self.denoiser.along(sigmas, in_order)
        return CheckedDenoiser(denoiser, self.errors, self.products_one_by_one, self.copy_slices)


def check_derivatives(denoiser, noisy):
    """Refuse a model whose derivatives are wrong. Some kernels drop them silently.

    J v is compared with J^T u by the adjoint identity, and in float32 with differences of what the host
    itself computes. The value f(x) is compared with the host's. This costs about eight products. A check that
    was passed is not repeated for the same model, shape, precision, conditioning and noise level.

    Args:
        denoiser: A `HostDenoiser`.
        noisy: One noisy latent.

    Returns:
        A `CheckedDenoiser`.

    Raises:
        ValueError: The derivatives are wrong, or there are none.
    """
    x, sigma = noisy.x, noisy.sigma
    key = denoiser.feature, tuple(x.shape), x.dtype, sigma, denoiser.sigmas_above(sigma)
    result = denoiser.passed_checks.get(key)
    if result is None:
        with torch.no_grad():
            # The host may cache tensors of a first evaluation. They must not belong to an autograd graph.
            denoiser.encode_as_hosted(x, sigma)
        result = _measure(denoiser, noisy)
        _require_right(result.errors, denoiser.foreign_operators)
        denoiser.passed_checks[key] = result
    return CheckedDenoiser(denoiser, *result)


def check_derivatives_over_time(denoiser, x0, timesteps):
    """As `check_derivatives`, at several timesteps, since a patch may act at some of them only.

    The picture with plain noise serves: derivatives are right or wrong at every point.

    Args:
        denoiser: A `HostDenoiser`.
        x0: (1, c, h, w), the clean picture in sampler coordinates.
        timesteps: Fractions of T above 0.

    Returns:
        A `CheckedDenoiser` for all timesteps, with the largest of the errors.

    Raises:
        ValueError: The derivatives are wrong at a timestep, or there are none.
    """
    noise = torch.randn(x0.shape, generator=torch.Generator().manual_seed(0)).to(x0)
    checked = []
    for timestep in timesteps:
        sigma = denoiser.schedule.sigma(timestep)
        sigmas = torch.tensor([sigma, 0.0], dtype=torch.float64)
        noisy = NoisyLatent(denoiser.schedule.add_noise(x0, noise, sigma), sigmas)
        checked.append(check_derivatives(denoiser, noisy))
    return CheckedDenoiser(
        denoiser,
        DerivativeErrors(*map(max, zip(*(one.errors for one in checked)))),
        any(one.products_one_by_one for one in checked),
        any(one.copy_slices for one in checked),
    )


def check_features(denoiser, noisy, features):
    """As `check_derivatives`, for several features of one model.

    Args:
        denoiser: A `HostDenoiser`.
        noisy: One noisy latent.
        features: Names of `features_of`.

    Returns:
        A `CheckedDenoiser` for each feature that passes, and {feature: why not} of the others. If the
        products of one feature have to run one by one, all do, so that their times can be compared.

    Raises:
        ValueError: No feature passes.
    """
    checked, refused = [], {}
    for feature in features:
        try:
            checked.append(check_derivatives(denoiser.with_feature(feature), noisy))
        except ValueError as error:  # a patch may act in a deeper block only
            refused[feature] = str(error)
    if not checked:
        raise ValueError(refused[features[0]])
    one_by_one = any(one.products_one_by_one for one in checked)
    alike = []
    for one in checked:
        alike.append(CheckedDenoiser(one.denoiser, one.errors, one_by_one, one.copy_slices))
    return alike, refused


def _measure(denoiser, noisy):
    """The `CheckResult` of the fastest way to differentiate a denoiser.

    An operation may know no vmap, or the network may overwrite what autograd keeps. Then the fast way fails
    every time, and the products run one by one with copied slices. An error that does not come again, such as
    one of a busy device, says nothing about the model: so the fast way is tried twice.
    """
    for careful in (False, False, True):
        candidate = _DenoiserWithProducts(denoiser, products_one_by_one=careful, copy_slices=careful)
        try:
            return CheckResult(_errors(candidate, noisy), careful, careful)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            failure = error
            denoiser.keep_after_error()
    reason = (str(failure).strip() or type(failure).__name__).splitlines()[0]
    raise ValueError(
        f"This model cannot be differentiated here ({reason}), so there is no basis: "
        "bypass nodes that patch the model, or choose an earlier feature."
    ) from failure


def _errors(candidate, noisy):
    """The `DerivativeErrors` of a `_DenoiserWithProducts` at a noisy latent."""

    def as_function_of_z(encode):
        return in_network_coordinates(encode, candidate.schedule, noisy.sigma)

    hosted, precise = candidate.denoiser.encode_as_hosted, None
    if candidate.provenance["precision"] not in ("float32", "float64"):
        precise = (
            as_function_of_z(partial(candidate.encode, float32=True)),
            as_function_of_z(partial(hosted, float32=True)),
        )
    jacobian = feature_jacobian(candidate, noisy)
    return derivative_errors(jacobian, as_function_of_z(hosted), precise=precise)


def _require_right(errors, foreign_operators):
    """Raise ValueError unless these `DerivativeErrors` are small enough."""
    if errors.value != math.inf and not errors.value <= VALUE_TOLERANCE:
        raise ValueError(
            "This model gives another value every time, or within a derivative (value error "
            f"{errors.value:.1e}), so a basis would be meaningless: bypass nodes that work at random, such "
            "as token merging."
        )
    # A foreign operator may drop a derivative in half precision only. The precision error shows it, and a
    # strongly curved map can make that error as large: refuse both.
    lost = bool(foreign_operators) and not errors.precision <= PRECISION_TOLERANCE
    tolerance = FOREIGN_DIFFERENCE_TOLERANCE if foreign_operators else DIFFERENCE_TOLERANCE
    if lost or not (errors.adjoint <= ADJOINT_TOLERANCE and errors.difference <= tolerance):
        raise ValueError(
            f"The derivatives of this model are wrong here (adjoint error {errors.adjoint:.1e}, "
            f"difference error {errors.difference:.1e}, precision error {errors.precision:.1e}), so a basis "
            "would be meaningless: bypass nodes that patch the model, of which one has no derivative, or "
            "start ComfyUI with --use-pytorch-cross-attention."
        )
