"""The templates and the blueprint: what is seen when one is opened, and that its graph holds together."""

import itertools
import json
import runpy
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).parents[1]
LEVELS = runpy.run_path(str(ROOT / "tests" / "host" / "workflow.py"))["levels"]
TEMPLATES = {path.stem: json.loads(path.read_text()) for path in sorted((ROOT / "workflows").glob("*.json"))}
[BLUEPRINT] = (ROOT / "subgraphs").glob("*.json")
ALL = {**TEMPLATES, BLUEPRINT.stem: json.loads(BLUEPRINT.read_text())}
SCREEN = 1400, 900
# How the page shows a template: all nodes in 75% of the canvas, with 10 pixels around them, whatever view was
# saved (fitView of the frontends 1.27 to 1.49).
FILLED, AROUND = 0.75, 10
LEAST_ZOOM = 0.7
BARS = 70  # pixels of the page's bars, at the left and at the top
TITLE = 30  # the height of a node's title, which lies above its position
GAP = 10
RESULTS = {"PullbackBoard", "PullbackBasisVisualizer", "PreviewImage"}
LOADERS = {"CheckpointLoaderSimple", "UNETLoader"}


def box(node):
    """(left, top, right, bottom) of a node with its title."""
    (left, top), (width, height) = node["pos"], node["size"]
    return left, top - TITLE, left + width, top + height


def bounds(nodes):
    """(left, top, right, bottom) of several nodes."""
    left, top, right, bottom = zip(*map(box, nodes))
    return min(left), min(top), max(right), max(bottom)


def zoom(workflow):
    """The zoom at which the page opens it on `SCREEN`."""
    left, top, right, bottom = bounds(workflow["nodes"])
    sizes = right - left + 2 * AROUND, bottom - top + 2 * AROUND
    return min(FILLED * side / size for side, size in zip(SCREEN, sizes))


def types(workflow):
    return {node["type"] for level in LEVELS(workflow) for node in level.nodes.values()}


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_opens_whole_and_legible(name):
    """Nothing is cut off, because the page shows all nodes. Under 50% no text is drawn at all."""
    assert zoom(TEMPLATES[name]) >= LEAST_ZOOM


@pytest.mark.parametrize("name", TEMPLATES)
def test_the_saved_view_shows_the_note_and_the_result(name):
    """Older pages open a template at the saved view. In Nodes 2.0 they first make all nodes larger."""
    view, nodes = TEMPLATES[name]["extra"]["ds"], TEMPLATES[name]["nodes"]
    assert view["scale"] >= LEAST_ZOOM
    left, top, right, bottom = bounds(nodes)
    for larger in (1, 1.2):
        for start, end, offset, side in zip((left, top), (right, bottom), view["offset"], SCREEN):
            assert (start + offset) * view["scale"] >= BARS
            assert (start + larger * (end - start) + offset) * view["scale"] <= side


@pytest.mark.parametrize("name", TEMPLATES)
def test_no_node_lies_on_another(name):
    for one, other in itertools.combinations(TEMPLATES[name]["nodes"], 2):
        a, b = box(one), box(other)
        apart = max(b[0] - a[2], a[0] - b[2], b[1] - a[3], a[1] - b[3])
        assert apart >= GAP, (one["type"], other["type"])


@pytest.mark.parametrize("name", TEMPLATES)
def test_the_nodes_lie_in_two_rows(name):
    """The first row ends where the second begins. Only the results, the last nodes, reach over both."""
    nodes = TEMPLATES[name]["nodes"]
    [note] = [node for node in nodes if node["type"] == "MarkdownNote"]
    middle = box(note)[3]
    left = min(box(node)[0] for node in nodes if node["type"] in RESULTS)
    for node in nodes:
        _, top, _, bottom = box(node)
        over_both = top < middle - TITLE and bottom > middle + TITLE
        assert not over_both or box(node)[0] >= left, node["type"]


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_begins_with_a_note_and_ends_with_a_picture(name):
    first, *_, last = TEMPLATES[name]["nodes"]
    assert (first["type"], first["title"], first["pos"]) == ("MarkdownNote", "Start here", [0, 0])
    assert "**Run**" in first["widgets_values"][0]
    assert last["type"] in RESULTS | {"PullbackSaveBasis"}
    assert min(next(n for n in TEMPLATES[name]["nodes"] if n["type"] in RESULTS)["size"]) >= 400
    assert "SaveImage" not in types(TEMPLATES[name])


