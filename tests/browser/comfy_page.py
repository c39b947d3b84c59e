"""ComfyUI's page in Chromium, used as an artist uses it: by clicking, dragging and typing."""

import base64
import io
import json
import re

import numpy as np
from graphs import BUILD
from page_server import NAME
from PIL import Image

SIZE = {"width": 1400, "height": 900}
COMPARED = 96  # pixels of the edge of pictures that are compared
WAIT = 180_000  # milliseconds that the page may take for anything; far more than a busy machine needs
IS_READY = "() => Boolean(window.app?.graph && window.app.extensionManager?.workflow?.activeWorkflow)"
FIND_NODES = """type => {
  const found = [];
  const visit = graph => {
    for (const node of graph.nodes) {
      if (node.type === type) found.push(node);
      if (node.subgraph) visit(node.subgraph);
    }
  };
  visit(window.app.rootGraph ?? window.app.graph);
  return found;
}"""

SHOW = f"""([type, scale, id]) => {{
  const node = ({FIND_NODES})(type).find(node => id === null || String(node.id) === id);
  const canvas = window.app.canvas;
  canvas.ds.scale = scale;
  canvas.ds.offset[0] = 80 / scale - node.pos[0];
  canvas.ds.offset[1] = 110 / scale - node.pos[1];
  canvas.setDirty(true, true);
}}"""


class ComfyPage:
    """One tab of the browser.

    messages: the lines of its console; prompts: what it queued, in order; shots: where its screenshots go.
    """

    def __init__(self, page, server, shots):
        self.page, self.server, self.shots = page, server, shots
        self.begin("page")
        page.set_default_timeout(WAIT)
        page.on("console", self._take_message)
        page.on("pageerror", self._take_error)
        page.on("request", self._take_request)
        page.on("dialog", self._take_dialog)

    def begin(self, name):
        """Begin a test, of this name for its screenshots. Earlier messages and prompts are forgotten."""
        self.name, self.messages, self.prompts = name, [], []

    def _take_message(self, message):
        if message.type in ("error", "warning"):
            self.messages.append(f"{message.type}: {message.text} ({message.location.get('url', '')})")

    def _take_error(self, error):
        self.messages.append(f"uncaught: {error.message} {error.stack}")

    def _take_request(self, request):
        if request.method == "POST" and request.url.split("?")[0].endswith("/prompt"):
            self.prompts.append(request.post_data_json)

    def _take_dialog(self, dialog):
        dialog.accept()  # "leave the page?" at a reload

    def open(self):
        """Load the page and wait until it can be used."""
        self.page.goto(self.server.url)
        self.wait_for(IS_READY)
        self.settle()

    def reload(self):
        """Load the page again, as the key F5 does."""
        self.page.reload()
        self.wait_for(IS_READY)
        self.settle()

    def wait_for(self, condition, argument=None):
        """Wait until an expression of the page is true."""
        self.page.wait_for_function(condition, arg=argument, timeout=WAIT)

    def settle(self):
        """Let the page draw what it has, and answer what it was told."""
        self.page.wait_for_timeout(350)

    def open_template(self, name):
        """Open a template of the pack by clicks in the template browser, and close what lies above it."""
        dialog = self.page.locator("[data-testid='template-workflows-content']")
        if not dialog.is_visible():
            self.page.get_by_label("Templates", exact=True).first.click()
        self.page.get_by_text(NAME, exact=True).first.click()
        self.page.get_by_test_id(f"template-workflow-{name}").click()
        dialog.wait_for(state="hidden")
        self.settle()

    def load(self, workflow):
        """Put a workflow, as it is in a file, on the canvas."""
        self.page.evaluate("async workflow => { await window.app.loadGraphData(workflow); }", workflow)
        self.settle()

    def build(self, graph):
        """Make a small workflow; see `graphs.py`. Returns the ids of its nodes by their names."""
        made = self.page.evaluate(BUILD, graph)
        self.settle()
        return made

    def show(self, node_type, scale=0.9, node=None):
        """Bring a node into sight, in the upper left corner: the one of an id, or the only one of a type."""
        self.page.evaluate(SHOW, [node_type, scale, node])
        self.settle()

    def pack_messages(self):
        """What the console says of the pack."""
        return [message for message in self.messages if "pullback" in message.lower()]

    def saved(self):
        """The workflow as a file would have it."""
        text = self.page.evaluate(
            "() => JSON.stringify((window.app.rootGraph ?? window.app.graph).serialize())"
        )
        return json.loads(text)

    def run(self):
        """Click Run and wait for the end. Returns the status of the last prompt."""
        before = len(self.prompts)
        self.page.get_by_test_id("queue-button").click()
        self.wait_for_prompts(before + 1)
        return self.finish()

    def wait_for_prompts(self, count):
        """Wait until the page has queued that many prompts since it was made."""
        for _ in range(WAIT // 50):
            if len(self.prompts) >= count:
                return
            self.page.wait_for_timeout(50)
        raise AssertionError(f"{len(self.prompts)} prompts were queued, not {count}")

    def finish(self):
        """Wait until the server is idle and the page knows. Returns the status of the last prompt."""
        self.page.wait_for_timeout(200)
        self.server.wait_until_idle()
        self.settle()
        return self.server.history()[-1]["status"]["status_str"]

    def nodes(self, node_type):
        """The ids of the nodes of a type, those in subgraphs too."""
        return self.page.evaluate(f"type => ({FIND_NODES})(type).map(node => String(node.id))", node_type)

    def widget(self, node_type, name):
        """The value of a widget of the one node of a type."""
        return self.page.evaluate(
            f"([type, name]) => ({FIND_NODES})(type)[0].widgets.find(widget => widget.name === name).value",
            [node_type, name],
        )

    def shoot(self, what):
        """Keep a screenshot."""
        label = re.sub(r"[^\w.]+", "_", f"{self.name}_{what}")
        self.page.screenshot(path=str(self.shots / f"{label}.png"))


def canvas_picture(locator):
    """What a canvas shows, as an array (COMPARED, COMPARED, 3) of 0..255, however large it is in the page."""
    data = locator.evaluate("canvas => canvas.toDataURL('image/png').split(',')[1]")
    with Image.open(io.BytesIO(base64.b64decode(data))) as picture:
        small = picture.convert("RGB").resize((COMPARED, COMPARED), Image.Resampling.BOX)
        return np.asarray(small, dtype=float)
