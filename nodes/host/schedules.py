"""The noise levels of a MODEL of the host, as the core's `NoiseSchedule`."""

import comfy.model_sampling

from ...pullback_core import FlowSchedule, VPSchedule
from .families import family_of

FLOW_TOLERANCE = 1e-3  # how far a flow model's noise levels may be from those of `FlowSchedule`
COMPARED = (0.1, 0.3, 0.7, 0.9)  # the fractions of the way at which they are compared


def schedule_of(model):
    """The `NoiseSchedule` of a MODEL.

    Raises:
        ValueError: The model is of an unknown family or predicts in an unknown way. The message names it.
    """
    family_of(model)
    return schedule_in(model.get_model_object("model_sampling"))


def schedule_in(sampling):
    """The `NoiseSchedule` of a model's `model_sampling`. Raises ValueError where it is of an unknown kind."""
    flow = _flow_schedule(sampling)
    if flow is not None:
        return flow
    if not _is_discrete_vp(sampling):
        kinds = "/".join(kind.__name__ for kind in type(sampling).__bases__)
        raise ValueError(
            f"This model samples as {kinds}; only eps- and v-prediction (SD 1.x, SD 2.x, SDXL) and rectified "
            "flow (Flux, SD3, Qwen-Image and others) are known here."
        )
    return VPSchedule(1 / (1 + sampling.sigmas.cpu().double() ** 2))


def ddim_sigmas(model, steps, timestep):
    """The noise levels of DDIM from a fraction of T to the clean end.

    Args:
        model: MODEL.
        steps: How many DDIM steps.
        timestep: The fraction of T at which they start.

    Returns:
        SIGMAS, (steps + 1,) decreasing to 0.

    Raises:
        ValueError: The host could not hold the noisy latent. At the noisy end of a flow model nothing of the
            picture is left in it.
    """
    schedule = schedule_of(model)
    sigmas = schedule.sigmas(steps, start=timestep)
    if not schedule.alpha(float(sigmas[0])) > 0:
        raise ValueError(
            f"At timestep {timestep:g} nothing of the picture is left in a flow model's latent; "
            "choose at most 0.99."
        )
    return sigmas


def _flow_schedule(sampling):
    """The `FlowSchedule` with the host's noise levels, None where there is none."""
    if not isinstance(sampling, comfy.model_sampling.CONST):
        return None
    middle = float(sampling.percent_to_sigma(0.5))
    schedule = FlowSchedule(middle / (1 - middle))
    for percent in COMPARED:
        if not abs(schedule.sigma(1 - percent) - sampling.percent_to_sigma(percent)) < FLOW_TOLERANCE:
            return None
    return schedule


def _is_discrete_vp(sampling):
    """Whether a model predicts eps or v at discrete noise levels."""
    others = (comfy.model_sampling.EDM, comfy.model_sampling.CONST, comfy.model_sampling.IMG_TO_IMG)
    if not isinstance(sampling, comfy.model_sampling.EPS) or isinstance(sampling, others):
        return False
    return hasattr(sampling, "sigmas")
