"""The pack in a running server, driven through its own interface: what ships is what is run."""

import asyncio
import io
import json
import os
import re
import runpy
import shutil
import struct
import sys
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import aiohttp
import numpy as np
import pytest
from PIL import Image
from safetensors.torch import load_file

sys.path.append(str(Path(__file__).parents[1]))  # at the end, so that no folder there hides one of ComfyUI
from comfy_process import ComfyProcess

PACK = Path(__file__).parents[2]
NAME = "ComfyUI-Pullback"
LIMIT = 900  # seconds that a start, an answer or a message may take; far more than a busy machine needs
NODES = set(json.loads(Path(__file__).with_name("nodes").joinpath("contract.json").read_text()))
# Workflow -> what the nodes in sight show, after a run: pictures, or the sliders of a board by their kind.
SHOWS = {
    "1 Quick start": {"PullbackBoard": {"direction": 16}},
    "2 Your picture": {"PullbackBoard": {"direction": 16}},
    "3 Explore directions": {"PullbackBoard": {"direction": 16}, "PullbackBasisVisualizer": 1},
    "4 Directions from words": {"PullbackBoard": {"direction": 16, "word": 2}},
    "5 Edit a region": {"PullbackBoard": {"direction": 4}},
    "6 Mix and keep": {"PullbackBasisVisualizer": 1},
    "7 Carry to other faces": {"PreviewImage": 1},
    "8 Which timestep": {"PreviewImage": 1, "PullbackBasisCompare": 1},
    "9 Direction for every face": {"PreviewImage": 1},
}
# Workflow -> the loaders of what has to be downloaded.
DOWNLOADS = {
    "Your photo (needs SD 1.5)": {"CheckpointLoaderSimple"},
    "Your photo (needs SDXL)": {"CheckpointLoaderSimple"},
    "Your photo (needs Flux.1 dev)": {"UNETLoader", "DualCLIPLoader", "VAELoader"},
}
SHOWS_OF_DOWNLOADS = {
    "Your photo (needs SD 1.5)": {"PullbackBoard": {"direction": 8}},
    "Your photo (needs SDXL)": {"PullbackBoard": {"direction": 6}},
    "Your photo (needs Flux.1 dev)": {"PullbackBasisVisualizer": 1},
}
TEXT, PREVIEWS = 3, (1, 4)  # kinds of binary messages
converter = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("workflow.py"))))


class Server:
    """A real server with the pack installed as a user installs it, in folders of its own."""

    def __init__(self, base):
        self.output = base / "output"
        clutter = shutil.ignore_patterns(
            ".*", "__pycache__", "node_modules", "output", "shared", "build", "*.egg-info"
        )
        shutil.copytree(PACK, base / "custom_nodes" / NAME, ignore=clutter)
        stand_ins = base / "custom_nodes" / "stand_ins"
        stand_ins.mkdir()
        shutil.copy(Path(__file__).with_name("stand_ins.py"), stand_ins / "__init__.py")
        for name in ("tiny_families.py", "tiny_models.py"):
            shutil.copy(Path(__file__).with_name(name), stand_ins / name)
        (base / "input").mkdir()
        Image.new("RGB", (64, 64), "orange").save(base / "input" / "example.png")
        options = ("--preview-method", "latent2rgb")
        self._process = ComfyProcess(os.getcwd(), sys.executable, base, LIMIT, *options)
        self.log, self.url, self.get = self._process.log, self._process.url, self._process.get
        try:
            self.known = json.loads(self.get("/object_info"))
        except BaseException:
            self.stop()
            raise

    def stop(self):
        self._process.stop()

    def post(self, path, content):
        """(status, answer) of a request."""
        data = json.dumps(content).encode()
        request = urllib.request.Request(self.url + path, data, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=LIMIT) as answer:
                return answer.status, json.loads(answer.read() or "null")
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())

    def prompt(self, name):
        """The workflow that ships, as a prompt."""
        workflow = json.loads((PACK / "workflows" / f"{name}.json").read_text())
        return converter.api_prompt(workflow, self.known)

    def picture(self, file):
        """A picture that a node has shown, as a float array in [0, 255]."""
        data = self.get(f"/view?{urllib.parse.urlencode(file)}")
        return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), dtype=float)

    def run(self, prompt, interrupt_at=None):
        """Run a prompt to its end. interrupt_at: the node during whose progress the user cancels."""
        return asyncio.run(self._run(prompt, interrupt_at))

    async def _run(self, prompt, interrupt_at):
        client, run = uuid.uuid4().hex, Run(self, prompt)
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(f"{self.url}/ws?clientId={client}") as messages,
        ):
            await messages.send_json({"type": "feature_flags", "data": {"supports_preview_metadata": True}})
            status, answer = await asyncio.to_thread(
                self.post, "/prompt", {"prompt": prompt, "client_id": client}
            )
            assert status == 200, answer
            while not run.ended:
                message = await messages.receive(timeout=LIMIT)
                run.take(message)
                if interrupt_at and run.progress[interrupt_at]:
                    interrupt_at = None
                    await asyncio.to_thread(self.post, "/interrupt", {})
        return run


