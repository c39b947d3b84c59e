"""The bundled model as a denoiser: its predictions, its feature and its products."""

import copy
import math

import pytest
import torch
from tiny_model import TINY

from pullback_core import Jacobian, NoisyLatent, adjoint_error, ddim, faces, local_basis
from pullback_core.linalg.autograd_graph import foreign_functions
from pullback_core.rules.rule import AUTOGRAD_FUNCTIONS


def noise(count, seed=0):
    return torch.randn(count, 27, 16, 16, generator=torch.Generator().manual_seed(seed))


def psnr(a, b):
    return (10 * torch.log10(4 / (a - b).square().mean(dim=(1, 2, 3)))).mean().item()


def test_inversion_reconstructs_held_out_faces(model):
    denoiser, images = faces.FacesDenoiser(model), faces.example_faces(range(4))
    sigmas = model.schedule.sigmas(50)
    values = {}
    for refine in (0, 6):
        noisy = ddim.invert(denoiser, faces.encode_image(images), sigmas, refine=refine)
        values[refine] = psnr(faces.decode_latent(ddim.generate(denoiser, noisy)), images)
    assert values[6] >= 50 and values[6] > values[0] + 10


def test_guidance_mixes_the_prompted_and_the_unprompted_prediction(model):
    def predict(prompt, guidance):
        return faces.FacesDenoiser(model, prompt, guidance=guidance).denoise(noise(2) * 3, 3.0)

    torch.testing.assert_close(predict("hat", 0.0), predict("", 1.0))
    torch.testing.assert_close(
        predict("hat", 0.5), (predict("hat", 1.0) + predict("hat", 0.0)) / 2, rtol=1e-4, atol=1e-4
    )


def test_the_basis_depends_on_the_prompt_and_says_so(model):
    noisy = NoisyLatent(5.0 * noise(1), torch.tensor([5.0, 0.0]))
    bases = [
        local_basis(faces.FacesDenoiser(model, prompt), noisy, 2, tolerance=0.1) for prompt in ("", "hat")
    ]
    assert bases[0].provenance["model"] == bases[1].provenance["model"]
    assert bases[0].provenance["prompt"] != bases[1].provenance["prompt"]
    assert (bases[0].s - bases[1].s).abs().max() > 1e-4


def test_every_block_can_be_the_feature(model):
    for name in model.unet.feature_names:
        assert faces.FacesDenoiser(model, feature=name).encode(noise(1), 2.0).shape[0] == 1
    with pytest.raises(ValueError, match=r"no block named 'attic'.*middle"):
        faces.FacesDenoiser(model, feature="attic")


@pytest.mark.parametrize("height, width", [(16, 8), (24, 16), (16, 128), (17, 16), (21, 5), (1, 1)])
def test_the_network_takes_pictures_of_every_aspect(model, height, width):
    latent = torch.randn(2, 27, height, width, generator=torch.Generator().manual_seed(0))
    denoiser = faces.FacesDenoiser(model, "hat")
    assert denoiser.denoise(latent, 2.0).shape == latent.shape
    one = denoiser.denoise(latent[:1], 2.0)
    torch.testing.assert_close(denoiser.denoise(latent, 2.0)[:1], one, rtol=1e-3, atol=1e-4)
    assert denoiser.encode(latent, 2.0).shape == (2, 96, *(-(-side // 4) for side in (height, width)))


@pytest.mark.parametrize("sigma", [0.1, 1.0, 30.0])
def test_a_right_velocity_gives_the_picture(sigma, monkeypatch):
    """v = sqrt(a) eps - sqrt(1 - a) x_0 (Salimans and Ho, ICLR 2022, section 4)."""
    torch.manual_seed(0)
    model = faces.FacesModel(TINY)
    x0, noise = torch.randn(1, 27, 4, 4), torch.randn(1, 27, 4, 4)
    velocity = (noise - sigma * x0) / math.hypot(1, sigma)
    monkeypatch.setattr(model.unet, "forward", lambda z, timesteps, context: velocity)
    denoised = faces.FacesDenoiser(model, guidance=1.0).denoise(x0 + sigma * noise, sigma)
    torch.testing.assert_close(denoised, x0, rtol=0, atol=1e-4)


@pytest.mark.parametrize("feature", ["input_3", "middle", "output_1"])
def test_encoding_ends_at_the_block_with_what_the_whole_pass_computes_there(tiny, feature):
    denoiser = faces.FacesDenoiser(tiny, "hat", feature=feature)
    x, names, outputs = noise(2), tiny.unet.feature_names, {}
    hooks = []
    for name, block in tiny.unet.blocks().items():

        def keep(block, inputs, output, name=name):
            outputs[name] = output

        hooks.append(block.register_forward_hook(keep))
    denoiser.denoise(x, 2.0)
    whole = outputs[feature]
    outputs.clear()
    # The rules of `Differentiable` hold only while autograd records.
    torch.testing.assert_close(denoiser.encode(x.requires_grad_(), 2.0), whole)
    assert list(outputs) == names[: names.index(feature) + 1]
    for hook in hooks:
        hook.remove()


@pytest.mark.parametrize("feature", ["middle", "output_3"])
def test_products_are_differences(tiny, feature):
    model = copy.deepcopy(tiny).double()
    denoiser = faces.FacesDenoiser(model, "hat, smiling", feature=feature)
    x = 2.0 * noise(1).double()[0]
    jacobian = Jacobian(lambda points: denoiser.encode(points, 2.0), x)
    v = noise(2, seed=1).double()
    with torch.no_grad():
        change = (denoiser.encode(x + 1e-4 * v, 2.0) - denoiser.encode(x - 1e-4 * v, 2.0)) / 2e-4
    torch.testing.assert_close(jacobian.jvp(v), change, rtol=1e-5, atol=1e-6)
    assert adjoint_error(jacobian) < 1e-12


def test_encoding_computes_by_the_rules_of_the_table(tiny):
    x = noise(1).requires_grad_()
    h = faces.FacesDenoiser(tiny).encode(x, 2.0)
    assert foreign_functions(h) and not foreign_functions(h, AUTOGRAD_FUNCTIONS)


def test_the_feature_picture_is_the_predicted_picture():
    model = faces.load_model()
    denoiser = faces.FacesDenoiser(model, "smiling", feature="picture")
    assert denoiser.provenance["feature"] == "picture"
    x = 2.0 * torch.randn(2, *faces.LATENT_SHAPE, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(denoiser.encode(x, 2.0), denoiser.denoise(x, 2.0))
