"""The command line, end to end on the real model."""

import io
import json
import math
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pullback_core import PullbackBasis, ddim, faces, threads
from pullback_core.cli import commands as cli
from pullback_core.cli.commands import main
from pullback_core.faces import train
from pullback_core.report import report_bytes
from pullback_core.study import measure

QUICK = ["--steps", "12", "--rank", "2", "--guidance-steps", "4", "--tolerance", "0.1"]


def pixels(path):
    return np.asarray(Image.open(path).convert("RGB")).astype(float)


def test_the_run_without_arguments_makes_a_visible_edit(default_run):
    report = json.loads((default_run / "report.json").read_text())
    assert report["converged"] and max(report["residuals"]) <= report["parameters"]["tolerance"]
    assert report["inversion_psnr_db"] > 45
    assert len(report["directions"]) == 5 and report["jacobian_products"] > 0 and report["seconds"]
    assert PullbackBasis.load(default_run / "basis.safetensors").s.tolist() == report["singular_values"]
    reconstruction = pixels(default_run / "reconstruction.png")
    assert np.abs(reconstruction - pixels(default_run / "original.png")).max() <= 8
    for number in range(1, 6):
        plus, half, minus = (
            pixels(default_run / f"direction_{number}_strength_{value}.png") for value in ("+1", "+0.5", "-1")
        )
        assert np.abs(plus - minus).mean() > 2
        assert np.abs(plus - reconstruction).mean() > np.abs(half - reconstruction).mean()
    assert pixels(default_run / "contact_sheet.png").shape[1] > 600
    assert pixels(default_run / "singular_values.png").std() > 1
    assert not list(default_run.glob(".*"))


def test_the_same_command_gives_the_same_files(tmp_path):
    for run in ("a", "b"):
        assert main(["edit", *QUICK, "--face", "3", "--direction", "2", "--out", str(tmp_path / run)]) == 0
    names = sorted(path.name for path in (tmp_path / "a").iterdir() if path.suffix == ".png")
    assert "direction_2_strength_+1.png" in names and "direction_1_strength_+1.png" not in names
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name
    one, other = (PullbackBasis.load(tmp_path / run / "basis.safetensors") for run in ("a", "b"))
    assert torch.equal(one.v, other.v) and torch.equal(one.u, other.u) and torch.equal(one.s, other.s)


def test_a_prompt_and_a_picture_of_ones_own(tmp_path):
    picture = (np.random.default_rng(0).random((9, 14, 3)) * 255).astype(np.uint8)
    Image.fromarray(picture).resize((280, 180)).save(tmp_path / "mine.jpg")
    source = ["--image", str(tmp_path / "mine.jpg"), "--prompt", "Glasses, smiling", "--crop"]
    assert main(["edit", *QUICK, *source, "--out", str(tmp_path / "out")]) == 0
    assert Image.open(tmp_path / "out" / "original.png").size == (48, 48)


SHORT = ["--steps", "4", "--rank", "1", "--guidance-steps", "1", "--tolerance", "1", "--refine", "0"]


def save_picture(path, size):
    picture = (np.random.default_rng(0).random((9, 14, 3)) * 255).astype(np.uint8)
    Image.fromarray(picture).resize(size).save(path)


@pytest.mark.parametrize(
    "size, expected",
    [
        ((40, 60), (48, 72)),
        ((90, 60), (72, 48)),
        ((100, 131), (48, 63)),
        ((61, 60), (48, 48)),
        ((30, 240), (48, 384)),
        ((1000, 10), (384, 48)),
    ],
)
def test_an_edit_keeps_the_aspect_of_a_picture(size, expected, tmp_path, capsys):
    save_picture(tmp_path / "mine.png", size)
    assert main(["edit", *SHORT, "--image", str(tmp_path / "mine.png"), "--out", str(tmp_path / "out")]) == 0
    names = [
        "original",
        "reconstruction",
        "direction_1_strength_+1",
        "direction_1_strength_-1",
        "direction_1_map",
    ]
    sizes = [Image.open(tmp_path / "out" / f"{name}.png").size for name in names]
    assert sizes[:-1] == [expected] * 4
    assert sizes[-1] == (256, round(256 * expected[1] / expected[0]))
    assert PullbackBasis.load(tmp_path / "out" / "basis.safetensors").v.shape == (
        1,
        27,
        expected[1] // 3,
        expected[0] // 3,
    )
    assert ("trained on squares" in capsys.readouterr().out) == (expected != (48, 48))
    assert Image.open(tmp_path / "out" / "contact_sheet.png").height > 2 * 128 * expected[1] / max(expected)


