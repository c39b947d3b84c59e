"""The cache of a study."""

import shutil
from dataclasses import replace

import pytest
from small_study import SMALL

from pullback_core.study import run_study
from pullback_core.study.settings import Point, points
from pullback_core.study.store import Store


def test_a_damaged_file_of_the_cache_is_named(study, tmp_path):
    shutil.copytree(study[0] / "cache", tmp_path / "cache")
    damaged = Store(tmp_path / "cache", SMALL).basis_path(points(SMALL)[0])
    damaged.write_bytes(damaged.read_bytes()[:100])
    with pytest.raises(ValueError, match=f"{damaged.name}.*damaged.*remove it"):
        run_study(tmp_path / "out", tmp_path / "cache", SMALL)


def test_the_name_of_a_file_tells_results_apart(tmp_path):
    store, other = Store(tmp_path, SMALL), Store(tmp_path, replace(SMALL, tolerance=0.3))
    files = [store.basis_path(point) for point in points(SMALL)]
    assert len(set(files)) == len(files)
    assert store.basis_path(Point("faces", 0, 0.6)) != other.basis_path(Point("faces", 0, 0.6))
    assert len({one.edits_path(target, 0.9) for one in (store, other) for target in (0, 1)}) == 4
