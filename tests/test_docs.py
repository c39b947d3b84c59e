"""What the documents say is true: their code runs, their links lead somewhere, and they name each other."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCUMENTS = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
    ROOT / "pullback_core" / "faces" / "MODEL_CARD.md",
]
FRONT_PAGES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/architecture.md", "docs/performance.md")
LONGEST_EXAMPLE = 6  # lines after the imports
STEPS = ("invert", "local_basis", "edit", "generate")
EDITS = ("edit", "edit_by")  # two ways to make the same step


def name_of(path):
    return path.relative_to(ROOT).as_posix()


def links_of(path):
    """The files that a document links to or shows, as paths."""
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", path.read_text(encoding="utf-8"))
    return [(path.parent / link).resolve() for link in links if "://" not in link]


def statements_after_imports(block):
    return [node for node in ast.parse(block).body if not isinstance(node, (ast.Import, ast.ImportFrom))]


def steps_of(block):
    """The calls of `STEPS` in the order in which they are computed."""
    calls = [node.func for node in ast.walk(ast.parse(block)) if isinstance(node, ast.Call)]
    named = sorted((call.lineno, getattr(call, "attr", getattr(call, "id", ""))) for call in calls)
    steps = ["edit" if name in EDITS else name for _, name in named]
    return [name for name in steps if name in STEPS]


def test_the_first_example_is_short_and_runs(readme_blocks):
    block = readme_blocks[0]
    assert len(statements_after_imports(block)) <= LONGEST_EXAMPLE
    made = {}
    exec(compile(block, "README.md", "exec"), made)
    assert made["image"].shape == made["faces"].example_faces([0]).shape
    assert made["basis"].converged and made["image"].isfinite().all()


def test_every_example_takes_the_same_steps(readme_blocks):
    assert len(readme_blocks) == 2
    for block in readme_blocks:
        assert steps_of(block) == list(STEPS)


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_links_lead_to_files(path):
    assert [str(link) for link in links_of(path) if not link.exists()] == []


@pytest.mark.parametrize("name", FRONT_PAGES)
def test_the_front_pages_are_linked_from_each_other(name):
    linking = [other for other in FRONT_PAGES if other != name and ROOT / name in links_of(ROOT / other)]
    assert linking and any(ROOT / other in links_of(ROOT / name) for other in FRONT_PAGES if other != name)


def test_the_recipes_name_real_files():
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    named = re.findall(r"`((?:nodes|pullback_core|tests|benchmarks|web)/[\w./]+)`", page)
    assert len(named) > 10
    examples = ("/b.py", "/test_b.py")
    assert [path for path in named if not (ROOT / path).exists() and not path.endswith(examples)] == []
