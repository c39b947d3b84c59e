"""What is measured, and the tasks for what is missing."""

from dataclasses import replace

from small_evaluation import SMALL

from pullback_core.evaluate import measurements
from pullback_core.evaluate.store import Store


def test_there_is_one_task_for_each_face_and_timestep_until_it_is_done(evaluation, store, tmp_path):
    settings = replace(SMALL, timesteps=(0.25, 0.5))
    tasks = measurements.tasks(Store(tmp_path, settings))
    assert len(tasks) == 4 and all(function is measurements.measure_point for function, _ in tasks)
    assert measurements.tasks(store) == []


def test_results_have_names_of_their_own(tmp_path):
    store = Store(tmp_path, SMALL)
    paths = [
        one.path(store, face, 0.5)
        for face in (0, 1)
        for one in measurements.all_measurements(SMALL, face, 0.5)
    ]
    assert len(set(paths)) == len(paths)


def test_a_rotated_kind_depends_on_the_source_of_the_rotation():
    assert "directions/rotation.py" in measurements.edits("picture_rotated").code
    assert "directions/rotation.py" not in measurements.edits("picture").code
    assert "directions/averaging.py" in measurements.edits("h_averaged").code
