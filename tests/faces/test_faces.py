"""The bundled model and regressor, as shipped."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from pullback_core import ddim, faces, local_basis
from pullback_core.faces import vocabulary


@pytest.fixture(scope="module")
def model():
    return faces.load_model()


def noise(count, seed=0):
    return torch.randn(count, 27, 16, 16, generator=torch.Generator().manual_seed(seed))


def psnr(a, b):
    return (10 * torch.log10(4 / (a - b).square().mean(dim=(1, 2, 3)))).mean().item()


def test_the_file_is_small_and_half_precision():
    assert faces.WEIGHTS.stat().st_size <= 16 * 2**20
    assert {tensor.dtype for tensor in load_file(faces.WEIGHTS).values()} == {torch.float16}


def test_inversion_reconstructs_held_out_faces(model):
    denoiser, images = faces.FacesDenoiser(model), faces.example_faces(range(4))
    levels = model.schedule.sigmas(50)
    values = {}
    for refine in (0, 6):
        x = ddim.invert(denoiser, faces.encode_image(images), levels.flip(0), refine=refine)
        values[refine] = psnr(faces.decode_latent(ddim.generate(denoiser, x, levels)), images)
    assert values[6] >= 50 and values[6] > values[0] + 10


@pytest.mark.parametrize(
    "phrase", ["glasses", "no glasses", "hat", "no hat", "blue background", "red background"]
)
def test_samples_obey_the_prompt(model, phrase):
    denoiser = faces.FacesDenoiser(model, phrase, guidance=2.0)
    x = ddim.generate(denoiser, noise(8) * model.schedule.sigma_max, model.schedule.sigmas(25))
    read = vocabulary.classify(faces.load_regressor()(faces.decode_latent(x)))
    assert (
        read[:, vocabulary.SLOTS.index(vocabulary.SLOT_OF[phrase])] == vocabulary.TOKEN[phrase]
    ).sum() >= 7


def test_the_regressor_reads_drawings():
    regressor, truth = faces.load_regressor(), faces.sample_parameters(200, torch.Generator().manual_seed(5))
    error = (regressor(faces.draw_faces(truth)) - truth) / regressor.deviation
    for name in ("skin", "smile", "glasses", "hat", "beard", "yaw", "background_red", "eye_size"):
        assert error[:, faces.NAMES.index(name)].square().mean().sqrt() < 0.3, name


def test_guidance_mixes_the_prompted_and_the_unprompted_prediction(model):
    def predict(prompt, guidance):
        return faces.FacesDenoiser(model, prompt, guidance=guidance).denoise(noise(2) * 3, 3.0)

    torch.testing.assert_close(predict("hat", 0.0), predict("", 1.0))
    torch.testing.assert_close(
        predict("hat", 0.5), (predict("hat", 1.0) + predict("hat", 0.0)) / 2, rtol=1e-4, atol=1e-4
    )


def test_the_basis_depends_on_the_prompt_and_says_so(model):
    bases = [
        local_basis(faces.FacesDenoiser(model, prompt), noise(1), 5.0, 2, tolerance=0.1)
        for prompt in ("", "hat")
    ]
    assert bases[0].provenance["model"] == bases[1].provenance["model"]
    assert bases[0].provenance["prompt"] != bases[1].provenance["prompt"]
    assert (bases[0].s - bases[1].s).abs().max() > 1e-4


def test_every_block_can_be_the_feature(model):
    for name in model.unet.feature_names:
        assert faces.FacesDenoiser(model, feature=name).encode(noise(1), 2.0).shape[0] == 1
    with pytest.raises(ValueError, match=r"no block named 'attic'.*middle"):
        faces.FacesDenoiser(model, feature="attic")


def test_a_saved_model_loads_and_a_foreign_file_is_refused(model, tmp_path):
    model.save(tmp_path / "copy.safetensors")
    saved, shipped = load_file(tmp_path / "copy.safetensors"), load_file(faces.WEIGHTS)
    assert saved.keys() == shipped.keys() and all(torch.equal(saved[name], shipped[name]) for name in saved)
    save_file({"a": torch.zeros(1)}, tmp_path / "other.safetensors", {"format": "something"})
    torch.save({"a": torch.zeros(1)}, tmp_path / "pickle.safetensors")
    save_file(
        {"a": torch.zeros(1)},
        tmp_path / "short.safetensors",
        {"format": "pullback_faces", "config": json.dumps({"in_channels": 27}), "betas": "[0.1, 0.2]"},
    )
    for name in ("other", "pickle", "short"):
        with pytest.raises(ValueError, match=f"{name}.*not a usable faces model"):
            faces.load_model(tmp_path / f"{name}.safetensors")
    with pytest.raises(FileNotFoundError, match="no model file"):
        faces.load_model(tmp_path / "none.safetensors")


def test_samples_of_the_simpler_model_are_one_person_with_many_expressions():
    denoiser = faces.FacesDenoiser(faces.load_model(faces.EXPRESSIONS))
    x = ddim.generate(denoiser, noise(12) * denoiser.schedule.sigma_max, denoiser.schedule.sigmas(25))
    spread = dict(zip(faces.NAMES, faces.load_regressor()(faces.decode_latent(x)).std(dim=0).tolist()))
    assert (
        max(spread[name] for name in ("skin", "hat", "beard", "hair_length", "background_red", "shirt_blue"))
        < 0.1
    )
    assert min(spread[name] for name in ("smile", "glasses", "yaw")) > 0.2


@pytest.mark.parametrize("height, width", [(16, 8), (24, 16), (16, 128), (17, 16), (21, 5), (1, 1)])
def test_the_network_takes_pictures_of_every_aspect(model, height, width):
    latent = torch.randn(2, 27, height, width, generator=torch.Generator().manual_seed(0))
    denoiser = faces.FacesDenoiser(model, "hat")
    assert denoiser.denoise(latent, 2.0).shape == latent.shape
    one = denoiser.denoise(latent[:1], 2.0)
    torch.testing.assert_close(denoiser.denoise(latent, 2.0)[:1], one, rtol=1e-3, atol=1e-4)
    assert denoiser.encode(latent, 2.0).shape == (2, 96, *(-(-side // 4) for side in (height, width)))


@pytest.mark.parametrize("number", [-1, faces.LAST_EXAMPLE + 1, 10**20])
def test_examples_without_a_number_are_refused(number):
    with pytest.raises(ValueError, match=f"from 0 to {faces.LAST_EXAMPLE}"):
        faces.example_faces([number])
    assert faces.example_faces([faces.LAST_EXAMPLE]).shape == (1, 3, 48, 48)
