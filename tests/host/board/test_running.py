"""The board: its payload, the true edit of a setting, and words."""

import json

import numpy as np
import pytest
import torch
from boards import StandInCLIP, board_case
from comfy_execution.graph_utils import ExecutionBlocker
from node_calls import left_half, refused
from PIL import Image
from tiny_families import FLOWS

pytestmark = pytest.mark.usefixtures("alone")


def setting(payload, *mix, **words):
    state = {"version": 1, "basis": payload["id"], "mix": list(mix), "words": words}
    return {"state": json.dumps(state)}


def pixels(folder, file):
    return np.asarray(Image.open(folder / file["filename"])).astype(np.float32)


def test_with_nothing_set_the_picture_is_as_it_was(case, comfy_host, temporary):
    made = case.run()
    payload = made.payload
    assert isinstance(made.direction, ExecutionBlocker) and "Nothing is set" in made.direction.message
    shown = pixels(temporary, payload["before"])
    assert np.abs(255 * made.image[0].numpy() - shown).max() < 0.51
    assert (payload["width"], payload["height"], payload["node"], payload["note"]) == (8, 8, "7", "")
    assert pixels(temporary, payload["changes"]).shape == (8 * len(payload["rows"]), 8, 3)
    assert "true" not in payload and "mask" not in payload
    core = comfy_host.core
    wanted = core.directions.setting.unit_metric(case.basis)
    torch.testing.assert_close(torch.tensor(payload["metric"]).double(), wanted, rtol=1e-5, atol=1e-9)
    json.dumps(payload, allow_nan=False)


def test_a_setting_is_the_true_edit_of_the_mixture(case, comfy_host, call):
    core = comfy_host.core
    payload = case.run().payload
    made = case.run(**setting(payload, 0.8, -0.4))
    wanted, strength = core.directions.setting.mix_setting(case.basis, [0.8, -0.4])
    assert torch.equal(made.direction.v, wanted.v) and made.direction.names == wanted.names
    hosted = {"model": case.model, "conditioning": case.conditioning, "latent": case.latent}
    options = {"direction": 1, "strength": strength, "steps": 1, "strengths": 1, "directions": 1}
    (edited,) = call("PullbackGuidanceEdit", **hosted, basis=wanted, unit="picture", **options)
    (finished,) = call("PullbackQualityBoost", boost_below=0.0, eta=0.0)
    sampled, _ = call(
        "SamplerCustom",
        model=case.model,
        add_noise=False,
        noise_seed=0,
        cfg=1.0,
        positive=case.conditioning,
        negative=case.conditioning,
        sampler=finished,
        sigmas=case.sigmas,
        latent_image=edited,
    )
    torch.testing.assert_close(made.latent["samples"], sampled["samples"], rtol=1e-3, atol=1e-3)


def test_what_the_page_gets_of_a_true_edit(case, temporary):
    payload = case.run().payload
    made = case.run(**setting(payload, 0.3, 0.0)).payload
    assert made["setting"] == {"mix": [0.3, 0.0], "words": {}} and made["true_size"] == [8, 8]
    assert made["before"] == payload["before"] and made["changes"] == payload["changes"]
    assert made["reached"] == pytest.approx(1, abs=0.2)
    before, atlas = pixels(temporary, made["before"]), pixels(temporary, made["changes"])
    shown = 0.3 * (atlas[:8] - 128) * made["rows"][0]["scale"]
    true = pixels(temporary, made["true"]) - before
    shown = np.clip(before + shown, 0, 255) - before
    cosine = (shown * true).sum() / np.linalg.norm(shown) / np.linalg.norm(true)
    assert made["agreement"] == pytest.approx(float(cosine), abs=1e-4)
    again = case.run(**setting(payload, 0.3, 0.0)).payload
    assert again["true"] != made["true"], "each run has files of its own"


