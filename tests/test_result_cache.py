"""The folder of results: names tell results apart, and damage is explained."""

import pytest

from pullback_core.result_cache import ResultCache, file_fingerprint


def test_the_name_of_a_file_tells_results_apart(tmp_path):
    cache = ResultCache(tmp_path, "study")
    paths = [cache.path(kind, key, "json") for kind in ("a", "b") for key in ((1, "x"), (1, "y"), (1.0, "x"))]
    assert len(set(paths)) == 6
    assert paths[0] == ResultCache(tmp_path, "other").path("a", (1, "x"), "json")
    assert paths[0].parent == tmp_path and paths[0].name.startswith("a-") and paths[0].suffix == ".json"


def test_damage_is_explained(tmp_path):
    cache = ResultCache(tmp_path, "study")
    with (
        pytest.raises(
            ValueError, match=r"'.*one\.json' is damaged \(no JSON\); remove it and start the study"
        ),
        cache.explaining_damage(tmp_path / "one.json"),
    ):
        raise ValueError("no JSON")


def test_a_fingerprint_is_of_what_a_file_holds(tmp_path):
    one, other = tmp_path / "one", tmp_path / "other"
    one.write_bytes(b"a"), other.write_bytes(b"a")
    assert file_fingerprint(one) == file_fingerprint(other)
    other.write_bytes(b"b")
    assert file_fingerprint(one) != file_fingerprint(other)
