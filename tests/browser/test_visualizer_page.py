"""The sheet of the Basis Visualizer: a click on a cell sets what is connected, and runs it."""

import pytest
from graphs import COMMON, add_board, face_graph

OPTIONS = {"directions": 2, "strengths": 3, "strength": 1.0, "cell": 64}


def sheet_graph(**options):
    """A face with a sheet."""
    graph = face_graph()
    graph["nodes"]["sheet"] = ("PullbackBasisVisualizer", [420, 0], {**OPTIONS, **options})
    graph["links"] += [(source, output, "sheet", name) for source, output, name in COMMON]
    graph["links"] += [("basis", "PULLBACK_BASIS", "sheet", "basis"), ("model", "VAE", "sheet", "vae")]
    return graph


def add_edit(graph):
    """An edit of the same basis, sampled and shown."""
    graph["nodes"]["edit"] = ("PullbackGuidanceEdit", [1100, 0], {"strengths": 5, "directions": 2})
    graph["nodes"]["sample"] = ("SamplerCustom", [1100, 320], {"add_noise": False, "cfg": 1.0})
    graph["nodes"]["sampler"] = ("KSamplerSelect", [1100, 640], {"sampler_name": "euler"})
    graph["nodes"]["decode"] = ("VAEDecode", [1100, 760], {})
    graph["nodes"]["preview"] = ("PreviewImage", [1400, 0], {})
    graph["links"] += [
        *((source, output, "edit", name) for source, output, name in COMMON if name != "sigmas"),
        ("basis", "PULLBACK_BASIS", "edit", "basis"),
        ("model", "MODEL", "sample", "model"),
        ("model", "CONDITIONING", "sample", "positive"),
        ("model", "CONDITIONING", "sample", "negative"),
        ("sampler", "SAMPLER", "sample", "sampler"),
        ("invert", "SIGMAS", "sample", "sigmas"),
        ("edit", "LATENT", "sample", "latent_image"),
        ("sample", "output", "decode", "samples"),
        ("model", "VAE", "decode", "vae"),
        ("decode", "IMAGE", "preview", "images"),
    ]
    return graph


class Sheet:
    """The sheet of the one Basis Visualizer."""

    def __init__(self, comfy):
        self.comfy = comfy
        self.root = comfy.page.locator("[data-pullback='visualizer']").first

    def cell(self, direction, strength):
        return self.root.locator(
            f"[data-pullback='cell'][data-row='{direction - 1}'][data-strength='{strength}']"
        )

    def note(self):
        return self.root.locator("[data-pullback='note']").inner_text()


def test_a_click_on_a_cell_sets_the_edit_and_runs_it(comfy):
    made = comfy.build(add_edit(sheet_graph()))
    comfy.show("PullbackBasisVisualizer")
    assert comfy.run() == "success"
    sheet = Sheet(comfy)
    cell = sheet.cell(2, -1)
    cell.hover()
    comfy.settle()
    comfy.shoot("enlarged")
    before = len(comfy.prompts)
    cell.click()
    comfy.wait_for_prompts(before + 1)
    assert comfy.finish() == "success"
    values = {name: comfy.widget("PullbackGuidanceEdit", name) for name in ("direction", "strength", "unit")}
    assert values == {"direction": 2, "strength": -1, "unit": "guidance"}
    assert comfy.widget("PullbackGuidanceEdit", "strengths") == 1
    assert comfy.prompts[-1]["partial_execution_targets"] == [made["preview"]]
    [outputs] = [comfy.server.history()[-1]["outputs"].get(made["preview"])]
    assert len(outputs["images"]) == 1
    assert cell.get_attribute("aria-pressed") == "true"
    comfy.shoot("taken")
    assert comfy.pack_messages() == []


def test_a_click_on_a_cell_sets_a_board(comfy):
    comfy.build(add_board(sheet_graph(unit="picture"), place=(1100, 0)))
    comfy.show("PullbackBasisVisualizer", 0.6)
    assert comfy.run() == "success"
    before = len(comfy.prompts)
    Sheet(comfy).cell(1, 1).click()
    comfy.wait_for_prompts(before + 1)
    assert comfy.finish() == "success"
    assert '"mix":[1,' in comfy.widget("PullbackBoard", "state").replace(" ", "")
    comfy.shoot("board")
    assert comfy.pack_messages() == []


@pytest.mark.parametrize("unit", ["guidance", "picture"])
def test_a_sheet_says_that_nothing_takes_its_cells(comfy, unit):
    graph = sheet_graph(unit=unit)
    if unit == "guidance":  # a board counts in units of what is seen
        add_board(graph, place=(1100, 0))
    comfy.build(graph)
    comfy.show("PullbackBasisVisualizer")
    assert comfy.run() == "success"
    before = len(comfy.prompts)
    sheet = Sheet(comfy)
    sheet.cell(1, 1).click()
    comfy.settle()
    assert ("unit picture" if unit == "guidance" else "Nothing takes this cell") in sheet.note()
    assert len(comfy.prompts) == before


def test_the_sheet_is_there_after_a_reload_and_the_keys_walk_over_it(comfy):
    comfy.build(sheet_graph())
    comfy.load(
        comfy.saved()
    )  # a graph that was cleared gets a new id by a reload, a loaded one keeps its own
    comfy.show("PullbackBasisVisualizer")
    assert comfy.run() == "success"
    comfy.page.wait_for_timeout(1500)  # the page saves its workflow for the reload
    comfy.reload()
    comfy.show("PullbackBasisVisualizer")
    sheet = Sheet(comfy)
    sheet.cell(1, -1).focus()
    for key in ("ArrowRight", "ArrowDown"):
        comfy.page.keyboard.press(key)
    focused = comfy.page.evaluate("() => ({...document.activeElement.dataset})")
    assert (focused["row"], focused["strength"]) == ("1", "0")
    comfy.shoot("reloaded")


def test_an_undo_takes_the_cell_back_and_leaves_the_sheet(comfy):
    comfy.build(add_edit(sheet_graph()))
    comfy.load(comfy.saved())
    comfy.show("PullbackBasisVisualizer")
    assert comfy.run() == "success"
    sheet = Sheet(comfy)
    for direction in (2, 1):
        before = len(comfy.prompts)
        sheet.cell(direction, 1).click()
        comfy.wait_for_prompts(before + 1)
        comfy.finish()
    assert comfy.widget("PullbackGuidanceEdit", "direction") == 1
    comfy.page.keyboard.press("Control+z")
    comfy.settle()
    assert comfy.widget("PullbackGuidanceEdit", "direction") == 2
    comfy.shoot("undone")
    before = len(comfy.prompts)
    sheet.cell(1, -1).click()
    comfy.wait_for_prompts(before + 1)
    comfy.finish()
    assert comfy.widget("PullbackGuidanceEdit", "strength") == -1
    assert comfy.pack_messages() == []
