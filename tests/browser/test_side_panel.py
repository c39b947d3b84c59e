"""Selected nodes beside the page's panel of parameters, which shows widgets once more."""

import pytest

OURS = {"PullbackBoard": "board", "PullbackLoadBasis": "library", "PullbackBasisVisualizer": "visualizer"}
PANEL = "Comfy.RightSidePanel.IsOpen"  # a setting of newer pages
OPEN = """async ([name, open]) => {
  const { setting } = window.app.extensionManager;
  if (setting.settings[name] === undefined) return false;
  await setting.set(name, open);
  return true;
}"""
SELECT = """() => { window.app.canvas.selectNode(window.app.graph.nodes[0]); }"""


@pytest.mark.parametrize("node", OURS)
def test_the_panel_leaves_elements_as_wide_as_their_nodes(comfy, node):
    comfy.build({"nodes": {"one": (node, [0, 0], {})}, "links": []})
    comfy.show(node)
    element = comfy.page.locator(f"[data-pullback='{OURS[node]}']").first
    element.wait_for()
    before = element.evaluate("element => element.offsetWidth")
    if not comfy.page.evaluate(OPEN, [PANEL, True]):
        pytest.skip("this page has no panel of parameters")
    try:
        comfy.page.evaluate(SELECT)
        comfy.settle()
        comfy.shoot("panel")
        assert element.evaluate("element => element.offsetWidth") == before
    finally:
        comfy.page.evaluate(OPEN, [PANEL, False])
