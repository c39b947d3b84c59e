"""What a study measures."""

import numpy as np
import pytest
import torch
from small_study import SMALL

from pullback_core import ddim, faces
from pullback_core.study.measure import basis_tasks, edit_tasks, others, trajectory
from pullback_core.study.store import Store


def test_a_carried_edit_is_the_edit_along_the_carried_direction(study):
    store = Store(study[0] / "cache", SMALL)
    edits = store.edits(1, 0.9)
    assert [row["source"] for row in edits["carried"]] == [2, 3] and len(edits["own"]) == 1
    assert all(0 <= row["alignment"] <= 1 and np.linalg.norm(row["change"]) > 0 for row in edits["carried"])


def test_a_sample_is_kept_at_every_timestep_on_its_way():
    denoiser = faces.FacesDenoiser(faces.load_model())
    way = trajectory(denoiser, 3, SMALL)
    assert set(way) == set(SMALL.timesteps)
    clean = ddim.generate(denoiser, way[0.9])
    for timestep, noisy in way.items():
        assert noisy.sigma == pytest.approx(denoiser.schedule.sigma(timestep), rel=1e-5)
        assert len(noisy.sigmas) == SMALL.steps_to(timestep) + 1 and noisy.sigmas[-1] == 0
        torch.testing.assert_close(ddim.generate(denoiser, noisy), clean, atol=1e-5, rtol=1e-5)


def test_directions_come_from_other_samples():
    assert [others(target, SMALL) for target in range(4)] == [[1, 2], [2, 3], [3, 0], [0, 1]]


def test_everything_is_missing_from_an_empty_cache(tmp_path):
    store = Store(tmp_path, SMALL)
    assert len(basis_tasks(store)) == 2 * SMALL.samples and len(edit_tasks(store)) == 2 * SMALL.samples


def test_nothing_is_missing_after_a_study(study):
    store = Store(study[0] / "cache", SMALL)
    assert not basis_tasks(store) and not edit_tasks(store)
