"""The size of a study."""

import math

import pytest

from pullback_core.study import Settings
from pullback_core.study.settings import points


def test_impossible_settings_are_refused():
    with pytest.raises(ValueError, match="at least 3"):
        Settings(samples=2)
    with pytest.raises(ValueError, match="must contain"):
        Settings(early=0.33)
    for wrong in (0.701, 0.704, 0.0, 1.2, math.nan):  # between two steps there is no noisy latent
        with pytest.raises(ValueError, match="multiples of 1/50"):
            Settings(timesteps=(0.1, 0.4, wrong, 0.86, 1.0))
    with pytest.raises(ValueError, match="must rise"):
        Settings(timesteps=(0.4, 0.1, 0.86, 0.86, 1.0))


def test_every_basis_of_a_study_is_listed_once():
    settings = Settings(samples=3)
    listed = points(settings)
    assert len(set(listed)) == len(listed)
    assert {point.timestep for point in listed} == set(settings.timesteps)
    assert {point.prompt for point in listed} == set(settings.prompts)
    assert {point.feature for point in listed} == set(settings.features)
    assert {point.rank for point in listed} == {settings.rank, settings.deep_rank}
