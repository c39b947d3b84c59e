"""What saved workflows rely on, and the lists in the documents that are made of the nodes.

After a change, PULLBACK_REWRITE=1 writes new rows into contract.json and the table of the README. Rows of
contract.json are only ever added, or made longer at their end.
"""

import json
import os
import re
from pathlib import Path

import pytest

PACK = Path(__file__).parents[3]
FILE = Path(__file__).with_name("contract.json")
CONTRACT = {node: tuple(row) for node, row in json.loads(FILE.read_text()).items()}
REWRITE = os.environ.get("PULLBACK_REWRITE") == "1"
# How many inputs the first nodes had at first. A workflow that was saved then has no others.
FIRST_INPUTS = {
    "PullbackDDIMInvert": 7,
    "PullbackBasis": 9,
    "PullbackGuidanceEdit": 10,
    "PullbackParallelTransport": 4,
    "PullbackBasisVisualizer": 13,
    "PullbackQualityBoost": 3,
    "PullbackSaveBasis": 2,
    "PullbackLoadBasis": 1,
    "PullbackLoadFacesModel": 0,
    "PullbackFacesPrompt": 1,
    "PullbackExampleFace": 1,
    "PullbackBasisOverTime": 11,
    "PullbackBasisCompare": 3,
    "PullbackGlobalBasis": 2,
    "PullbackExplainFeatures": 7,
}
BEGIN, END = "<!-- nodes -->\n", "<!-- end of nodes -->\n"


@pytest.fixture(scope="module")
def rows(schemas):
    """{node id: (inputs, outputs)}, as contract.json has them."""
    return {name: row_of(schema) for name, schema in schemas.items()}


def row_of(schema):
    inputs = " ".join(f"{part.id}:{part.get_io_type()}" for part in schema.inputs or [])
    outputs = " ".join(part.get_io_type() for part in schema.outputs or [])
    return inputs, outputs


def continues(row, old):
    """Whether a row of the contract is an old one, or an old one with more at its end."""
    return all(f"{new} ".startswith(f"{text} ".lstrip()) for new, text in zip(row, old))


@pytest.fixture(scope="module")
def contract(rows):
    """The rows of contract.json, which PULLBACK_REWRITE=1 brings up to date. No row is changed or removed."""
    known = dict(CONTRACT)
    if REWRITE:
        for name, row in rows.items():
            if continues(row, known.get(name, ("", ""))):
                known[name] = row
        lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(row)}" for name, row in known.items())
        FILE.write_text(f"{{\n{lines}\n}}\n")
    return known


def test_every_node_has_a_row_and_every_row_a_node(contract, rows):
    assert set(rows) == set(contract), "PULLBACK_REWRITE=1 adds the row of a new node"
    assert all(name.startswith("Pullback") for name in rows)


@pytest.mark.parametrize("node", CONTRACT)
def test_ids_inputs_and_outputs_are_what_saved_workflows_rely_on(contract, rows, schemas, node):
    """Widgets are saved by position and links by slot: order and names stay, and a new input goes last."""
    assert rows[node] == contract[node] and schemas[node].node_id == node


@pytest.mark.parametrize("node", FIRST_INPUTS)
def test_an_input_that_came_later_is_optional(schemas, node):
    """ComfyUI refuses a prompt without a required input, also where the input has a default."""
    later = (schemas[node].inputs or [])[FIRST_INPUTS[node] :]
    assert [part.id for part in later if not part.optional] == []


def test_rows_only_grow():
    old = ("model:MODEL rank:INT", "")
    assert continues(old, old) and continues(("model:MODEL rank:INT seed:INT", "IMAGE"), old)
    assert not continues(("model:MODEL rank:INTEGER", ""), old)
    assert not continues(("rank:INT model:MODEL", ""), old)
    assert not continues(("model:MODEL", ""), old)


def test_every_node_and_input_explains_itself(schemas):
    for schema in schemas.values():
        assert schema.description and schema.display_name and schema.category == "pullback"
        silent = [part.id for part in schema.inputs or [] if not part.tooltip]
        assert not silent, schema.node_id


def test_every_node_has_a_place_of_its_own(comfy_host, schemas):
    places = [comfy_host.nodes[name].MENU_POSITION for name in schemas]
    assert places == sorted(set(places))


def test_every_node_has_a_help_page_and_every_page_a_node(schemas):
    pages = {path.stem: path.read_text() for path in (PACK / "web" / "docs").glob("*.md")}
    assert set(pages) == set(schemas)
    for name, page in pages.items():
        assert page.startswith(f"# {schemas[name].display_name}\n")


def test_help_pages_link_to_nothing():
    """A link would lead ComfyUI's page away from the workflow. Pictures are safe."""
    for path in (PACK / "web" / "docs").glob("*.md"):
        text = re.sub(r"!\[[^\]]*\]\([^)]*\)", "", path.read_text())
        assert "](" not in text and "://" not in text, path.name


def test_help_pages_explain_inputs_that_there_are(schemas):
    """The first column of a page's table of inputs names inputs, one or several with commas between them."""
    for name, schema in schemas.items():
        page = (PACK / "web" / "docs" / f"{name}.md").read_text()
        table = page.partition("| Input | Meaning |\n|---|---|\n")[2].partition("\n\n")[0]
        named = {word for line in table.splitlines() for word in line.split("|")[1].strip().split(", ")}
        assert named <= {part.id for part in schema.inputs or []}, name


def test_the_table_of_the_readme_is_made_of_the_nodes(schemas):
    readme = PACK / "README.md"
    head, begin, rest = readme.read_text(encoding="utf-8").partition(BEGIN)
    table, end, tail = rest.partition(END)
    assert begin and end
    rows = [
        f"| [{schema.display_name}](web/docs/{name}.md) | {schema.description} |"
        for name, schema in schemas.items()
    ]
    expected = "\n".join(["| node | what it does |", "|---|---|", *rows, ""])
    if REWRITE:
        readme.write_text(f"{head}{begin}{expected}{end}{tail}", encoding="utf-8")
        table = expected
    assert table == expected, "PULLBACK_REWRITE=1 writes the table"
