"""The languages of the pack: each says all that English says, of the nodes, on the page and in the help.

locales/<language>/nodeDefs.json has the texts of the nodes, main.json those of the page, and
web/docs/<node>/<language>.md is a help page. The English help page is web/docs/<node>.md.
"""

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LOCALES, DOCS = ROOT / "locales", ROOT / "web" / "docs"
LANGUAGES = sorted(path.name for path in LOCALES.iterdir() if path.name != "en")
FILES = ("main.json", "nodeDefs.json")
# The page reads texts of nodes as messages, in which these have a meaning: {name}, @:link, one | many.
SPECIAL = set("{}@|")
PLACEHOLDER = re.compile(r"\{(\w+)\}")
# text("board.run") in the code of the page, also with values behind the key.
USED_KEY = re.compile(r"""(?<![\w.])text\(\s*(["'])([\w.]+)\1""")
PICTURE = re.compile(r"!\[[^\]]*\]\(([^)]*)\)")
PARTS = {"Input": "inputs", "Output": "outputs"}  # of a node, by the heading of their table
PUNCTUATION = str.maketrans({"\uff08": " (", "\uff09": ")", "\u3001": ", "})  # wide parentheses and comma
CODE = re.compile(r"`[^`]+`")
EMPHASISED = re.compile(r"(?<!\*)\*([^*\n]+(?:\n[^*\n]+)?)\*(?!\*)")


def texts_of(language, file):
    """The texts of a file by their keys, joined by dots."""
    return flat(json.loads((LOCALES / language / file).read_text(encoding="utf-8")))


def flat(texts, prefix=""):
    if isinstance(texts, str):
        return {prefix.removesuffix("."): texts}
    return {key: text for name, part in texts.items() for key, text in flat(part, f"{prefix}{name}.").items()}


ENGLISH = {file: texts_of("en", file) for file in FILES}
NODES = json.loads((LOCALES / "en" / "nodeDefs.json").read_text(encoding="utf-8"))
PAGE = "pullback."  # the keys of main.json that web/js reads; the others belong to ComfyUI's page


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_has_the_keys_of_english(language, file):
    assert set(texts_of(language, file)) == set(ENGLISH[file])


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("language", ["en", *LANGUAGES])
def test_no_text_is_empty(language, file):
    assert [key for key, text in texts_of(language, file).items() if not text.strip()] == []


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_has_the_placeholders_of_english(language, file):
    english = {key: sorted(PLACEHOLDER.findall(text)) for key, text in ENGLISH[file].items()}
    texts = texts_of(language, file)
    assert {key: sorted(PLACEHOLDER.findall(text)) for key, text in texts.items()} == english


@pytest.mark.parametrize("language", LANGUAGES)
def test_sentences_are_translated(language):
    """A text of several words that is the English one was forgotten."""
    same = [
        key
        for file in FILES
        for key, text in texts_of(language, file).items()
        if text == ENGLISH[file].get(key) and len(text.split()) > 2
    ]
    assert same == []


@pytest.mark.parametrize("language", ["en", *LANGUAGES])
def test_comfyui_can_show_its_texts_as_they_are(language):
    texts = texts_of(language, "nodeDefs.json")
    for key, text in texts_of(language, "main.json").items():
        if not key.startswith(PAGE):
            texts[key] = text
    assert [key for key, text in texts.items() if SPECIAL & set(text)] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_names_of_a_node_differ(language):
    """Two inputs of one name could not be told apart."""
    texts = texts_of(language, "nodeDefs.json")
    for node, english in NODES.items():
        names = [texts[f"{node}.inputs.{name}.name"] for name in english.get("inputs", {})]
        assert len(set(names)) == len(names), node
    titles = [texts[f"{node}.display_name"] for node in NODES]
    assert len(set(titles)) == len(titles)


def used_keys():
    """Every key that the code of the page asks for, with the files that do."""
    found = {}
    for path in sorted((ROOT / "web" / "js").rglob("*.js")):
        for _, key in USED_KEY.findall(path.read_text(encoding="utf-8")):
            found.setdefault(PAGE + key, []).append(path.name)
    return found


def test_every_text_that_the_page_asks_for_exists():
    assert {key: files for key, files in used_keys().items() if key not in ENGLISH["main.json"]} == {}