def test_a_direction_is_carried_between_pictures_of_one_aspect_and_else_between_squares(tmp_path, capsys):
    save_picture(tmp_path / "portrait.png", (40, 60))
    save_picture(tmp_path / "landscape.png", (60, 40))
    command = ["transport", *SHORT, "--image", str(tmp_path / "portrait.png"), "--to-image"]
    for name, shape in (("portrait", (24, 16)), ("landscape", (16, 16))):
        assert main([*command, str(tmp_path / f"{name}.png"), "--out", str(tmp_path / name)]) == 0
        bases = [PullbackBasis.load(tmp_path / name / f"{end}.safetensors") for end in ("source", "target")]
        assert [tuple(basis.v.shape[2:]) for basis in bases] == [shape] * 2
        assert ("differ in aspect" in capsys.readouterr().out) == (name == "landscape")


def test_transport(tmp_path):
    assert main(["transport", *QUICK, "--face", "1", "--to-face", "2", "--out", str(tmp_path)]) == 0
    assert 0 <= json.loads((tmp_path / "report.json").read_text())["alignment"] <= 1
    assert {path.name for path in tmp_path.iterdir()} == {
        "contact_sheet.png",
        "report.json",
        "source.safetensors",
        "target.safetensors",
    }


def test_transport_of_a_face_to_itself_is_fully_aligned(tmp_path):
    assert main(["transport", *QUICK, "--face", "1", "--to-face", "1", "--out", str(tmp_path)]) == 0
    assert json.loads((tmp_path / "report.json").read_text())["alignment"] == pytest.approx(1, abs=1e-5)


def test_over_time(tmp_path):
    assert main(["over-time", *QUICK, "--timesteps", "0.8", "0.4", "--out", str(tmp_path)]) == 0
    report = json.loads((tmp_path / "report.json").read_text())
    assert [basis["timestep"] for basis in report["bases"]] == pytest.approx([0.4, 0.8], abs=1e-3)
    assert report["distances"][0][1] > 0.1
    assert (
        PullbackBasis.load(tmp_path / "basis_0.4.safetensors").s.tolist()
        == report["bases"][0]["singular_values"]
    )
    assert sorted(path.name for path in tmp_path.glob("*.safetensors")) == [
        "basis_0.4.safetensors",
        "basis_0.8.safetensors",
    ]
    assert pixels(tmp_path / "contact_sheet.png").std() > 5 and pixels(tmp_path / "distances.png").std() > 5


@pytest.mark.parametrize(
    "timesteps, names",
    [
        (["0.704", "0.701"], ["basis_0.701", "basis_0.704"]),
        (["0.7", "0.70", "0.700001"], ["basis_0.7", "basis_0.700001"]),
        (["0.7", "0.7"], ["basis_0.7"]),
    ],
)
def test_over_time_writes_one_basis_for_each_timestep(timesteps, names, tmp_path):
    assert main(["over-time", *SHORT, "--timesteps", *timesteps, "--out", str(tmp_path)]) == 0
    assert sorted(path.stem for path in tmp_path.glob("*.safetensors")) == names
    report = json.loads((tmp_path / "report.json").read_text())
    assert len(report["bases"]) == len(names)
    for basis, name in zip(report["bases"], names):
        assert PullbackBasis.load(tmp_path / f"{name}.safetensors").timestep == basis["timestep"]


def test_features(tmp_path, capsys):
    quick = ["--steps", "12", "--rank", "2", "--refine", "1"]
    assert (
        main(["features", *quick, "--feature", "middle", "--feature", "input_3", "--out", str(tmp_path)]) == 0
    )
    found = json.loads((tmp_path / "report.json").read_text())["features"]
    assert [one["feature"] for one in found] == ["middle", "input_3"] and found[1]["shape"] == [96, 8, 8]
    out = capsys.readouterr().out
    assert all(f"{one['s'][0]:.3g}" in out for one in found) and "decay.png" in out
    assert pixels(tmp_path / "decay.png").std() > 5


