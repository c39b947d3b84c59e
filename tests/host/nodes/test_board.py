"""Direction Board: what it shows is what it delivers, on the bundled model."""

import json
import os
from dataclasses import replace

import folder_paths
import numpy as np
import pytest
import torch
from comfy_api.latest import io
from node_calls import BASIS_OPTIONS, refused
from PIL import Image


@pytest.fixture(scope="module")
def case(call, studio, comfy_host):
    """The inputs of the node: a face at 0.5 T with four rotated directions."""
    latent, sigmas = studio.invert(studio.encode(studio.picture(6)), timestep=0.5, steps=8)
    options = {**BASIS_OPTIONS, "feature": "picture", "rotate": "one thing each"}
    hosted = {**studio.hosted, "latent": latent, "sigmas": sigmas}
    (basis,) = call("PullbackBasis", **hosted, rank=4, **options)
    return {**hosted, "vae": studio.vae, "basis": basis}


@pytest.fixture(scope="module")
def run(comfy_host, case, tmp_path_factory):
    """run(**changes): the outputs of the node, and what the page gets. The temp folder is the test's own."""
    node = comfy_host.nodes["PullbackBoard"]
    kept = folder_paths.get_temp_directory()
    folder_paths.set_temp_directory(str(tmp_path_factory.mktemp("temp")))

    def execute(**changes):
        with torch.inference_mode():
            made = node.execute(**{**case, **changes})
        return made.args, made.ui["pullback_board"][0]

    yield execute
    folder_paths.set_temp_directory(kept)


def pixels(file):
    path = os.path.join(folder_paths.get_temp_directory(), file["filename"])
    return np.asarray(Image.open(path)).astype(np.float32)


def state(payload, mix, **words):
    return json.dumps({"version": 1, "basis": payload["id"], "mix": mix, "words": words})


def test_what_it_shows_is_what_it_delivers(run, case):
    """As the page computes it: from the files alone, which hold rounded values."""
    _, payload = run()
    before, atlas, height = pixels(payload["before"]), pixels(payload["changes"]), payload["height"]
    assert atlas.shape == (height * case["basis"].rank, payload["width"], 3)
    straight = [number for number, row in enumerate(payload["rows"]) if row["range"][1] >= 0.5]
    assert len(straight) >= 2
    for number in straight:
        mix = [0.0] * case["basis"].rank
        mix[number] = 0.5
        values = atlas[number * height : (number + 1) * height]
        shown = before + 0.5 * (values - 128) * payload["rows"][number]["scale"]
        (image, latent, direction), made = run(state=state(payload, mix))
        true = pixels(made["true"])
        change, wanted = (np.clip(shown, 0, 255) - before).ravel(), (true - before).ravel()
        cosine = change @ wanted / np.linalg.norm(change) / np.linalg.norm(wanted)
        assert cosine > 0.8 and made["agreement"] == pytest.approx(float(cosine), abs=1e-3)
        assert np.linalg.norm(change) == pytest.approx(np.linalg.norm(wanted), rel=0.25)
        assert np.abs(255 * image[0].numpy() - true).max() <= 0.51
        assert latent["samples"].shape == case["latent"]["samples"].shape
        assert direction.rank == 1 and made["reached"] == pytest.approx(1, abs=0.15)


def test_words_of_the_bundled_model(run):
    _, payload = run(words="smiling,\nflying")
    *_, row = payload["rows"]
    assert (row["kind"], row["name"]) == ("word", "smiling") and 0 < row["explained"] < 1
    assert "flying" in payload["note"]
    (*_, direction), made = run(words="smiling", state=state(payload, [0.0] * 4, smiling=0.5))
    assert direction.names == ["0.5 smiling"] and made["setting"]["words"] == {"smiling": 0.5}


def test_a_note_is_shown_by_the_board_alone(run, monkeypatch, comfy_host):
    """A line of text under the node would take a part of the board's height."""
    shown = []
    monkeypatch.setattr(comfy_host.adapter, "show_status", lambda node, text: shown.append(text))
    _, payload = run(state="{")
    assert "not JSON" in payload["note"] and shown == []


def test_what_does_not_fit_is_refused(run, case, face):
    with refused("The latent holds 2 pictures"):
        run(latent={"samples": case["latent"]["samples"].repeat(2, 1, 1, 1)})
    with refused("choose the feature picture"):
        run(basis=face.basis)
    another = replace(case["basis"], provenance={**case["basis"].provenance, "picture": "0f" * 32})
    with refused("of another picture"):
        run(basis=another)


def test_the_host_sends_the_board_again_where_it_can(comfy_host):
    schema = comfy_host.nodes["PullbackBoard"].GET_SCHEMA()
    assert schema.is_output_node
    if hasattr(io.Schema, "has_intermediate_output"):
        assert schema.has_intermediate_output
    assert [one.id for one in schema.inputs][-4:] == ["words", "state", "clip", "mask"]
