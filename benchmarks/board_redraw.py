"""How fast does the board answer in the real page: a drag's redraw, and the true picture after a release?

    python -m benchmarks.board_redraw
    python -m benchmarks.board_redraw --renderer nodes2 --size 512 --rows 16 --moves 240

It starts the ComfyUI that `tests/hosts.py` finds, and the system's Chromium. Times are by the page's clock:

- redraw: a made-up picture with made-up directions is fed to a real board, and a slider is dragged. A redraw
  is the sum of the directions, composed and drawn on the canvas;
- release: a board on the bundled model. From the release of a slider until the true picture is in sight.
"""

import argparse
import contextlib
import io
import statistics
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
for folder in ("tests", "tests/browser"):  # a running page, as the tests have it
    sys.path.insert(0, str(ROOT / folder))

from board_page import Board  # noqa: E402
from browsers import find_browser, open_browser  # noqa: E402
from comfy_page import SIZE, ComfyPage  # noqa: E402
from graphs import add_board, face_graph  # noqa: E402
from hosts import find_host, find_python  # noqa: E402
from page_server import RENDERERS, PageServer  # noqa: E402

SEND = """([node, payload]) => window.app.api.dispatchCustomEvent(
  "executed", {node, display_node: node, prompt_id: "made up", output: {pullback_board: [payload]}})"""
TIMINGS = (
    """id => window.app.graph.getNodeById(id).widgets.find(widget => widget.name === "board").board.timings"""
)
# The time from the next release of the pointer until the board shows the true picture.
WATCH = """root => {
  window.took = null;
  window.addEventListener("pointerup", () => {
    const start = performance.now();
    const watch = new MutationObserver(() => {
      if (root.dataset.shows !== "true" || root.dataset.busy !== "false") return;
      watch.disconnect();
      requestAnimationFrame(() => { window.took = performance.now() - start; });
    });
    watch.observe(root, {attributes: true});
  }, {capture: true, once: true});
}"""


def smooth_noise(rng, height, width, detail):
    """A random picture of soft blobs, (height, width, 3) of 0..255."""
    small = Image.fromarray(rng.integers(0, 256, (detail, detail, 3), dtype=np.uint8))
    return np.asarray(small.resize((width, height), Image.Resampling.BICUBIC))


def png(pixels):
    """The bytes of a PNG."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def made_up_board(size, rows):
    """(payload, {file name: its bytes}) of a board with a random picture and random directions."""
    rng = np.random.default_rng(0)
    files = {
        "made_up_before.png": png(smooth_noise(rng, size, size, 12)),
        "made_up_changes.png": png(np.concatenate([smooth_noise(rng, size, size, 9) for _ in range(rows)])),
    }
    row = {"kind": "direction", "name": "", "scale": 0.6, "range": [1.5, 1.5], "colour": False}
    before, changes = ({"filename": name, "subfolder": "", "type": "temp"} for name in files)
    payload = {
        "id": "made up",
        "node": "",
        "width": size,
        "height": size,
        "before": before,
        "changes": changes,
        "rows": [row] * rows,
        "metric": np.eye(rows).tolist(),
        "note": "",
    }
    return payload, files


def serve(page, files):
    """Answer the page's requests for these files."""

    def answer(route):
        name = next((name for name in files if name in route.request.url), None)
        route.fulfill(body=files[name], content_type="image/png") if name else route.continue_()

    page.route("**/view?*", answer)


def measure_redraws(comfy, size, rows, moves):
    """The milliseconds of each redraw while one slider is dragged and others are set."""
    payload, files = made_up_board(size, rows)
    serve(comfy.page, files)
    comfy.build(add_board(face_graph()))
    board = Board(comfy)
    board.show()
    comfy.page.evaluate(SEND, [board.node, payload])
    board.wait_until_shows("before")
    x, y, scale = board.grip(0)
    mouse = comfy.page.mouse
    mouse.move(x, y)
    mouse.down()
    known = len(comfy.page.evaluate(TIMINGS, int(board.node)))
    for move in range(moves):
        mouse.move(x + 2 * scale * np.sin(move / 9), y)
        comfy.page.wait_for_timeout(16)
    times = comfy.page.evaluate(TIMINGS, int(board.node))[known:]
    comfy.page.keyboard.press("Escape")
    return times


def measure_releases(comfy, count):
    """The milliseconds from release to true picture, on the bundled model."""
    graph = face_graph()
    graph["nodes"]["basis"][2].update(rank=16)
    graph["nodes"]["invert"][2].update(steps=30)
    comfy.build(add_board(graph))
    board = Board(comfy)
    board.show()
    comfy.run()
    board.wait_until_shows("before")
    times = []
    for turn in range(count):
        board.root.evaluate(WATCH)
        board.set(turn % 4, 1 + 0.1 * turn)
        times.append(comfy.page.evaluate("() => window.took"))
    return times


def report(what, times):
    """One line: median and worst."""
    print(f"{what}: median {statistics.median(times):.1f} ms, worst {max(times):.1f} ms, {len(times)} times")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--renderer", choices=RENDERERS, default="classic")
    parser.add_argument("--size", type=int, default=512, help="edge of the picture, in pixels")
    parser.add_argument("--rows", type=int, default=16, help="how many directions")
    parser.add_argument("--moves", type=int, default=240, help="moves of the pointer during the drag")
    parser.add_argument("--releases", type=int, default=8)
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        browser = stack.enter_context(open_browser(find_browser()))
        host = find_host()
        server = PageServer(host, find_python(host), folder)
        stack.callback(server.stop)
        server.use_renderer(options.renderer)
        comfy = ComfyPage(browser.new_page(viewport=SIZE), server, folder)
        comfy.open()
        redraws = measure_redraws(comfy, options.size, options.rows, options.moves)
        report(f"redraw, {options.size} x {options.size}, {options.rows} directions", redraws)
        comfy.reload()
        report("release to true picture, bundled model", measure_releases(comfy, options.releases))


if __name__ == "__main__":
    main()
