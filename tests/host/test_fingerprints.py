"""Fingerprints tell models and prompts apart, and are the same in every session."""

import pytest
import torch
from tiny_models import KINDS, patched, tiny_conditioning, tiny_latent, tiny_model


@pytest.fixture(scope="module")
def models():
    return {kind: tiny_model(kind) for kind in KINDS}


def fingerprint(within, model):
    return within(model, tiny_conditioning(), tiny_latent(), lambda denoiser, _: denoiser.provenance["model"])


def test_a_fingerprint_is_that_of_the_weights(within):
    model = tiny_model(seed=0)
    name = fingerprint(within, model)
    assert name == fingerprint(within, model), "it changed when the model was loaded"
    assert name == fingerprint(within, model.clone())
    assert name == fingerprint(within, tiny_model(seed=0))
    assert name != fingerprint(within, tiny_model(seed=1))


def test_a_fingerprint_tells_patched_models_apart(within):
    model = tiny_model()
    plain, changed = fingerprint(within, model), patched(model)
    name = fingerprint(within, changed)
    assert name not in (plain, fingerprint(within, patched(model, strength=0.5)))
    assert name == fingerprint(within, patched(model))
    assert plain == fingerprint(within, model), "it is another one after a patched clone was loaded"


def test_a_fingerprint_tells_patches_of_equal_strength_apart(within):
    model = tiny_model()
    assert fingerprint(within, patched(model, seed=11)) != fingerprint(within, patched(model, seed=12))


def prompt_name(within, model, conditioning):
    return within(model, conditioning, tiny_latent(), lambda denoiser, _: denoiser.provenance["prompt"])


def test_a_prompt_has_a_hash_of_its_own(within, models):
    one, again, other = (prompt_name(within, models["sd1"], tiny_conditioning(seed)) for seed in (1, 1, 5))
    assert one == again != other


def test_prompts_that_differ_in_their_pooled_vector_have_different_hashes(within, models):
    ((context, extra),) = tiny_conditioning()
    moved = [[context, {"pooled_output": extra["pooled_output"] + 1}]]
    assert prompt_name(within, models["sdxl"], moved) != prompt_name(
        within, models["sdxl"], [[context, extra]]
    )


def test_every_number_of_a_prompt_counts(within, models):
    ((context, extra),) = tiny_conditioning()
    moved = context.clone()
    moved[0, -1, -1] += 1e-3
    one, other = (prompt_name(within, models["sd1"], [[tensor, extra]]) for tensor in (context, moved))
    assert one != other


def test_texts_lists_and_parts_of_unknown_kinds_are_part_of_the_name(within, models):
    names = {
        prompt_name(within, models["sd1"], tiny_conditioning(note=note))
        for note in ("one", "two", ["one"], [torch.ones(2)], [torch.zeros(2)], {"a": 1}, object())
    }
    assert len(names) == 7