def test_invert(tmp_path, capsys):
    assert main(["invert", "--steps", "20", "--out", str(tmp_path)]) == 0
    values = json.loads((tmp_path / "report.json").read_text())["psnr_db"]
    assert values["refined"] > values["plain"] + 3
    assert f"{values['refined']:.1f} dB" in capsys.readouterr().out


BAD = [
    (["edit", "--timestep", "1.5"], "--timestep"),
    (["edit", "--timestep", "0"], "--timestep"),
    (["edit", "--timestep", "nan"], "--timestep"),
    (["edit", "--rank", "0"], "--rank"),
    (["edit", "--rank", "100000"], "1536"),
    (["edit", "--rank", "two"], "--rank"),
    (["edit", "--direction", "9"], "--direction"),
    (["edit", "--strength", "0"], "--strength"),
    (["edit", "--strength", "inf"], "--strength"),
    (["edit", "--tolerance", "0"], "--tolerance"),
    (["edit", "--steps", "0"], "--steps"),
    (["edit", "--face", "-1"], "--face"),
    (["edit", "--prompt", "galsses"], "'glasses'"),
    (["edit", "--prompt", "glasses, no glasses"], "exclude"),
    (["edit", "--image", "nowhere.png"], "nowhere.png"),
    (["edit", "--image", "broken.png"], "broken.png"),
    (["edit", "--image", "truncated.png"], "truncated.png"),
    (["edit", "--face", "1", "--image", "broken.png"], "not allowed"),
    (["edit", "--model", "nowhere.safetensors"], "nowhere.safetensors"),
    (["edit", "--model", "broken.png"], "broken.png"),
    (["edit", "--out", "broken.png"], "--out"),
    (["transport", "--to-face", "-2"], "--to-face"),
    (["over-time", "--timesteps", "0.5", "1.5"], "1.5"),
    (["over-time", "--timesteps", "0.5", "0"], "above 0"),
    (["over-time", "--direction", "9"], "--direction"),
    (["features", "--feature", "output_9"], "output_5"),
    (["study", "--samples", "2"], "at least 3"),
    (["train", "--batch", "3"], "batch"),
    (["train", "--start", "nowhere.safetensors"], "nowhere.safetensors"),
    (["train", "--data", "cats"], "expressions"),
    *[
        (["edit", option, value], option)
        for option, values in {
            "--seed": [str(2**64), str(-(2**63) - 1), "1.5", "nan", ""],
            "--face": ["9" * 20, "1e3", "", str(2**64)],
            "--boost": ["nan", "inf", "-0.1", "1.5", "x", ""],
            "--tolerance": ["nan", "inf", "-1", "1e30", ""],
            "--strength": ["nan", "-1e30", "1e30", "1e-300", ""],
            "--steps": ["100000000000", "1e11", "-1", "nan", "9" * 5000],
            "--guidance-steps": ["0", "100000000000", "inf"],
            "--refine": ["-1", "100000000000", "0.5"],
            "--rank": ["-1", "1e3", "9" * 30, "nan"],
            "--direction": ["0", "-1", "9" * 30, "nan"],
            "--timestep": ["-0.5", "inf", "1e30", ""],
            "--prompt": ["x" * 1000],
            "--out": ["", " ", "a\0b", "below/" + "x" * 300, "broken.png/below", "broken.png/far/below"],
            "--image": [""],
            "--model": [""],
        }.items()
        for value in values
    ],
    *[
        (["edit", option, name], f"'{name}'")
        for option in ("--image", "--model")
        for name in ("broken.png/below", ".")
    ],
    (["transport", "--to-face", "9" * 20], "--to-face"),
    (["transport", "--to-image", "broken.png"], "broken.png"),
    (["transport", "--direction", "9"], "--direction"),
    (["over-time", "--timesteps", "0.5", "nan"], "--timesteps"),
    (["over-time", "--timesteps"], "--timesteps"),
    (["over-time", "--out", "broken.png/below"], "--out"),
    (["features", "--rank", "100000"], "--rank"),
    (["features", "--tolerance", "nan"], "--tolerance"),
    (["features", "--seed", str(2**64)], "--seed"),
    (["features", "--feature", ""], "output_5"),
    (["features", "--out", "broken.png"], "--out"),
    (["invert", "--refine", "-1"], "--refine"),
    (["invert", "--out", "broken.png/below"], "--out"),
    (["study", "--samples", "100000000000"], "--samples"),
    (["study", "--jobs", "0"], "--jobs"),
    (["study", "--jobs", "1.5"], "--jobs"),
    (["study", "--jobs", "100000000000"], "--jobs"),
    (["study", "--backend", "nonsense"], "nonsense"),
    (["study", "--backend", "nonsense", "--jobs", "2"], "nonsense"),
    (["study", "--backend", ""], "--backend"),
    (["study", "--cache", "broken.png"], "--cache"),
    (["study", "--cache", ""], "--cache"),
    (["study", "--out", "broken.png/below"], "--out"),
    (["train", "--batch", "0"], "--batch"),
    (["train", "--batch", "-4"], "--batch"),
    (["train", "--workers", "0"], "--workers"),
    (["train", "--steps", "100000000000"], "--steps"),
    (["train", "--learning-rate", "nan"], "--learning-rate"),
    (["train", "--learning-rate", "inf"], "--learning-rate"),
    (["train", "--learning-rate", "1e308"], "--learning-rate"),
    (["train", "--learning-rate", "-1"], "--learning-rate"),
    (["train", "--seed", str(2**64)], "--seed"),
    (["train", "--checkpoint", "broken.png/below"], "--checkpoint"),
    (["train", "--checkpoint", "."], "--checkpoint"),
    (["train", "--checkpoint", "broken.png"], "broken.png"),
    (["train", "--out", "."], "--out"),
    (["train", "--out", "broken.png/below"], "--out"),
    (["train", "--out", "same", "--checkpoint", "./same"], "two files"),
    (["train", "--start", "broken.png"], "broken.png"),
    (["paint"], "paint"),
    (["edit", "--colour", "red"], "--colour"),
]


