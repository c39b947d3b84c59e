"""Training: it stops when numbers are not finite, and refuses impossible options."""

import math

import pytest

from pullback_core import faces
from pullback_core.faces import train, workers


def train_in_this_process(monkeypatch):
    """Replace the processes of a training run by this one, which starts much faster."""

    def run(work, arguments, workers):
        assert workers == 1
        work(0, *arguments)

    monkeypatch.setattr(train, "run_workers", run)
    monkeypatch.setattr(workers.signal, "signal", lambda *_: None)


def test_training_stops_in_a_sentence_when_numbers_are_not_finite(tmp_path, monkeypatch):
    train_in_this_process(monkeypatch)
    checkpoint, options = tmp_path / "state.pt", {"batch": 4, "workers": 1, "save_every": 1}
    divergent = faces.TrainingOptions(steps=3, learning_rate=1e38, **options)
    with pytest.raises(ValueError, match=r"stopped at step .* finite.*nothing was saved.*1e\+38"):
        faces.train_model(checkpoint, divergent, progress=False)
    assert not list(tmp_path.iterdir())
    faces.train_model(checkpoint, faces.TrainingOptions(steps=1, **options), progress=False)
    sound = checkpoint.read_bytes()
    with pytest.raises(ValueError, match=r"state.pt' of step 1 is sound"):
        faces.train_model(checkpoint, divergent, progress=False)
    assert checkpoint.read_bytes() == sound


@pytest.mark.parametrize("seed", [2**64 - 1, -(2**63), 2**63])
def test_training_takes_every_seed_that_the_command_takes(seed, tmp_path, monkeypatch):
    train_in_this_process(monkeypatch)
    faces.train_model(
        tmp_path / "state.pt", faces.TrainingOptions(steps=1, batch=4, workers=1, seed=seed), progress=False
    )
    assert (tmp_path / "state.pt").is_file()


@pytest.mark.parametrize(
    "name, value",
    [
        ("steps", 0),
        ("batch", 0),
        ("batch", 6),
        ("workers", 0),
        ("save_every", 0),
        ("learning_rate", 0.0),
        ("learning_rate", math.nan),
        ("learning_rate", math.inf),
        ("ema", 1.0),
        ("ema", math.nan),
    ],
)
def test_impossible_training_options_are_refused(name, value):
    with pytest.raises(ValueError, match=name.replace("_", ".")):
        faces.TrainingOptions(**{name: value})