def test_a_setting_that_breaks_the_picture_is_still_json(case, comfy_host, monkeypatch):
    payload = case.run().payload
    running = comfy_host.adapter.board.running

    def broken(*arguments, **options):
        return torch.full_like(case.latent["samples"], float("nan"))

    monkeypatch.setattr(running, "finish_edits", broken)
    made = case.run(**setting(payload, 100.0, 0.0)).payload
    assert made["agreement"] <= 1 and json.dumps(made, allow_nan=False)


def test_a_thumbnail_of_words_is_forgotten_with_their_clip(case, comfy_host):
    kept = comfy_host.adapter.board.cache.kept_board
    clip = StandInCLIP()
    payload = case.run(words="joy", clip=clip).payload
    case.run(words="joy", clip=clip, **setting(payload, 0.0, 0.0, joy=0.5))
    assert kept("7").shown is not None
    case.run(words="joy", clip=StandInCLIP())
    assert kept("7").shown is None


def test_a_setting_of_another_basis_is_not_used_and_this_is_told(case):
    state = json.dumps({"version": 1, "basis": "another", "mix": [1.0, 0.0], "words": {}})
    made = case.run(state=state)
    assert "belongs to another basis" in made.payload["note"] and "true" not in made.payload
    assert isinstance(made.direction, ExecutionBlocker)


def test_a_basis_of_the_bottleneck_is_refused(case, call):
    options = {"rank": 1, "tolerance": 0.1, "seed": 0, "feature": "middle", "precision": "as the model"}
    hosted = {name: getattr(case, name) for name in ("model", "conditioning", "latent", "sigmas")}
    (basis,) = call("PullbackBasis", **hosted, **options)
    with refused("of the feature 'middle'.*choose the feature picture"):
        case.run(basis=basis)


@pytest.mark.parametrize("family", ["flux", "qwen"])
def test_flows_have_boards(comfy_host, call, temporary, family):
    """Qwen-Image holds a picture as a film of one frame."""
    if family not in FLOWS:
        pytest.skip("this host does not have the family")
    case = board_case(comfy_host, call, family=family)
    payload = case.run().payload
    made = case.run(**setting(payload, 0.3, -0.2))
    assert made.latent["samples"].shape == case.latent["samples"].shape
    assert made.image.shape == (1, payload["height"], payload["width"], 3)
    assert made.payload["agreement"] > 0.5 and made.direction.rank == 1


@pytest.fixture
def heard(comfy_host, monkeypatch):
    """The number of texts of each call of the model's predictions."""
    counts, plain = [], comfy_host.adapter.board.running.predictions

    def counted(model, conditionings, *others):
        counts.append(len(conditionings))
        return plain(model, conditionings, *others)

    monkeypatch.setattr(comfy_host.adapter.board.running, "predictions", counted)
    return counts


def names(payload):
    return [row["name"] for row in payload["rows"] if row["kind"] == "word"]


def test_words_are_heard_one_by_one(case, heard, temporary):
    clip = StandInCLIP()
    first = case.run(words="joy", clip=clip).payload
    assert names(first) == ["joy"] and heard == [2], "the word, and no words"
    both = case.run(words="a hat, joy", clip=clip).payload
    assert names(both) == ["a hat", "joy"] and heard == [2, 1]
    assert both["changes"] != first["changes"] and both["before"] == first["before"]
    assert pixels(temporary, both["changes"]).shape[0] == 8 * len(both["rows"])
    assert names(case.run(words="joy", clip=clip).payload) == ["joy"] and heard == [2, 1]
    case.run(words="joy", clip=StandInCLIP())
    assert heard == [2, 1, 2], "another CLIP may mean something else by it"


def test_a_word_is_part_of_the_edit(case, comfy_host):
    clip = StandInCLIP()
    payload = case.run(words="joy", clip=clip).payload
    made = case.run(words="joy", clip=clip, **setting(payload, 0.0, 0.0, joy=0.5))
    word = comfy_host.adapter.board.cache.kept_board("7").words["joy"].direction
    torch.testing.assert_close(made.direction.v, word.v)
    assert made.direction.names == ["0.5 joy"] and made.payload["setting"]["words"] == {"joy": 0.5}


