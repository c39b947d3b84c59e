"""The cache of an evaluation."""

from dataclasses import replace

import pytest
from small_evaluation import SMALL

from pullback_core.evaluate import store as module
from pullback_core.evaluate.store import Store, code_fingerprint


def test_the_name_of_a_file_tells_results_apart(tmp_path):
    store, other = Store(tmp_path, SMALL), Store(tmp_path, replace(SMALL, rank=3))
    paths = [
        one.path(name, code, face, timestep)
        for one in (store, other)
        for name in ("straight, h", "straight, picture")
        for code in ("a", "b")
        for face in (0, 1)
        for timestep in (0.4, 0.5)
    ]
    assert len(set(paths)) == len(paths) and all(path.name.startswith("straight-") for path in paths)
    more = Store(tmp_path, replace(SMALL, faces=3))
    assert more.path("straight, h", "a", 0, 0.4) == paths[0]


def test_what_is_written_is_read_and_damage_is_named(tmp_path):
    store = Store(tmp_path, SMALL)
    path = store.path("straight", "", 0, 0.5)
    store.write(path, {"a": [1.0]})
    assert store.read(path) == {"a": [1.0]}
    path.write_text("{")
    with pytest.raises(ValueError, match=r"damaged.*start the evaluation again"):
        store.read(path)


def test_a_fingerprint_of_code_ignores_comments_and_docstrings(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "PACKAGE", tmp_path)
    texts = {
        "a.py": '"""One."""\n\ndef f(x):\n    """Two."""\n    return x\n',
        "b.py": '"""Other."""\ndef f(x):\n    # Why.\n    return (x)\n',
        "c.py": "def f(x):\n    return -x\n",
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    assert code_fingerprint("a.py") == code_fingerprint("b.py") != code_fingerprint("c.py")
