"""The bundled models, as shipped: their samples obey the prompt."""

import pytest
import torch

from pullback_core import NoisyLatent, ddim, faces
from pullback_core.faces import vocabulary


def sample(denoiser, count):
    sigmas = denoiser.schedule.sigmas(25)
    noise = torch.randn(count, *faces.LATENT_SHAPE, generator=torch.Generator().manual_seed(0))
    return ddim.generate(denoiser, NoisyLatent(sigmas[0] * noise, sigmas))


@pytest.mark.parametrize(
    "phrase", ["glasses", "no glasses", "hat", "no hat", "blue background", "red background"]
)
def test_samples_obey_the_prompt(model, phrase):
    denoiser = faces.FacesDenoiser(model, phrase, guidance=2.0)
    x = sample(denoiser, 8)
    read = vocabulary.classify(faces.load_regressor()(faces.decode_latent(x)))
    assert (
        read[:, vocabulary.SLOTS.index(vocabulary.SLOT_OF[phrase])] == vocabulary.TOKEN[phrase]
    ).sum() >= 7


def test_samples_of_the_simpler_model_are_one_person_with_many_expressions():
    denoiser = faces.FacesDenoiser(faces.load_model(faces.EXPRESSIONS))
    x = sample(denoiser, 12)
    spread = dict(zip(faces.NAMES, faces.load_regressor()(faces.decode_latent(x)).std(dim=0).tolist()))
    assert (
        max(spread[name] for name in ("skin", "hat", "beard", "hair_length", "background_red", "shirt_blue"))
        < 0.1
    )
    assert min(spread[name] for name in ("smile", "glasses", "yaw")) > 0.2
