"""What a node refuses before it computes.

Every refusal is a ValueError with one sentence, which says what to connect instead.
"""

from ..pullback_core.basis import are_same_level
from ..pullback_core.models.fingerprint import are_same_picture
from ..pullback_core.noisy import lacks_noise
from . import host


def require_noise_level(model, sigmas):
    """Refuse SIGMAS that do not start at a noise level of the MODEL. Returns that noise level."""
    if len(sigmas) < 2 or sigmas[0] == 0:
        first = [float(value) for value in sigmas[:3]]
        raise ValueError(f"The SIGMAS start without noise ({first}); connect those of DDIM Invert.")
    return host.schedule_of(model).require_level(sigmas[0])


def require_single_latent(latent):
    """Refuse a LATENT with several pictures."""
    count = len(latent["samples"])
    if count != 1:
        raise ValueError(
            f"The latent holds {count} pictures, and a basis belongs to one; pick one with Latent From Batch."
        )


def require_same_level(latent, sigma):
    """Refuse a LATENT that is known to have another noise level than the SIGMAS, which start at `sigma`."""
    for origin in host.origins_of(latent):
        if origin is not None and not are_same_level(origin.sigma, sigma):
            raise ValueError(
                f"The SIGMAS start at noise level {sigma:.4g}, and the latent has level {origin.sigma:.4g}; "
                "connect the SIGMAS of the DDIM Invert that made this latent."
            )


def require_single_noisy_latent(model, latent, sigmas):
    """Refuse LATENT and SIGMAS that do not describe one noisy picture of the MODEL."""
    sigma = require_noise_level(model, sigmas)
    require_single_latent(latent)
    require_same_level(latent, sigma)


def require_noise(denoiser, latent, noisy):
    """Refuse clean pictures where noisy ones are needed. noisy: the LATENT as a `NoisyLatent`."""
    lacking = lacks_noise(noisy, denoiser.schedule)
    for lacks, origin in zip(lacking, host.origins_of(latent)):
        if lacks and origin is None:
            raise ValueError(
                f"The latent is a clean picture, without the noise of level {noisy.sigma:.4g}; "
                "connect the LATENT of DDIM Invert in the place of that of VAE Encode."
            )


def require_own_basis(denoiser, basis, latent, noisy):
    """Refuse a basis of another size, or one that is known to be of another model, noise level or picture.

    noisy: the LATENT as a `NoisyLatent`.
    """
    if basis.v.shape[1:] != noisy.x.shape[1:]:
        raise ValueError(
            f"A basis of shape {tuple(basis.v.shape[1:])} does not fit a latent of shape "
            f"{tuple(noisy.x.shape[1:])}; compute the basis at the size of this latent."
        )
    _require_same_model(denoiser, basis)
    if not are_same_level(basis.sigma, noisy.sigma):
        raise ValueError(
            f"The basis is of noise level {basis.sigma:.4g}, and the SIGMAS start at {noisy.sigma:.4g}; "
            "connect the LATENT and the SIGMAS that the basis was computed from."
        )
    for origin in host.origins_of(latent):
        if origin is not None:
            _require_same_origin(origin, basis)


def _require_same_model(denoiser, basis):
    connected = denoiser.provenance["model"]
    model = basis.provenance.get("model", connected)
    if model != connected:
        raise ValueError(
            f"The basis is of another model ({model}) than the connected one ({connected}); connect the "
            "model that the basis was made with, with the same LoRAs, or compute a basis with this one."
        )


def _require_same_origin(origin, basis):
    if not are_same_level(origin.sigma, basis.sigma):
        raise ValueError(
            f"The basis is of noise level {basis.sigma:.4g}, and the latent has level {origin.sigma:.4g}; "
            "connect a Pullback Basis of this latent and its SIGMAS."
        )
    if not are_same_picture(origin.picture, basis.provenance.get("picture", "")):
        raise ValueError(
            "The basis is of another picture than the latent; connect a Pullback Basis of this latent, "
            "or carry the direction over with Parallel Transport."
        )


def require_directions(basis, first, count=1):
    """Refuse directions that a basis does not have. Returns them as a basis.

    Args:
        basis: A basis.
        first: The first direction, counted from 1 as artists do.
        count: How many directions.
    """
    last = first + count - 1
    if last > basis.rank:
        raise ValueError(
            f"This basis has directions 1 to {basis.rank}, got {last}; compute a basis of higher rank."
        )
    return basis.select(range(first - 1, last))


def require_kept_parts(latent):
    """Refuse a noise mask on a noisy LATENT whose clean picture is unknown. Returns `host.kept_parts`."""
    parts = host.kept_parts(latent)
    if latent.get("noise_mask") is not None and None in parts:
        raise ValueError(
            "The latent has a mask, but it is unknown what the picture below it was; connect the LATENT of "
            "DDIM Invert or of X-Space Guidance Edit."
        )
    return parts
