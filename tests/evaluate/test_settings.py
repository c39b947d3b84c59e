"""The size of an evaluation: what does not fit is refused."""

import pytest

from pullback_core.evaluate import Settings


@pytest.mark.parametrize(
    "options, message",
    [
        ({"faces": 1}, "at least 2 faces"),
        ({"timesteps": (0.4, 0.7)}, "must contain the default"),
        ({"timesteps": (0.5, 0.4)}, "must rise"),
        ({"timesteps": (0.5, 0.55)}, "multiples of 1/10"),
        ({"timesteps": (0.5, 1.1)}, "at most 1"),
    ],
)
def test_what_does_not_fit_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Settings(**options)


def test_every_face_gets_directions_from_others_and_never_from_itself():
    settings = Settings(faces=4)
    assert settings.sources == 3
    assert settings.sources_of(2) == [3, 0, 1]
    assert Settings().faces * Settings().sources >= 200