@pytest.mark.parametrize(
    "arguments, part", BAD, ids=[" ".join(arguments)[:60].replace("\0", "NUL") for arguments, _ in BAD]
)
def test_bad_input_gets_one_sentence_and_exit_code_2(arguments, part, tmp_path, monkeypatch, capsys):
    def work(*_, **__):
        raise AssertionError("this is work, and a check was to come first")

    for module, name in (
        (ddim, "invert"),
        (ddim, "generate"),
        (torch.multiprocessing, "spawn"),
        (measure, "compute_bases"),
    ):
        monkeypatch.setattr(module, name, work)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken.png").write_text("not a picture")
    Image.effect_noise((300, 300), 90).save("whole.png")
    (tmp_path / "truncated.png").write_bytes((tmp_path / "whole.png").read_bytes()[:20_000])
    before = set(tmp_path.rglob("*"))
    assert main(arguments) == 2
    message = capsys.readouterr().err.strip()
    assert (
        part in message
        and message.startswith("pullback_core: ")
        and len(message.splitlines()) == 1
        and len(message) < 700
    )
    assert set(tmp_path.rglob("*")) == before


def refuse_to_write(monkeypatch, folder):
    """A stand-in for a folder that may not be written to, which tests that run as root need."""
    plain = tempfile.mkstemp

    def refuse(*arguments, **options):
        if Path(options.get("dir") or ".").resolve() == folder:
            raise PermissionError(13, "Permission denied")
        return plain(*arguments, **options)

    monkeypatch.setattr(tempfile, "mkstemp", refuse)


