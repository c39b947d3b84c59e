"""What the node registry of ComfyUI wants of the pack, and what it gets."""

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # comes with comfy-test

ROOT = Path(__file__).parents[1]
NEEDED = (
    "__init__.py",
    "nodes/__init__.py",
    "nodes/host/denoiser.py",
    "pullback_core/basis.py",
    "pullback_core/faces/faces.safetensors",
    "web/js/features.js",
    "web/docs/PullbackBasis.md",
    "web/docs/PullbackBasis/zh.md",
    "locales/zh/main.json",
    "workflows/1 Quick start.json",
    "subgraphs/Edit a picture along its directions.json",
    "requirements.txt",
    "README.md",
    "LICENSE",
)
NOT_NEEDED = ("tests/", "benchmarks/", "docs/", "notebooks/", ".ci/")


@pytest.fixture(scope="module")
def project():
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_the_linter_of_node_packs_passes():
    command = [sys.executable, "-m", "comfy_test", "lint", str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "[SYNTAX] PASSED" in done.stdout and "[JAVASCRIPT] PASSED" in done.stdout


def test_the_registry_gets_what_runs_and_nothing_else():
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split("\n")
    ignored = subprocess.run(
        ["git", "ls-files", "--cached", "--ignored", "--exclude-from=.comfyignore"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\n")
    sent = set(listed) - set(ignored)
    assert set(NEEDED) <= sent
    assert not [name for name in sent if name.startswith(NOT_NEEDED)]


def test_the_registry_finds_its_fields(project):
    assert {"Repository", "Documentation", "Bug Tracker"} <= set(project["project"]["urls"])
    assert "comfyui" not in project["project"]["name"].lower()
    assert project["project"]["classifiers"]
    comfy = project["tool"]["comfy"]
    assert {"PublisherId", "DisplayName", "Icon", "Banner", "requires-comfyui"} <= set(comfy)


@pytest.mark.parametrize("field, ratio", [("Icon", 1), ("Banner", 21 / 9)])
def test_its_pictures_have_the_shape_that_the_registry_shows(project, field, ratio):
    path = ROOT / project["tool"]["comfy"][field].partition("/main/")[2]
    with Image.open(path) as picture:
        assert picture.width / picture.height == pytest.approx(ratio, rel=0.01)


@pytest.mark.parametrize("script", sorted((ROOT / "web" / "js").rglob("*.js")), ids=lambda path: path.stem)
def test_the_page_is_extended_by_its_hooks_alone(script):
    """A replaced prototype also acts on other packs' nodes, and newer pages may not call it."""
    assert ".prototype" not in script.read_text()