def test_a_word_that_is_not_on_the_board_is_left_out_and_told(case):
    clip = StandInCLIP()
    payload = case.run(words="joy", clip=clip).payload
    made = case.run(words="", clip=clip, **setting(payload, 0.5, 0.0, joy=0.5)).payload
    assert made["setting"] == {"mix": [0.5, 0.0], "words": {}} and "left out: joy." in made["note"]


def test_words_without_a_text_encoder_are_told_once(case):
    payload = case.run(words="joy, a hat").payload
    assert names(payload) == [] and payload["note"].count("connect the CLIP") == 1


def test_there_is_a_largest_number_of_words(case, comfy_host, monkeypatch):
    monkeypatch.setattr(comfy_host.adapter.board.running, "MOST_WORDS", 1)
    payload = case.run(words="joy, a hat", clip=StandInCLIP()).payload
    assert names(payload) == ["joy"] and "Only the first 1 words" in payload["note"]


def test_a_masked_latent_stays_as_it_is_where_the_mask_is_black(case, temporary):
    latent = {**case.latent, "noise_mask": left_half(case.latent)}
    payload = case.run(latent=latent).payload
    rows = (pixels(temporary, payload["changes"]) - 128).reshape(len(payload["rows"]), 8, 8, 3)
    assert np.abs(rows[..., :4, :]).max() > 20 and not rows[..., 4:, :].any()
    made = case.run(latent=latent, **setting(payload, 1.0, 0.0)).payload
    change = pixels(temporary, made["true"]) - pixels(temporary, made["before"])
    assert np.abs(change[:, :4]).max() > 5 and np.abs(change[:, 4:]).max() <= 1


def test_the_region_that_the_board_begins_with(case, temporary):
    payload = case.run(mask=left_half(case.latent, pixels=3)).payload
    assert pixels(temporary, payload["mask"]).tolist() == [[255] * 4 + [0] * 4] * 8


def test_files_that_were_removed_are_written_again(case, temporary):
    before = case.run().payload
    (temporary / before["changes"]["filename"]).unlink()
    after = case.run().payload
    assert after["before"] == before["before"] and (temporary / after["changes"]["filename"]).is_file()


@pytest.fixture(scope="module")
def wide(comfy_host, call):
    """A board whose basis kept what its search learned."""
    return board_case(comfy_host, call, keep=True)


def test_a_basis_that_knows_more_can_mix_more(wide, comfy_host, temporary, monkeypatch):
    monkeypatch.setattr(comfy_host.adapter.board.running, "KNOWN_EDGE", 4)
    clip, core = StandInCLIP(), comfy_host.core
    payload = wide.run(words="joy", clip=clip).payload
    basis = core.directions.widening.wide_basis(wide.basis)
    kinds = [row["kind"] for row in payload["rows"]]
    rest = basis.rank - 2
    assert rest > 0 and kinds == ["direction"] * 2 + ["known"] * rest + ["word"]
    assert len(payload["metric"]) == basis.rank
    assert (payload["known_width"], payload["known_height"]) == (4, 4)
    assert pixels(temporary, payload["known"]).shape == (4 * rest, 4, 3)
    assert pixels(temporary, payload["changes"]).shape == (8 * 3, 8, 3), "directions and words"
    mix = [0.2, 0.0, 0.5, *[0.0] * (rest - 1)]
    made = wide.run(words="joy", clip=clip, **setting(payload, *mix))
    wanted, _ = core.directions.setting.mix_setting(basis, mix)
    torch.testing.assert_close(made.direction.v, wanted.v)
    assert made.payload["setting"]["mix"] == mix and made.payload["known"] == payload["known"]
    assert made.payload["agreement"] > 0.5


def test_without_more_there_are_no_known_rows(case):
    payload = case.run().payload
    assert not {"known", "known_width", "known_height"} & set(payload)
    assert len(payload["metric"]) == case.basis.rank == len(payload["rows"])
