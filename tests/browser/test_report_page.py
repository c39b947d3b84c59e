"""Explain Features shows its table, in a fresh page too that gets it from the cache."""

from comfy_page import FIND_NODES
from graphs import COMMON, face_graph

REPORT = "[data-pullback='report'], pre"


def test_the_table_of_features_survives_a_cached_run_in_a_fresh_page(comfy, new_page):
    graph = face_graph()
    graph["nodes"]["explain"] = (
        "PullbackExplainFeatures",
        [420, 0],
        {"features": "middle, input_3", "rank": 2},
    )
    graph["links"] += [(source, output, "explain", name) for source, output, name in COMMON]
    comfy.build(graph)
    workflow = comfy.saved()
    assert comfy.run() == "success"
    comfy.show("PullbackExplainFeatures")
    first = report_of(comfy)
    assert "middle" in first and "input_3" in first
    assert {"middle", "input_3"} <= set(offered(comfy)), "nodes of the same model offer its blocks"
    other = new_page(comfy.server)
    other.open()
    other.load(workflow)
    other.show("PullbackExplainFeatures")
    assert other.run() == "success"
    assert report_of(other) == first
    assert other.pack_messages() == []


def offered(comfy):
    """The blocks to choose from in Pullback Basis, which did not run."""
    return comfy.page.evaluate(
        f"() => ({FIND_NODES})('PullbackBasis')[0].widgets.find(one => one.name === 'feature').options.values"
    )


def report_of(comfy):
    """The table that the page shows."""
    found = comfy.page.locator(REPORT).filter(has_text="middle").first
    found.wait_for()
    return found.inner_text()
