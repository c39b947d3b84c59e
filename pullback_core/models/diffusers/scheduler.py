"""The noise levels and the prediction type of a scheduler of diffusers."""

from typing import Any

import torch

from ..schedule import VPSchedule

PREDICTIONS = ("epsilon", "v_prediction", "sample")


def schedule_of(scheduler: Any) -> VPSchedule:
    """Read the noise levels of a scheduler.

    Args:
        scheduler: A scheduler with the model's `alphas_cumprod`.

    Returns:
        The schedule.

    Raises:
        ValueError: The scheduler is for another kind of model, such as a flow model.
    """
    alphas, config = getattr(scheduler, "alphas_cumprod", None), scheduler.config
    is_continuous = config.get("timestep_type") == "continuous" or config.get("use_flow_sigmas")
    if alphas is None or is_continuous:
        raise ValueError(
            "A scheduler with alphas_cumprod (DDPM, DDIM, PNDM, Euler, DPM-Solver) is needed, "
            f"got {type(scheduler).__name__}{' with continuous timesteps' if is_continuous else ''}; "
            "flow and EDM models cannot be used."
        )
    return VPSchedule(_precise_alphas(scheduler, alphas.cpu().double()))


def prediction_type_of(scheduler: Any) -> str:
    """Read what the model predicts.

    Args:
        scheduler: A scheduler.

    Returns:
        One of `PREDICTIONS`.

    Raises:
        ValueError: It is something else.
    """
    prediction = scheduler.config.get("prediction_type", "epsilon")
    if prediction not in PREDICTIONS:
        raise ValueError(
            f"The scheduler's prediction_type must be one of {', '.join(PREDICTIONS)}, got {prediction!r}."
        )
    return prediction


def _precise_alphas(scheduler: Any, alphas: torch.Tensor) -> torch.Tensor:
    """The alphas_cumprod of a scheduler, (T,) float64, without rounding errors near 1.

    With tiny betas, rounding makes the first values exactly 1, which means no noise. Such values are computed
    again from the betas.
    """
    betas = getattr(scheduler, "betas", None)
    if alphas[0] < 1 or not isinstance(betas, torch.Tensor) or betas.shape != alphas.shape:
        return alphas
    precise = torch.cumprod(1 - betas.cpu().double(), dim=0)
    if not torch.allclose(precise, alphas, rtol=1e-3, atol=1e-6):
        return alphas
    return torch.where(alphas > 0.5, precise, alphas)