class Run:
    """What the page was told while a prompt ran."""

    def __init__(self, server, prompt):
        self.server, self.prompt = server, prompt
        self.ended, self.error, self.files, self.executed, self.cached = "", "", {}, set(), set()
        self.features, self.boards, self.told = {}, {}, {}
        self.progress, self.previews, self.texts = Counter(), Counter(), {}
        self._node = None

    def take(self, message):
        if message.type == aiohttp.WSMsgType.BINARY:
            self._take_binary(message.data)
            return
        assert message.type == aiohttp.WSMsgType.TEXT, message
        kind, data = json.loads(message.data)["type"], json.loads(message.data)["data"]
        if kind == "executing" and data["node"]:
            self._node = self.prompt[data["node"]]["class_type"]
            self.executed.add(data["node"])
        elif kind == "execution_cached":
            self.cached = set(data["nodes"])
        elif kind == "progress":
            self.progress[self._node] += 1
        elif kind == "executed" and data["output"]:
            if "images" in data["output"]:
                self.files[data["node"]] = data["output"]["images"]
            self.features[data["node"]] = data["output"].get("pullback_features", [])
            if "pullback_text" in data["output"]:
                self.told[data["node"]] = data["output"]["pullback_text"]
            if "pullback_board" in data["output"]:
                [self.boards[data["node"]]] = data["output"]["pullback_board"]
        elif kind in ("execution_success", "execution_error", "execution_interrupted"):
            self.ended, self.error = kind, data.get("exception_message", "")

    def _take_binary(self, data):
        kind, length = struct.unpack_from(">II", data)
        if kind in PREVIEWS:
            self.previews[self._node] += 1
        elif kind == TEXT:
            node = data[8 : 8 + length].decode()
            self.texts.setdefault(self.prompt[node]["class_type"], []).append(data[8 + length :].decode())

    def pictures(self):
        """All pictures of SaveImage nodes, as float arrays in [0, 255], in the order of the nodes."""
        return [
            self.server.picture(file)
            for node in self.of_type("SaveImage")
            for file in self.files.get(node, [])
        ]

    def shown(self):
        """What the nodes in sight show, as `SHOWS` has it. A node in a subgraph is not in sight."""
        pictures = {node: len(files) for node, files in self.files.items()}
        sliders = {node: sliders_of(board) for node, board in self.boards.items()}
        return {
            self.prompt[node]["class_type"]: shown
            for node, shown in {**pictures, **sliders}.items()
            if ":" not in node
        }

    def of_type(self, class_type):
        return [key for key, node in self.prompt.items() if node["class_type"] == class_type]


def sliders_of(board):
    """{kind: how many sliders} of what a board sends to the page. Its "known" rows have no slider."""
    return dict(Counter(row["kind"] for row in board["rows"] if row["kind"] != "known"))


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    running = Server(tmp_path_factory.mktemp("server"))
    yield running
    running.stop()


@pytest.fixture
def prompt(server):
    return smaller(with_edit(server.prompt("1 Quick start")))


def with_edit(prompt, looks="PullbackBoard"):
    """The same prompt with an edit, a sampler and saved pictures in the place of the node that looks."""
    [key] = [key for key, node in prompt.items() if node["class_type"] == looks]
    at = prompt.pop(key)["inputs"]
    sampled = {name: at[name] for name in ("model", "sigmas")}
    sampled.update(positive=["words", 0], negative=["words", 0], cfg=1.0, add_noise=False)
    nodes = {
        "edit": (
            "PullbackGuidanceEdit",
            {
                **{name: at[name] for name in ("model", "conditioning", "latent", "basis")},
                **{"direction": 1, "strength": 1.0, "steps": 16, "strengths": 3, "directions": 1},
            },
        ),
        "words": ("PullbackFacesPrompt", {"text": ""}),
        "euler": ("KSamplerSelect", {"sampler_name": "euler"}),
        "sample": (
            "SamplerCustom",
            {**sampled, "noise_seed": 0, "sampler": ["euler", 0], "latent_image": ["edit", 0]},
        ),
        "decode": ("VAEDecode", {"samples": ["sample", 0], "vae": at["vae"]}),
        "save": ("SaveImage", {"images": ["decode", 0], "filename_prefix": "pullback"}),
    }
    made = {name: {"class_type": kind, "inputs": inputs} for name, (kind, inputs) in nodes.items()}
    return {**prompt, **made}


