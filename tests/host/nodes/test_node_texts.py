"""The English texts of the nodes in locales/en are those of the code.

The page prefers the texts of locales/en/nodeDefs.json to those of the code, so they must not differ.
PULLBACK_REWRITE=1 writes the file after a change. tests/test_locales.py compares other languages with it.
"""

import json
import os
from pathlib import Path

import pytest

ENGLISH = Path(__file__).parents[3] / "locales" / "en"
FILE = ENGLISH / "nodeDefs.json"
REWRITE = os.environ.get("PULLBACK_REWRITE") == "1"
# The page reads texts of nodes as messages, in which these have a meaning: {name}, @:link, one | many.
SPECIAL = set("{}@|")


@pytest.fixture(scope="module")
def texts(schemas):
    """The texts of every node in the form of locales/en/nodeDefs.json."""
    return {name: texts_of(schema) for name, schema in schemas.items()}


def texts_of(schema):
    found = {"display_name": schema.display_name, "description": schema.description}
    if schema.inputs:
        found["inputs"] = {part.id: texts_of_part(part, part.id) for part in schema.inputs}
    if schema.outputs:
        found["outputs"] = {
            str(index): texts_of_part(part, part.get_io_type()) for index, part in enumerate(schema.outputs)
        }
    return found


def texts_of_part(part, name):
    """The texts of an input or output. name: what the page calls it if the schema does not say."""
    found = {"name": part.display_name or name}
    if part.tooltip:
        found["tooltip"] = part.tooltip
    return found


def text_leaves(texts):
    """Every text of a tree of them."""
    if isinstance(texts, str):
        return [texts]
    return [leaf for part in texts.values() for leaf in text_leaves(part)]


def test_english_is_what_the_code_says(texts):
    if REWRITE:
        FILE.write_text(json.dumps(texts, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    assert json.loads(FILE.read_text(encoding="utf-8")) == texts, "PULLBACK_REWRITE=1 writes the file"


def test_the_page_can_show_every_text_as_it_is(texts):
    assert [text for text in text_leaves(texts) if SPECIAL & set(text)] == []
    assert not [name for name in texts if "." in name]


def test_every_option_has_a_text(schemas):
    """web/js/option_labels.js shows them. The list of Load Pullback Basis is of files."""
    options = set()
    for schema in schemas.values():
        for part in schema.inputs or []:
            if part.get_io_type() == "COMBO" and part.id != "file":
                options |= set(part.options)
    texts = json.loads((ENGLISH / "main.json").read_text(encoding="utf-8"))["pullback"]["options"]
    assert texts == {option: option for option in options}
