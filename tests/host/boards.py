"""A board of a tiny model, for the tests of its parts."""

from types import SimpleNamespace

import torch
from node_calls import BASIS_OPTIONS, tiny_noisy
from tiny_models import conditioning_for, tiny_model


class StandInVAE:
    """Decodes a latent pixel to one pixel. It may be changed, so that it counts as another one."""

    @staticmethod
    def decode(latents):
        return (latents[:, :3] / 8).movedim(1, -1).sigmoid()


class StandInCLIP:
    """Tells texts apart by their length."""

    @staticmethod
    def tokenize(text):
        return text

    @staticmethod
    def encode_from_tokens_scheduled(tokens):
        return conditioning_for("sd1", seed=len(tokens))


def board_case(comfy_host, call, rank=2, family="sd1", **others):
    """A noisy latent of a tiny model, its rotated basis, and run(**changes): a run of its board.

    others: Other inputs of Pullback Basis.
    """
    hosted = tiny_noisy(call, tiny_model(family), conditioning_for(family))
    options = {**BASIS_OPTIONS, "feature": "picture", "tolerance": 0.1, "rotate": "one thing each", **others}
    (basis,) = call("PullbackBasis", **hosted, rank=rank, **options)
    case = {
        **hosted,
        "vae": StandInVAE(),
        "basis": basis,
        "words": "",
        "state": "",
        "clip": None,
        "mask": None,
    }

    def run(node="7", **changes):
        given = {**case, **changes}
        inputs = comfy_host.adapter.BoardInputs(
            *(given[name] for name in comfy_host.adapter.BoardInputs._fields)
        )
        texts = given["words"], given["state"]
        with torch.inference_mode():
            return comfy_host.adapter.run_board(
                node, inputs, given["basis"], *texts, given.get("check", accept), given["clip"], given["mask"]
            )

    return SimpleNamespace(run=run, **case)


def accept(denoiser, noisy):
    """A check that refuses nothing."""


def forget_boards(comfy_host):
    comfy_host.adapter.board.cache._boards.clear()
