"""Basis files in the host's folders: names, numbers, and saves at the same time."""

import datetime
import multiprocessing
import os
import re
import shutil
import subprocess
import threading
from dataclasses import replace
from pathlib import Path

import folder_paths
import pytest
import torch


@pytest.fixture(scope="module")
def basis(comfy_host):
    rows = torch.linalg.qr(torch.randn(12, 3, generator=torch.Generator().manual_seed(0)))[0].T
    return comfy_host.core.PullbackBasis(
        v=rows.reshape(3, 3, 2, 2),
        s=torch.tensor([3.0, 2.0, 1.0]),
        u=rows.reshape(3, 12).clone(),
        residuals=torch.zeros(3),
        products=7,
        converged=True,
        sigma=1.5,
        timestep=0.5,
        seed=4,
        provenance={"model": "toy"},
    )


@pytest.fixture
def saved(call, basis, folders, comfy_host):
    """saved(prefix): the path of the new file in the output folder, as text. They are removed in the end."""
    made = []

    def save(prefix):
        before = set(comfy_host.adapter.basis_files())
        call("PullbackSaveBasis", basis=basis, filename_prefix=prefix)
        (new,) = set(comfy_host.adapter.basis_files()) - before
        made.append(folders.output / new.removesuffix(" [output]"))
        return new.removesuffix(" [output]")

    yield save
    for path in made:  # one folder at a time: pytest's own clearing fails at 1,000 levels
        path.unlink()
        while path.parent != folders.output and not os.listdir(path.parent):
            path = path.parent
            path.rmdir()


@pytest.fixture
def noon(monkeypatch):
    """A fixed time of day: 2031-02-03 04:05:06."""
    then = datetime.datetime(2031, 2, 3, 4, 5, 6)

    class Then(datetime.datetime):
        @classmethod
        def now(cls, *_):
            return then

    monkeypatch.setattr("datetime.datetime", Then)
    monkeypatch.setattr("time.localtime", lambda *_: then.timetuple())


@pytest.mark.parametrize(
    "prefix, name",
    [
        ("%year%-%month%-%day%", "2031-02-03"),
        ("%hour%%minute%%second%", "040506"),
        ("%year%/%month%/basis", "2031/02/basis"),
        ("%date:yyyy-MM-dd%", "2031-02-03"),
        ("a/%date:yyMd%_%date:hh.mm.ss%/b", "a/3123_04.05.06/b"),
        ("%date:yyyy/MM%/b", "2031/02/b"),
        ("%date%", "2031-02-03"),
        ("100%", "100%"),
        ("50% or 60%", "50% or 60%"),
        ("%unknown%", "%unknown%"),
    ],
)
def test_a_prefix_is_filled_in_as_save_image_does(prefix, name, saved, noon):
    assert saved(prefix) == f"{name}_00001.safetensors"


@pytest.mark.parametrize(
    "prefix",
    ["%year%", "a%month%b/%day%", "%hour%-%minute%-%second%", "%width%x%height%", "%unknown%", "50%"],
)
def test_the_host_itself_gives_the_same_name(prefix, saved, folders, noon):
    _, name, _, subfolder, _ = folder_paths.get_save_image_path(prefix, os.path.abspath(folders.output))
    assert saved(prefix) == os.path.join(subfolder, f"{name}_00001.safetensors")


def test_a_filled_in_prefix_cannot_lead_out(call, basis, folders):
    for prefix in ("../%year%", "%year%/../../x", "a/%date:yyyy/../../..%/../../b"):
        with pytest.raises(ValueError, match="leads out of the output folder"):
            call("PullbackSaveBasis", basis=basis, filename_prefix=prefix)
    assert not list(folders.outside.rglob("*.safetensors"))


def test_numbers_go_on_after_the_largest(saved, folders):
    (folders.output / "face_00041.safetensors").touch()
    (folders.output / "face_x.safetensors").touch()
    assert saved("face") == "face_00042.safetensors"


def names(length):
    return "n" * (length - len("_00001.safetensors"))