def test_the_quick_start_has_four_nodes_beside_the_note():
    assert len(TEMPLATES["1 Quick start"]["nodes"]) == 1 + 4


def test_names_say_the_order_and_what_is_needed():
    """A card of the page shows the name of the file and nothing else."""
    numbers = [name.partition(" ")[0] for name in TEMPLATES if name[0].isdigit()]
    assert numbers == [str(number) for number in range(1, len(numbers) + 1)]
    for name, workflow in TEMPLATES.items():
        assert name[0].isdigit() != ("(needs " in name) == bool(LOADERS & types(workflow)), name
        assert not set(name) & set('"*/:<>?\\|%#&'), "a name that some file system or address does not take"


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_has_a_card(name):
    with Image.open(ROOT / "workflows" / f"{name}.jpg") as card:
        assert card.size == (512, 512)


def test_every_card_has_a_template():
    assert {path.stem for path in (ROOT / "workflows").glob("*.jpg")} == set(TEMPLATES)


@pytest.mark.parametrize("name", ALL)
def test_the_ends_of_links_know_them(name):
    for level in LEVELS(ALL[name]):
        links = [link if isinstance(link, dict) else as_object(link) for link in level.graph["links"]]
        assert len({link["id"] for link in links}) == len(links)
        for link in links:
            for socket, kind in zip(ends(link, level.graph, level.nodes), ("links", "link")):
                known = socket["linkIds"] if "linkIds" in socket else socket[kind]
                assert link["id"] == known or link["id"] in known
                assert link["type"] == socket["type"] or "widget" in socket
        sockets = [socket for node in level.nodes.values() for socket in node["inputs"]]
        assert {socket["link"] for socket in sockets} - {None} <= {link["id"] for link in links}


def as_object(link):
    keys = "id", "origin_id", "origin_slot", "target_id", "target_slot", "type"
    return dict(zip(keys, link))


def ends(link, graph, nodes):
    """The sockets where a link begins and where it ends. -10 and -20 are a subgraph's own."""
    origin = graph if link["origin_id"] == -10 else nodes[link["origin_id"]]
    target = graph if link["target_id"] == -20 else nodes[link["target_id"]]
    begins = origin["inputs" if origin is graph else "outputs"][link["origin_slot"]]
    return begins, target["outputs" if target is graph else "inputs"][link["target_slot"]]


@pytest.mark.parametrize("name", ALL)
def test_no_two_nodes_of_a_workflow_have_one_number(name):
    """The page would number them anew."""
    definitions = ALL[name].get("definitions", {}).get("subgraphs", [])
    numbers = [node["id"] for graph in (ALL[name], *definitions) for node in graph["nodes"]]
    assert len(numbers) == len(set(numbers))
    assert len({definition["id"] for definition in definitions}) == len(definitions)


def test_the_blueprint_takes_a_picture_to_a_picture_by_a_board():
    [node], [definition] = ALL[BLUEPRINT.stem]["nodes"], ALL[BLUEPRINT.stem]["definitions"]["subgraphs"]
    assert node["type"] == definition["id"] and definition["name"] == BLUEPRINT.stem
    assert [socket["type"] for socket in definition["inputs"]] == ["MODEL", "VAE", "CONDITIONING", "IMAGE"]
    assert [socket["type"] for socket in definition["outputs"]] == ["IMAGE"]
    assert "PullbackBoard" in types(ALL[BLUEPRINT.stem]) and definition["description"]
    for side in ("inputs", "outputs"):
        assert [s["name"] for s in node[side]] == [s["name"] for s in definition[side]]
