"""The board of one node in the page: what it shows, and what a hand does with it."""

import json

from comfy_page import FIND_NODES, canvas_picture

WIDGET = f"""([id, name]) => ({FIND_NODES})("PullbackBoard").find(node => String(node.id) === id)
  .widgets.find(widget => widget.name === name)"""


class Board:
    """The board of the node of an id, or the only one of the page."""

    def __init__(self, comfy, node=None):
        self.comfy, self.page = comfy, comfy.page
        self.node = node or comfy.nodes("PullbackBoard")[0]
        self.root = self.page.locator(f"[data-pullback='board'][data-node='{self.node}']")

    def part(self, name, **data):
        """The parts of a name, of these data attributes."""
        wanted = "".join(f"[data-{key}='{value}']" for key, value in data.items())
        return self.root.locator(f"[data-pullback='{name}']{wanted}")

    def show(self, scale=0.9):
        """Bring the node into sight, in the upper left corner."""
        self.comfy.show("PullbackBoard", scale, self.node)

    def wait_until_shows(self, what):
        """Wait until the picture is of a kind, and nothing of the board runs."""
        self.root.and_(self.page.locator(f"[data-shows='{what}']:not([data-busy='true'])")).wait_for()
        self.comfy.settle()

    def wait_until_idle(self):
        """Wait until nothing of the board runs."""
        self.root.and_(self.page.locator(":not([data-busy='true'])")).wait_for()
        self.comfy.settle()

    @property
    def shows(self):
        """What the picture is: empty, before, preview, true or old."""
        return self.root.get_attribute("data-shows")

    def picture(self):
        """The picture, as an array (COMPARED, COMPARED, 3) of 0..255."""
        return canvas_picture(self.part("picture"))

    def slider(self, row, kind="direction"):
        """One slider."""
        return self.part("slider", row=row, kind=kind)

    def value(self, row, kind="direction"):
        """Where a slider stands."""
        return float(self.slider(row, kind).input_value())

    def values(self):
        """Where the sliders stand: {(kind, row): value}."""
        found = self.part("slider").evaluate_all(
            "all => all.map(one => [one.dataset.kind, Number(one.dataset.row), Number(one.value)])"
        )
        return {(kind, row): value for kind, row, value in found}

    def first_word(self):
        """The row of the first word."""
        return min(row for kind, row in self.values() if kind == "word")

    def grip(self, row, kind="direction"):
        """(x, y) of a slider's handle, and pixels of the page for one unit of strength."""
        slider = self.slider(row, kind)
        slider.scroll_into_view_if_needed()
        box = slider.bounding_box()
        low, high = (float(slider.get_attribute(name)) for name in ("min", "max"))
        scale = box["width"] / (high - low)
        return box["x"] + (self.value(row, kind) - low) * scale, box["y"] + box["height"] / 2, scale

    def drag(self, row, value, kind="direction", release=True):
        """Drag a slider to a value, in several moves."""
        x, y, scale = self.grip(row, kind)
        distance = (value - self.value(row, kind)) * scale
        mouse = self.page.mouse
        mouse.move(x, y)
        mouse.down()
        for step in range(1, 9):
            mouse.move(x + distance * step / 8, y)
            self.page.wait_for_timeout(20)
        if release:
            mouse.up()

    def set(self, row, value, kind="direction"):
        """Drag a slider to a value, let go, and wait for the true picture."""
        count = len(self.comfy.prompts)
        self.drag(row, value, kind)
        self.comfy.wait_for_prompts(count + 1)
        self.wait_until_shows("true")

    def press(self, name, **data):
        """Press a button."""
        self.part(name, **data).click()

    def select(self):
        """Select the node alone, with the keys going to the page."""
        self.page.evaluate(
            f"""id => {{
              document.activeElement?.blur();
              const node = ({FIND_NODES})("PullbackBoard").find(node => String(node.id) === id);
              window.app.canvas.selectNode(node, false);
              window.app.canvas.canvas.focus();
            }}""",
            self.node,
        )

    def paint(self, *places):
        """Draw a stroke over the picture through places in shares of its width and height."""
        box = self.part("brush-layer").bounding_box()
        points = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in places]
        mouse = self.page.mouse
        mouse.move(*points[0])
        mouse.down()
        for x, y in points[1:]:
            mouse.move(x, y, steps=6)
        mouse.up()
        self.comfy.settle()

    def state(self):
        """What the node's widget `state` says, decoded; None where nothing is set."""
        text = self.page.evaluate(f"place => ({WIDGET})(place).value", [self.node, "state"])
        return json.loads(text) if text else None