def test_the_page_asks_for_every_text():
    """A key is in quotes in the code, or made there, as in text(`board.${mark}`). Nodes have the options."""
    code = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "web" / "js").rglob("*.js"))
    quoted = set(re.findall(r"""["']([\w.]+)["']""", code))
    made = [re.sub(r"\$\{\w+\}", r"[\\w.]+", key) for key in re.findall(r"text\(`([^`]*)`", code)]
    keys = [key.removeprefix(PAGE) for key in ENGLISH["main.json"] if key.startswith(PAGE)]
    said = [key for key in keys if not key.startswith("options.") and key not in quoted]
    assert [key for key in said if not any(re.fullmatch(pattern, key) for pattern in made)] == []


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("language", ["en", *LANGUAGES])
def test_files_are_in_one_form(language, file):
    path = LOCALES / language / file
    written = path.read_bytes().decode("utf-8")
    assert written == json.dumps(json.loads(written), indent=2, ensure_ascii=False) + "\n"


def page_of(node, language):
    """The help page of a node."""
    path = DOCS / f"{node}.md" if language == "en" else DOCS / node / f"{language}.md"
    return path.read_text(encoding="utf-8")


def tables_of(page):
    """The first column of each table of a page, from its heading on."""
    cells, tables = [], []
    for line in [*page.splitlines(), ""]:
        if line.startswith("|"):
            cells.append(line.split("|")[1].strip())
        elif cells:
            tables.append([cells[0], *cells[2:]])  # the second line is |---|---|
            cells = []
    return tables


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_node_has_a_help_page_and_every_page_a_node(language):
    assert {path.parent.name for path in DOCS.glob(f"*/{language}.md")} == set(NODES)


def test_help_pages_are_in_known_languages():
    assert {path.stem for path in DOCS.glob("*/*.md")} <= set(LANGUAGES)


@pytest.mark.parametrize("node", NODES)
@pytest.mark.parametrize("language", LANGUAGES)
def test_a_help_page_shows_what_the_english_one_shows(language, node):
    """The same pictures, tables of the same length, the same names of code, and no links."""
    page, english = page_of(node, language), page_of(node, "en")
    title = texts_of(language, "nodeDefs.json")[f"{node}.display_name"]
    assert page.startswith(f"# {title}\n")
    assert PICTURE.findall(page) == PICTURE.findall(english)
    assert [len(table) for table in tables_of(page)] == [len(table) for table in tables_of(english)]
    assert set(CODE.findall(english)) <= set(CODE.findall(page))
    assert page.count("\n## ") == english.count("\n## ")
    assert page.count("\n**") == english.count("\n**")
    assert "](" not in PICTURE.sub("", page) and "://" not in page


def names_of(node, part, language):
    """How a help page names the inputs or outputs of a node, by their English names."""
    texts, names = texts_of(language, "nodeDefs.json"), {}
    for key, english in NODES[node].get(part, {}).items():
        name = texts[f"{node}.{part}.{key}.name"]
        is_told = part == "inputs" and name.lower() != key
        names[english["name"]] = f"{name} ({key})" if is_told else name
    return names


@pytest.mark.parametrize("node", NODES)
@pytest.mark.parametrize("language", LANGUAGES)
def test_the_tables_of_a_help_page_name_inputs_and_outputs_as_the_node_does(language, node):
    """Behind the name of an input is its name in the code, as in 'Directions (rank)', if they differ."""
    for english, table in zip(tables_of(page_of(node, "en")), tables_of(page_of(node, language))):
        if english[0] in PARTS:
            names = names_of(node, PARTS[english[0]], language)
            expected = [", ".join(names[name] for name in cell.split(", ")) for cell in english[1:]]
            assert [cell.translate(PUNCTUATION) for cell in table[1:]] == expected


@pytest.mark.parametrize("node", NODES)
@pytest.mark.parametrize("language", LANGUAGES)
def test_a_help_page_calls_other_nodes_as_the_menu_does(language, node):
    texts, page = texts_of(language, "nodeDefs.json"), page_of(node, language)
    named = set(EMPHASISED.findall(page_of(node, "en")))
    mentioned = [other for other in NODES if NODES[other]["display_name"] in named]
    assert [other for other in mentioned if texts[f"{other}.display_name"] not in page] == []


@pytest.mark.parametrize("node", NODES)
def test_help_pages_name_templates_that_there_are(node):
    """A template is named as its file, in italics, and its file begins with a number."""
    named = {name.replace("\n", " ") for name in EMPHASISED.findall(page_of(node, "en")) if name[0].isdigit()}
    assert named <= {path.stem for path in (ROOT / "workflows").glob("*.json")}
    for language in LANGUAGES:
        assert [name for name in named if name not in page_of(node, language)] == []
