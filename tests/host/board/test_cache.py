"""What a board keeps between two runs."""

import gc
from weakref import ref

import pytest
import torch
from boards import StandInVAE

pytestmark = pytest.mark.usefixtures("alone")


@pytest.fixture
def made(comfy_host, monkeypatch):
    """How many times a picture was made without an edit."""
    times, plain = [], comfy_host.adapter.board.running.still_of

    def counted(*arguments):
        times.append(1)
        return plain(*arguments)

    monkeypatch.setattr(comfy_host.adapter.board.running, "still_of", counted)
    return times


def test_the_same_inputs_are_not_computed_again(case, made):
    one, other = case.run(), case.run()
    assert len(made) == 1 and one.payload == other.payload


@pytest.mark.parametrize("name", ["basis", "latent", "vae", "conditioning", "sigmas", "model", "samples"])
def test_other_inputs_are(case, made, name):
    case.run()
    before = case.run()
    others = {
        "basis": {"basis": case.basis.select([0])},
        "latent": {"latent": {**case.latent, "noise_mask": torch.ones(1, 8, 8)}},
        "samples": {"latent": {**case.latent, "samples": case.latent["samples"].clone()}},
        "vae": {"vae": StandInVAE()},
        "conditioning": {"conditioning": [[1.01 * part, extra] for part, extra in case.conditioning]},
        "sigmas": {"sigmas": torch.cat([case.sigmas[:1], 0.9 * case.sigmas[1:]])},
        "model": {"model": case.model.clone()},
    }
    after = case.run(**others[name])
    assert len(made) == 2 and after.payload["before"] != before.payload["before"]


def test_a_latent_that_was_changed_in_place_is_another(case, made):
    latent = dict(case.latent)
    case.run(latent=latent)
    latent["samples"] = latent["samples"] * 0.99
    case.run(latent=latent)
    assert len(made) == 2


def test_an_equal_conditioning_is_the_same(case, made):
    case.run()
    case.run(conditioning=[[part.clone(), dict(extra)] for part, extra in case.conditioning])
    assert len(made) == 1


def test_nodes_have_boards_of_their_own_and_few_are_kept(case, made, comfy_host):
    cache = comfy_host.adapter.board.cache
    nodes = [str(number) for number in range(cache.MOST_BOARDS + 1)]
    for node in nodes:
        case.run(node=node)
    assert len(made) == len(nodes)
    assert cache.kept_board("0") is None and cache.kept_board("1") is not None
    case.run(node="1")
    case.run(node="new")
    assert cache.kept_board("1") is not None and cache.kept_board("2") is None


def test_a_script_keeps_nothing(case, made, comfy_host):
    case.run(node=None)
    case.run(node=None)
    assert len(made) == 2 and not comfy_host.adapter.board.cache._boards


def test_no_board_keeps_a_model_alive(case, comfy_host):
    model = case.model.clone()
    case.run(model=model)
    gone = ref(model)
    del model
    gc.collect()
    assert gone() is None and comfy_host.adapter.board.cache.kept_board("7") is not None


def test_a_run_that_was_cancelled_keeps_no_board(case, comfy_host):
    import comfy.model_management

    def cancel(denoiser, noisy):
        comfy.model_management.interrupt_current_processing()

    with pytest.raises(comfy.model_management.InterruptProcessingException):
        case.run(check=cancel)
    assert comfy_host.adapter.board.cache.kept_board("7") is None
    assert len(case.run().payload["rows"]) == case.basis.rank
