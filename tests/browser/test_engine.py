"""What sums the pictures of a board, in the real browser: it reads them exactly. No ComfyUI is needed."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

SCRIPTS = Path(__file__).parents[2] / "web" / "js"
ORIGIN = "http://board.invalid"  # nothing is sent there: the test answers every request
WIDTH, HEIGHT, ROWS = 40, 30, 3
KNOWN = {"known": {"filename": "known.png"}, "known_width": 4, "known_height": 3}
LOAD = """async payload => {
  const { BoardPictures } = await import("/board/pictures.js");
  const pictures = await BoardPictures.load(payload, file => "/" + file.filename);
  return { before: [...pictures.before], changes: pictures.changes.map(change => [...change]) };
}"""
SHOW = """async ([payload, amounts]) => {
  const { BoardPictures } = await import("/board/pictures.js");
  const pictures = await BoardPictures.load(payload, file => "/" + file.filename);
  const image = new ImageData(pictures.width, pictures.height);
  pictures.compose(Float64Array.from(amounts), image);
  const context = new OffscreenCanvas(image.width, image.height).getContext("2d");
  context.putImageData(image, 0, 0);
  return [...context.getImageData(0, 0, image.width, image.height).data];
}"""


def png(values):
    """A picture as a PNG file that also says how colours are to be shown, as some programs write it."""
    information = PngImagePlugin.PngInfo()
    information.add(b"gAMA", (100_000).to_bytes(4, "big"))  # light that is linear
    file = io.BytesIO()
    Image.fromarray(values).save(file, "PNG", pnginfo=information)
    return file.getvalue()


@pytest.fixture
def pictures():
    """A picture and changes of it that have all values of bytes."""
    random = np.random.default_rng(0)
    before = random.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    return before, random.integers(0, 256, (ROWS, HEIGHT, WIDTH, 3), dtype=np.uint8)


@pytest.fixture
def page(browser, pictures):
    """An empty page that has the page's modules and these pictures."""
    before, changes = pictures
    files = {
        "/before.png": png(before),
        "/changes.png": png(np.concatenate(changes)),
        "/two.png": png(np.concatenate(changes[:2])),
        "/known.png": png(np.arange(72, dtype=np.uint8).reshape(6, 4, 3)),
    }

    def answer(route):
        path = route.request.url.removeprefix(ORIGIN)
        if path == "/":
            route.fulfill(body="", content_type="text/html")
        elif path in files:
            route.fulfill(body=files[path], content_type="image/png")
        elif path.endswith(".js"):
            route.fulfill(path=SCRIPTS / path[1:], content_type="text/javascript")
        else:
            route.fulfill(status=404)

    page = browser.new_page()
    page.route("**/*", answer)
    page.goto(ORIGIN + "/")
    yield page
    page.close()


def payload(**parts):
    """What the node sends, of a board with these pictures."""
    row = {"kind": "direction", "name": "", "range": [1, 1]}
    made = {"width": WIDTH, "height": HEIGHT, "rows": [{**row, "scale": 0.1 * n} for n in (1, 2, 3)]}
    files = {name: {"filename": f"{name}.png"} for name in ("before", "changes")}
    return made | files | parts


def test_pictures_are_read_byte_by_byte(page, pictures):
    before, changes = pictures
    found = page.evaluate(LOAD, payload())
    assert found["before"] == before.flatten().tolist()
    assert found["changes"] == (changes.reshape(ROWS, -1).astype(int) - 128).tolist()


def test_known_rows_come_from_a_file_of_their_own(page, pictures):
    _, changes = pictures
    rows = [{"kind": kind, "scale": 0.1} for kind in ("direction", "known", "known", "word")]
    found = page.evaluate(LOAD, payload(rows=rows, changes={"filename": "two.png"}, **KNOWN))
    assert [len(change) for change in found["changes"]] == [3 * WIDTH * HEIGHT, 36, 36, 3 * WIDTH * HEIGHT]
    assert found["changes"][3] == (changes[1].flatten().astype(int) - 128).tolist()
    assert found["changes"][1] == list(range(-128, -92)) and found["changes"][2] == list(range(-92, -56))


def test_the_canvas_shows_the_sum(page, pictures):
    before, changes = pictures
    amounts = [1.5, -2.0, 0.25]
    found = np.array(page.evaluate(SHOW, [payload(), amounts])).reshape(HEIGHT, WIDTH, 4)
    steps = np.array([0.1, 0.2, 0.3]) * amounts
    wanted = before + np.einsum("r,rhwc->hwc", steps, changes.astype(float) - 128)
    assert np.abs(found[..., :3] - wanted.clip(0, 255)).max() <= 0.501
    assert (found[..., 3] == 255).all()


@pytest.mark.parametrize(
    "parts, message",
    [
        ({"before": {"filename": "gone.png"}}, "is gone"),
        ({"width": WIDTH + 1}, "pixels, and 41 x"),
    ],
)
def test_pictures_that_cannot_be_used_are_refused_in_a_sentence(page, parts, message):
    with pytest.raises(Exception, match=message):
        page.evaluate(LOAD, payload(**parts))