@pytest.mark.parametrize(
    "prefix",
    [
        names(246),
        names(255),
        "d/" * 1000 + "deep",
        "gr\N{LATIN SMALL LETTER U WITH DIAERESIS}n/\N{CJK UNIFIED IDEOGRAPH-9762}",
        "a./b.",
        "with space ",
        ".hidden",
        "a\nb",
        "-x",
        "%day%/" * 900 + "x",
    ],
)
def test_legal_names_work(prefix, saved, comfy_host, call, basis):
    name = saved(prefix)
    assert f"{name} [output]" in comfy_host.adapter.basis_files()
    loaded, *_ = call("PullbackLoadBasis", file=f"{name} [output]")
    assert loaded.provenance == basis.provenance


@pytest.mark.parametrize(
    "prefix, reason",
    [
        (names(256), "the name is too long"),
        ("d" * 300 + "/x", "the name is too long"),
        ("d/" * 2500 + "x", "the name is too long"),
        ("a\0b", "NUL character"),
        ("\ud800", "cannot write the file name"),
        ("file/x", "is not a folder"),
    ],
)
def test_other_names_are_refused_in_a_sentence(prefix, reason, call, basis, folders):
    (folders.output / "file").touch()
    with pytest.raises((ValueError, OSError), match=reason) as caught:
        call("PullbackSaveBasis", basis=basis, filename_prefix=prefix)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400
    assert os.listdir(folders.output) == ["file"]


@pytest.mark.parametrize("name", ["a\0b", "n" * 300, "x/" * 3000, "\ud800", "pipe.safetensors", ""])
def test_names_of_no_basis_file_are_refused_in_a_sentence(name, call, basis, folders):
    if hasattr(os, "mkfifo"):
        os.mkfifo(folders.input / "pipe.safetensors")
    for mark in ("", " [output]"):
        with pytest.raises(ValueError, match="There is no basis file"):
            call("PullbackLoadBasis", file=name + mark)


def test_a_basis_that_cannot_be_loaded_is_not_saved(call, basis, folders, comfy_host):
    with pytest.raises(ValueError, match=r"^This basis cannot be saved: its noise level is impossible\.$"):
        call("PullbackSaveBasis", basis=replace(basis, sigma=float("inf")), filename_prefix="a")
    assert os.listdir(folders.output) == []


def test_saves_in_two_threads_lose_nothing(call, basis, folders):
    both, pairs, errors = threading.Barrier(2, timeout=300), 100, []

    def save():
        try:
            for _ in range(pairs):
                both.wait()
                call("PullbackSaveBasis", basis=basis, filename_prefix="same")
        except BaseException as error:
            errors.append(error)
            both.abort()

    threads = [threading.Thread(target=save) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert sorted(os.listdir(folders.output)) == [
        f"same_{number:05}.safetensors" for number in range(1, 2 * pairs + 1)
    ]


@pytest.mark.skipif(
    "fork" not in multiprocessing.get_all_start_methods(), reason="needs processes that know the loaded host"
)
def test_saves_in_two_processes_lose_nothing(call, basis, folders):
    context = multiprocessing.get_context("fork")
    both, pairs = context.Barrier(2, timeout=300), 50

    def save():
        for _ in range(pairs):
            both.wait()
            call("PullbackSaveBasis", basis=basis, filename_prefix="same")

    processes = [context.Process(target=save) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    assert sorted(os.listdir(folders.output)) == [
        f"same_{number:05}.safetensors" for number in range(1, 2 * pairs + 1)
    ]


def test_the_page_fills_in_the_prefix():
    """The page's own function is put to the widget; what it gives is what the server gets."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("needs Node.js")
    script = (Path(__file__).parents[2] / "web" / "js" / "save_prefix.js").read_text()
    script = re.sub(r"^import .*$", "", script, flags=re.MULTILINE)
    page = (
        """
    let extension;
    const app = { graph: "the graph", registerExtension: (one) => { extension = one; } };
    const window = { comfyAPI: { utils: { applyTextReplacements: (app, text) => `${app.graph}: ${text}` } } };
    """
        + script
        + """
    function made(name) {
      const widget = { name: "filename_prefix", value: "%Model.name%" };
      extension.nodeCreated({ comfyClass: name, widgets: [widget] });
      return widget.serializeValue?.() ?? "unchanged";
    }
    console.log(made("PullbackSaveBasis"), "|", made("PullbackBasis"));
    """
    )
    done = subprocess.run(
        [node, "--input-type=module", "-e", page], check=True, capture_output=True, text=True
    )
    assert done.stdout.strip() == "the graph: %Model.name% | unchanged"