def smaller(prompt):
    """The same prompt with less to compute."""
    small = {
        "PullbackDDIMInvert": {"steps": 10, "refine": 1, "measure": True},
        "PullbackBasis": {"rank": 4, "tolerance": 0.1},
        "PullbackGuidanceEdit": {"strengths": 3, "unit": "picture"},
    }
    for node in prompt.values():
        node["inputs"].update(small.get(node["class_type"], {}))
    return prompt


def node_of(prompt, class_type):
    """The inputs of the one node of a type."""
    [node] = [node for node in prompt.values() if node["class_type"] == class_type]
    return node["inputs"]


def after(prompt, class_type):
    """The nodes of a type and all that depend on them."""
    found = {key for key, node in prompt.items() if node["class_type"] == class_type}
    while (
        more := {
            key
            for key, node in prompt.items()
            for value in node["inputs"].values()
            if isinstance(value, list) and value[0] in found
        }
        - found
    ):
        found |= more
    return found


def before(prompt, key):
    """A node and all that it depends on."""
    sources = [value[0] for value in prompt[key]["inputs"].values() if isinstance(value, list)]
    return {key}.union(*[before(prompt, source) for source in sources])


def difference(one, other):
    return np.abs(one - other).mean()


def check_row(original, row):
    """Edits from -strength to +strength: the middle one is the original again, the outermost ones are not."""
    again = difference(original, row[len(row) // 2])
    assert again < 1.5
    assert min(difference(original, row[0]), difference(original, row[-1])) > max(2 * again, 1.0)


def without_level(line):
    """A line of the log without the coloured level that newer hosts begin it with."""
    return re.sub(r"^\x1b\[\d+m\[\w+\]\x1b\[0m", "", line)


def test_the_pack_loads_without_a_word(server):
    own = [line for line in server.log.read_text().splitlines() if NAME in line]
    assert len(own) == 1  # in the list of import times
    assert re.fullmatch(rf"\s*[\d.]+ seconds: .*{NAME}", without_level(own[0]))
    assert {
        name for name, node in server.known.items() if node["python_module"] == f"custom_nodes.{NAME}"
    } == NODES


@pytest.mark.parametrize("name", SHOWS)
def test_a_workflow_runs_and_shows_one_picture_at_each_result(server, name):
    run = server.run(server.prompt(name))
    assert (run.ended, run.error) == ("execution_success", "")
    assert run.shown() == SHOWS[name]
    pictures = [server.picture(file) for files in run.files.values() for file in files]
    pictures += [server.picture(board["before"]) for board in run.boards.values()]
    assert min(picture.std() for picture in pictures) > 5
    assert not run.of_type("SaveImage"), (
        "nothing is written to the output folder that the user did not ask for"
    )


def test_the_board_of_the_quick_start_makes_the_edit_of_its_setting(server):
    prompt = server.prompt("1 Quick start")
    [board] = server.run(prompt).boards.values()
    assert "true" not in board
    assert "known" in board, "the basis keeps what the search knows, for regions"
    mix = [1.0] + [0.0] * (len(board["rows"]) - 1)
    state = {"version": 1, "basis": board["id"], "mix": mix, "words": {}}
    node_of(prompt, "PullbackBoard")["state"] = json.dumps(state)
    run = server.run(prompt)
    assert len(run.executed) == 1, "the board alone runs again"
    [edited] = run.boards.values()
    assert edited["setting"]["mix"] == mix and not edited["note"] and edited["agreement"] > 0.85
    assert difference(server.picture(edited["true"]), server.picture(edited["before"])) > 1


def test_pictures_that_a_direction_was_carried_to_change(server):
    run = server.run(server.prompt("7 Carry to other faces"))
    [file] = [file for node, files in run.files.items() for file in files]
    above, below = np.split(server.picture(file), 2)
    pairs = zip(np.split(above, 4, axis=1), np.split(below, 4, axis=1))
    assert all(difference(*pair) > 1 for pair in pairs)


def test_the_nearer_to_pure_noise_the_bigger_the_change(server):
    prompt = with_edit(server.prompt("8 Which timestep"), looks="PullbackBasisVisualizer")
    needed = before(prompt, "save")
    pictures = server.run({key: node for key, node in prompt.items() if key in needed}).pictures()
    rows = [pictures[start : start + 3] for start in range(0, 12, 3)]
    for row in rows:
        assert difference(row[1], rows[0][1]) < 1.5, "a way back does not belong to its latent"
    changes = [difference(row[0], row[1]) + difference(row[2], row[1]) for row in rows]
    assert changes[0] > 1 and changes == sorted(changes)


@pytest.mark.parametrize("name", DOWNLOADS)
def test_a_workflow_for_a_checkpoint_lacks_the_checkpoint_alone(server, name):
    prompt = server.prompt(name)
    status, answer = server.post("/prompt", {"prompt": prompt})
    assert status == 400
    assert {prompt[node]["class_type"] for node in answer["node_errors"]} == DOWNLOADS[name]
    assert {error["type"] for problem in answer["node_errors"].values() for error in problem["errors"]} == {
        "value_not_in_list"
    }
    node_of(prompt, "PullbackBasis")["rank"] = 0
    assert (
        len(server.post("/prompt", {"prompt": prompt})[1]["node_errors"]) == len(DOWNLOADS[name]) + 1
    )  # nothing else was overlooked


@pytest.mark.parametrize("name", DOWNLOADS)
def test_a_workflow_for_a_checkpoint_runs_with_the_bundled_model_in_its_place(server, name):
    run = server.run(converter.with_bundled_model(server.prompt(name)))
    assert (run.ended, run.error) == ("execution_success", "")
    assert run.shown() == SHOWS_OF_DOWNLOADS[name]


def test_the_workflow_for_flux_runs_with_a_tiny_flux_in_its_place(server):
    run = server.run(converter.with_stand_ins(server.prompt("Your photo (needs Flux.1 dev)")))
    assert (run.ended, run.error) == ("execution_success", "")
    [sheet] = run.files.values()
    assert server.picture(sheet[0]).std() > 5


def test_a_basis_from_a_file_edits_as_the_basis_itself(server, prompt):
    edit = node_of(prompt, "PullbackGuidanceEdit")
    prompt["keep"] = {
        "class_type": "PullbackSaveBasis",
        "inputs": {"basis": edit["basis"], "filename_prefix": "file/basis"},
    }
    direct = server.run(prompt).pictures()
    check_row(direct[1], direct)
    del prompt["keep"]
    file = "file/basis_00001.safetensors [output]"
    prompt["load"] = {"class_type": "PullbackLoadBasis", "inputs": {"file": file}}
    edit["basis"] = ["load", 0]
    np.testing.assert_array_equal(server.run(prompt).pictures(), direct)


def test_progress_previews_and_a_line_of_text_reach_the_page(server, prompt):
    node_of(prompt, "PullbackExampleFace")["number"] = 11  # not in the cache yet
    run = server.run(prompt)
    assert run.ended == "execution_success"
    for node in ("PullbackDDIMInvert", "PullbackBasis", "PullbackGuidanceEdit", "SamplerCustom"):
        assert run.progress[node] >= 2
    assert run.previews["PullbackDDIMInvert"] >= 5
    assert re.fullmatch(r"recovered \d+\.\d+%: .+", run.texts["PullbackDDIMInvert"][-1])
    assert re.fullmatch(r"residual [\d.e-]+ after \d+ products", run.texts["PullbackBasis"][-1])


def test_the_blocks_of_the_model_reach_the_page_from_the_cache_too(server, prompt):
    [basis] = [key for key, node in prompt.items() if node["class_type"] == "PullbackBasis"]
    for run in (server.run(prompt), server.run(prompt)):
        assert run.ended == "execution_success"
        if basis in run.executed:
            assert run.features[basis][0] == "input_0" and "middle" in run.features[basis]
    assert b"pullback_features" in server.get(f"/extensions/{NAME}/js/features.js")
    assert f"/extensions/{NAME}/js/features.js" in json.loads(server.get("/extensions"))


def test_features_are_explained(server, prompt):
    basis = node_of(prompt, "PullbackBasis")
    inputs = {name: basis[name] for name in ("model", "conditioning", "latent", "sigmas", "precision")}
    prompt["explain"] = {
        "class_type": "PullbackExplainFeatures",
        "inputs": {**inputs, "features": "middle, input_3", "rank": 2},
    }
    basis["feature"] = ["explain", 2]
    run = server.run(prompt)
    assert run.ended == "execution_success" and len(run.files["explain"]) == 1
    assert run.progress["PullbackExplainFeatures"] >= 2
    assert len([text for text in run.texts["PullbackBasis"] if text.startswith("residual")]) == 2, (
        "a basis of each"
    )
    assert re.fullmatch(r"2 features compared with \d+ products", run.texts["PullbackExplainFeatures"][-1])


def test_cancelling_stops_the_comparison_of_features(server, prompt):
    basis = node_of(prompt, "PullbackBasis")
    inputs = {name: basis[name] for name in ("model", "conditioning", "latent", "sigmas", "precision")}
    prompt["explain"] = {
        "class_type": "PullbackExplainFeatures",
        "inputs": {**inputs, "features": "", "rank": 64},
    }
    assert server.run(prompt, interrupt_at="PullbackExplainFeatures").ended == "execution_interrupted"


def test_a_list_runs_the_nodes_after_it_once_for_each_entry(server):
    prompt = server.prompt("9 Direction for every face")
    node_of(prompt, "PullbackDDIMInvert")["steps"] = 11  # not in the cache yet
    run = server.run(prompt)
    assert run.ended == "execution_success"
    finished = [text for text in run.texts["PullbackBasis"] if text.startswith("residual")]
    assert len(finished) == 6 + 1, "one for each face, and one for the face to edit"
    assert run.texts["PullbackGlobalBasis"][-1].startswith(
        "matched of 6 bases; misfit of the first directions: "
    )
    prompt = server.prompt("8 Which timestep")
    node_of(prompt, "PullbackBasisOverTime").update(steps=11, timesteps="0.3, 0.8, 0.5")
    run = server.run(prompt)
    [sheets] = [run.files[node] for node in run.of_type("PullbackBasisVisualizer")]
    assert len(sheets) == 3, "a sheet of each timestep"
    assert {text.partition(":")[0] for text in run.texts["PullbackBasisOverTime"][:-1]} == {
        "0.3 T",
        "0.5 T",
        "0.8 T",
    }
    assert re.fullmatch(
        r"residual [\d.e-]+ or less after \d+ products", run.texts["PullbackBasisOverTime"][-1]
    )
    assert (
        run.progress["PullbackBasisOverTime"] >= 2
    )  # the first and the last; newer hosts leave out some between
    assert re.fullmatch(
        r"0.3 T and 0.5 T: distance [\d.]+ of at most 4.44", run.texts["PullbackBasisCompare"][-1]
    )
    [compare] = run.of_type("PullbackBasisCompare")
    assert len(run.files[compare]) == 1, "the map shows on the node"


def test_the_same_prompt_again_comes_from_the_cache(server, prompt):
    first, second = server.run(prompt), server.run(prompt)
    assert second.ended == "execution_success"
    assert second.executed == set() and second.cached == set(prompt)
    assert second.files == first.files


def test_a_page_that_was_loaded_anew_learns_what_nodes_said(server, prompt):
    """Each run has a client of its own, as a fresh page. Older hosts send output nodes again, no others."""
    first, second = server.run(prompt), server.run(prompt)
    assert second.executed == set()
    sent_again = server.known["PullbackBasis"].get("has_intermediate_output", False)
    said = {prompt[node]["class_type"] for node in second.told}
    speaking = {"PullbackDDIMInvert", "PullbackBasis", "PullbackGuidanceEdit"}
    assert said == (speaking if sent_again else set())
    assert all(first.told[node] == text for node, text in second.told.items())


def test_another_strength_runs_only_what_comes_after_the_edit(server, prompt):
    server.run(prompt)
    node_of(prompt, "PullbackGuidanceEdit")["strength"] = 0.9
    assert server.run(prompt).executed == after(prompt, "PullbackGuidanceEdit")


def test_cancelling_stops_the_search_and_the_next_run_works(server, prompt):
    long = json.loads(json.dumps(prompt))
    node_of(long, "PullbackBasis").update(rank=64, tolerance=1e-5)
    run = server.run(long, interrupt_at="PullbackBasis")
    assert run.ended == "execution_interrupted"
    assert server.run(prompt).ended == "execution_success"


def test_cancelling_stops_the_search_over_time(server):
    long = server.prompt("8 Which timestep")
    node_of(long, "PullbackBasisOverTime").update(rank=64, tolerance=1e-5)
    assert server.run(long, interrupt_at="PullbackBasisOverTime").ended == "execution_interrupted"


@pytest.mark.parametrize(
    "node, wrong, says",
    [
        ("PullbackFacesPrompt", {"text": "moustache"}, "does not know 'moustache'"),
        ("PullbackGuidanceEdit", {"direction": 60}, "direction"),
    ],
)
def test_an_error_reaches_the_user_as_one_sentence(server, prompt, node, wrong, says):
    node_of(prompt, node).update(wrong)
    run = server.run(prompt)
    assert run.ended == "execution_error"
    assert says in run.error
    assert run.error.strip().endswith(".") and len(run.error.strip().splitlines()) == 1


def test_a_number_out_of_range_is_refused_before_anything_runs(server, prompt):
    node_of(prompt, "PullbackGuidanceEdit")["direction"] = 99
    status, answer = server.post("/prompt", {"prompt": prompt})
    assert status == 400
    [problem] = answer["node_errors"].values()
    assert [error["type"] for error in problem["errors"]] == ["value_bigger_than_max"]


def test_two_fresh_servers_give_the_same_basis_and_pictures_bit_by_bit(server, prompt, tmp_path):
    prompt["save"] = {
        "class_type": "PullbackSaveBasis",
        "inputs": {
            "basis": node_of(prompt, "PullbackGuidanceEdit")["basis"],
            "filename_prefix": "twice/basis",
        },
    }
    other = Server(tmp_path)
    try:
        runs = [server.run(prompt), other.run(prompt)]
    finally:
        other.stop()
    one, two = (load_file(run.server.output / "twice" / "basis_00001.safetensors") for run in runs)
    assert one.keys() == two.keys() and len(one) >= 4
    assert all(one[name].equal(two[name]) for name in one)
    np.testing.assert_array_equal(runs[0].pictures(), runs[1].pictures())


def test_the_template_browser_lists_every_workflow_with_a_picture(server):
    names = json.loads(server.get("/api/workflow_templates"))[NAME]
    assert sorted(names) == sorted([*SHOWS, *DOWNLOADS])
    for name in names:
        address = f"/api/workflow_templates/{NAME}/{urllib.parse.quote(name)}"
        assert server.get(f"{address}.json") == (PACK / "workflows" / f"{name}.json").read_bytes()
        with Image.open(io.BytesIO(server.get(f"{address}.jpg"))) as card:
            assert card.format == "JPEG" and card.size == (512, 512)


@pytest.mark.parametrize("name", [*SHOWS, *DOWNLOADS])
def test_a_template_has_no_node_that_the_host_calls_deprecated(server, name):
    used = {node["class_type"] for node in server.prompt(name).values()}
    assert [node for node in used if server.known[node].get("deprecated")] == []


def test_the_blueprint_is_offered_and_runs_with_the_bundled_model(server):
    [path] = (PACK / "subgraphs").glob("*.json")
    inner = converter.api_prompt(json.loads(path.read_text()), server.known)
    outside = {
        "model": ["loader", 0],
        "vae": ["loader", 1],
        "conditioning": ["loader", 2],
        "pixels": ["face", 0],
    }
    prompt = {
        "loader": {"class_type": "PullbackLoadFacesModel", "inputs": {}},
        "face": {"class_type": "PullbackExampleFace", "inputs": {"number": 6}},
    }
    for key, node in inner.items():
        spec = server.known[node["class_type"]]["input"]["required"]
        missing = {name: outside[name] for name in spec if name not in node["inputs"]}
        prompt[key] = {**node, "inputs": {**missing, **node["inputs"]}}
    run = server.run(prompt)
    assert (run.ended, run.error) == ("execution_success", "")
    assert [sliders_of(board) for board in run.boards.values()] == [{"direction": 16}]
    try:
        offered = json.loads(server.get("/global_subgraphs"))
    except urllib.error.HTTPError as error:
        assert error.code == 404  # ComfyUI before 0.8.0 offers no blueprints
        return
    [key] = [key for key, entry in offered.items() if entry["info"]["node_pack"] == f"custom_nodes.{NAME}"]
    assert offered[key]["name"] == path.stem
    assert json.loads(server.get(f"/global_subgraphs/{key}"))["data"] == path.read_text()


@pytest.mark.parametrize("node", sorted(NODES))
def test_a_node_has_a_help_page(server, node):
    page = server.get(f"/extensions/{NAME}/docs/{node}.md").decode()
    assert page.startswith(f"# {server.known[node]['display_name']}\n")