@pytest.mark.parametrize(
    "arguments, option",
    [
        (["edit", "--out"], "--out"),
        (["transport", "--out"], "--out"),
        (["over-time", "--out"], "--out"),
        (["features", "--out"], "--out"),
        (["invert", "--out"], "--out"),
        (["study", "--out"], "--out"),
        (["study", "--cache"], "--cache"),
        (["train", "--out"], "--out"),
        (["train", "--checkpoint"], "--checkpoint"),
    ],
)
def test_a_folder_that_cannot_be_written_to_is_refused_before_any_work(
    arguments, option, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(ddim, "invert", None)
    monkeypatch.setattr(measure, "compute_bases", None)
    monkeypatch.setattr(torch.multiprocessing, "spawn", None)
    (tmp_path / "locked").mkdir()
    refuse_to_write(monkeypatch, tmp_path / "locked")
    assert main([*arguments, "locked/file" if arguments[0] == "train" else "locked"]) == 2
    message = capsys.readouterr().err.strip()
    assert (
        f"{option}: 'locked" in message and "Permission denied" in message and len(message.splitlines()) == 1
    )
    assert [path.name for path in tmp_path.rglob("*")] == ["locked"]


def test_a_folder_in_the_place_of_a_result_is_refused_before_any_work(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(ddim, "invert", None)
    (tmp_path / "report.json").mkdir()
    assert main(["edit", "--out", str(tmp_path)]) == 2
    assert "report.json" in capsys.readouterr().err


# ---- the console and interrupts, in a process of its own ----

ROOT = Path(__file__).parents[2]
LIMIT = 600  # seconds; far more than a busy machine needs


def child_environment(**more):
    return {**os.environ, "PYTHONPATH": str(ROOT), **more}


def hear_interrupts():
    """In a child: interrupts are heard, also where whoever started these tests ignores them, as for a background job."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def start_child(arguments, **options):
    command = [sys.executable, "-m", "pullback_core", *map(str, arguments)]
    return subprocess.Popen(
        command,
        text=True,
        errors="replace",
        preexec_fn=hear_interrupts,
        **{"env": child_environment(), "stderr": subprocess.PIPE, **options},
    )


posix = pytest.mark.skipif(os.name == "nt", reason="signals and descriptors are others on Windows")
FEATURES = ["features", "--feature", "middle", "--steps", "2", "--rank", "1", "--refine", "0"]


@posix
def test_an_interrupt_leaves_nothing_half_written(tmp_path):
    process = start_child(["edit", "--steps", 10_000, "--out", tmp_path / "out"])
    while "DDIM inversion" not in process.stderr.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=LIMIT)
    assert process.returncode == 130 and "interrupted" in errors and "Traceback" not in errors
    assert not list(tmp_path.rglob("*"))


SLOW_TORCH = """
print("importing", flush=True)
import time
while True:
    try:
        time.sleep(0.1)
    except BaseException:
        pass  # as importing in the middle of other code may
"""


@posix
def test_an_interrupt_while_importing_ends_with_one_line(tmp_path):
    (tmp_path / "torch.py").write_text(SLOW_TORCH)
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    process = start_child([], stdout=subprocess.PIPE, cwd=tmp_path, env=child_environment(PYTHONPATH=path))
    assert process.stdout.readline() == "importing\n"
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=LIMIT)
    assert process.returncode == 130 and errors == "pullback_core: interrupted; nothing was half written.\n"


@posix
def test_an_interrupt_of_training_ends_with_one_line(tmp_path):
    files = ["--checkpoint", tmp_path / "state.pt", "--out", tmp_path / "model.safetensors"]
    process = start_child(["train", "--batch", 8, "--workers", 2, *files], start_new_session=True)
    errors = ""
    while "0%" not in errors:  # the workers' progress bar
        errors = process.stderr.readline()
        assert process.poll() is None
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    _, errors = process.communicate(timeout=LIMIT)
    assert process.returncode == 130 and "interrupted" in errors and "Traceback" not in errors
    assert not list(tmp_path.iterdir())


@posix
@pytest.mark.parametrize("closed", [(1,), (2,), (0, 1, 2)])
def test_closed_streams_cost_no_result(closed, tmp_path):
    def close():
        hear_interrupts()
        for descriptor in closed:
            os.close(descriptor)

    command = [sys.executable, "-m", "pullback_core", *FEATURES, "--out", str(tmp_path)]
    assert subprocess.run(command, env=child_environment(), preexec_fn=close, timeout=LIMIT).returncode == 0
    assert json.loads((tmp_path / "report.json").read_text())["features"]
    assert pixels(tmp_path / "decay.png").std() > 5


@posix
def test_a_pipe_without_a_reader_costs_no_result(tmp_path):
    for name in ("stdout", "stderr"):
        reader, writer = os.pipe()
        os.close(reader)
        with os.fdopen(writer, "w") as broken:
            process = start_child(
                [*FEATURES, "--out", tmp_path / name], **{"stderr": subprocess.DEVNULL, name: broken}
            )
            process.communicate(timeout=LIMIT)
        assert process.returncode == 0
        assert json.loads((tmp_path / name / "report.json").read_text())["features"]


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_a_console_that_lacks_characters_costs_no_result(encoding, tmp_path, monkeypatch):
    buffer = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(buffer, encoding=encoding, errors="strict"))
    assert main([*FEATURES, "--out", str(tmp_path / "\u65e5\u672c\u0101")]) == 0
    sys.stdout.flush()
    assert b"\\u65e5" in buffer.getvalue()
    assert (tmp_path / "\u65e5\u672c\u0101" / "report.json").is_file()


# ---- reports, threads, plots ----


def strict(path):
    def refuse(name):
        raise AssertionError(f"{name} is not JSON")

    return json.loads(path.read_text(), parse_constant=refuse)


def test_a_report_is_strict_json_where_a_number_is_unknown(tmp_path, monkeypatch):
    monkeypatch.setattr(
        cli._RoundTrip,
        "__init__",
        lambda self, image, reference: self.__dict__.update(image=image, psnr=math.inf),
    )
    assert main(["invert", "--steps", "2", "--refine", "0", "--out", str(tmp_path)]) == 0
    assert strict(tmp_path / "report.json")["psnr_db"] == {"plain": None, "refined": None}
    known = {"a": [1, 2.5, "x", None, True], "b": {"c": (math.nan, -math.inf)}}
    assert json.loads(report_bytes(known)) == {"a": [1, 2.5, "x", None, True], "b": {"c": [None, None]}}


def test_commands_compute_in_one_thread_and_restore_the_number(tmp_path, monkeypatch):
    for name in threads.SETTINGS:
        monkeypatch.delenv(name, raising=False)
    seen, plain = [], faces.FacesDenoiser.denoise
    monkeypatch.setattr(
        faces.FacesDenoiser, "denoise", lambda *given: seen.append(torch.get_num_threads()) or plain(*given)
    )
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert main(["invert", "--steps", "2", "--refine", "0", "--out", str(tmp_path)]) == 0
        assert set(seen) == {1} and torch.get_num_threads() == 2
        assert strict(tmp_path / "report.json")["threads"] == 1
        assert main(["invert", "--model", "nowhere"]) == 2
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(
    "command, plot",
    [
        (["edit", *SHORT], "singular_values.png"),
        (["over-time", *SHORT, "--timesteps", "0.5"], "distances.png"),
        (FEATURES, "decay.png"),
    ],
)
def test_without_matplotlib_there_is_every_result_but_the_plot(command, plot, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert main([*command, "--out", str(tmp_path)]) == 0
    assert "pip install matplotlib" in capsys.readouterr().out
    names = {path.name for path in tmp_path.iterdir()}
    assert (
        "report.json" in names and plot not in names and ("contact_sheet.png" in names or command is FEATURES)
    )


def test_the_study_says_at_once_that_it_needs_matplotlib(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.chdir(tmp_path)
    assert main(["study"]) == 2
    assert "pip install matplotlib" in capsys.readouterr().err and not list(tmp_path.iterdir())


def test_train_resumes_and_writes_a_usable_model(tmp_path):
    files = [
        "--checkpoint",
        str(tmp_path / "state.pt"),
        "--out",
        str(tmp_path / "model.safetensors"),
        "--batch",
        "4",
        "--workers",
        "1",
    ]
    assert main(["train", "--steps", "2", *files]) == 0
    first = faces.load_model(tmp_path / "model.safetensors")
    assert torch.load(tmp_path / "state.pt", weights_only=True)["step"] == 2
    assert main(["train", "--steps", "3", *files]) == 0
    second = faces.load_model(tmp_path / "model.safetensors")
    assert torch.load(tmp_path / "state.pt", weights_only=True)["step"] == 3
    assert first.fingerprint != second.fingerprint
    assert not list(tmp_path.glob("*.partial"))


def test_train_goes_on_from_a_finished_model_with_other_data(tmp_path):
    files = [
        "--checkpoint",
        str(tmp_path / "state.pt"),
        "--out",
        str(tmp_path / "model.safetensors"),
        "--batch",
        "4",
        "--workers",
        "1",
    ]
    assert (
        main(["train", "--steps", "1", "--data", "expressions", "--start", str(faces.WEIGHTS), *files]) == 0
    )
    begun, ended = faces.load_model(), faces.load_model(tmp_path / "model.safetensors")
    change = torch.cat([(a - b).flatten() for a, b in zip(begun.parameters(), ended.parameters())])
    assert 0 < change.abs().max() < 0.01


def train_in_this_process(monkeypatch):
    """Replace the processes of a training run by this one, which starts much faster."""

    def work(arguments, workers):
        assert workers == 1
        train._work(0, *arguments)

    monkeypatch.setattr(train, "_run_workers", work)
    monkeypatch.setattr(train.signal, "signal", lambda *_: None)


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
