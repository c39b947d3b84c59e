"""Pictures, models and bases that the tests of the nodes share."""

from types import SimpleNamespace

import pytest
import torch
from node_calls import BASIS_OPTIONS, FACE, STEPS, TIMESTEP, WORDS, Studio, over_time
from tiny_models import tiny_conditioning, tiny_latent, tiny_model


@pytest.fixture(scope="session")
def schemas(comfy_host):
    """The schema of every node of the pack by node id, in the order in which ComfyUI gets them."""
    module = comfy_host.nodes["PullbackBasis"].RELATIVE_PYTHON_MODULE
    found = {}
    for name, node in comfy_host.nodes.items():
        if getattr(node, "RELATIVE_PYTHON_MODULE", None) == module:
            found[name] = node.define_schema()
    return found


@pytest.fixture(scope="session")
def face(call):
    """A face of the bundled model, inverted, and its basis: the answers of the nodes themselves."""
    model, vae, _ = call("PullbackLoadFacesModel")
    (image,) = call("PullbackExampleFace", number=FACE)
    (conditioning,) = call("PullbackFacesPrompt", text=WORDS)
    with torch.inference_mode():
        clean = {"samples": vae.encode(image)}
    latent, sigmas, report = call(
        "PullbackDDIMInvert",
        model=model,
        conditioning=conditioning,
        latent=clean,
        steps=STEPS,
        timestep=TIMESTEP,
        refine=2,
        measure=True,
    )
    hosted = {"model": model, "conditioning": conditioning, "latent": latent}
    (basis,) = call("PullbackBasis", **hosted, sigmas=sigmas, rank=3, **BASIS_OPTIONS)
    return SimpleNamespace(
        vae=vae,
        image=image,
        clean=clean,
        sigmas=sigmas,
        report=report,
        basis=basis,
        hosted=hosted,
        **hosted,
        inputs={"basis": basis, **hosted},
    )


@pytest.fixture(scope="session")
def tiny(call, comfy_host):
    """A tiny SD1.x model with a noisy latent and its basis, for what does not need a picture."""
    model, conditioning = tiny_model(), tiny_conditioning()
    latent, sigmas, _ = call(
        "PullbackDDIMInvert",
        model=model,
        conditioning=conditioning,
        latent=tiny_latent(),
        steps=3,
        timestep=0.7,
        refine=0,
        measure=False,
    )
    hosted = {"model": model, "conditioning": conditioning, "latent": latent}
    (basis,) = call("PullbackBasis", **hosted, sigmas=sigmas, rank=3, **BASIS_OPTIONS)
    options = {**BASIS_OPTIONS, "feature": "picture"}
    (of_picture,) = call("PullbackBasis", **hosted, sigmas=sigmas, rank=2, **options)
    return SimpleNamespace(
        basis=basis,
        of_picture=of_picture,
        id_of_picture=comfy_host.core.directions.identity.basis_id(of_picture),
        sigmas=sigmas,
        hosted=hosted,
        **hosted,
        inputs={"basis": basis, **hosted},
    )


@pytest.fixture(scope="session")
def alone(comfy_host):
    """What the core makes of the same face by itself."""
    core = comfy_host.core
    denoiser = core.faces.FacesDenoiser(core.faces.load_model(), WORDS)
    sigmas = denoiser.schedule.sigmas(STEPS, start=TIMESTEP)
    x0 = core.faces.encode_image(core.faces.example_faces([FACE]))
    noisy = core.ddim.invert(denoiser, x0, sigmas, refine=2)
    basis = core.local_basis(denoiser, noisy, 3, tolerance=0.05, seed=0)
    return SimpleNamespace(denoiser=denoiser, x0=x0, noisy=noisy, basis=basis)


@pytest.fixture(scope="session")
def family(call, face):
    """Bases of one face at two timesteps, and of its mirror image at the second."""
    bases, latents, ways = over_time(call, face, face.clean, timesteps="0.5, 0.7", steps=STEPS)
    batch = {"samples": torch.cat([latents[1]["samples"], latents[1]["samples"].flip(3)])}
    (apart,) = call("RebatchLatents", latents=[batch], batch_size=[1])
    assert [len(one["samples"]) for one in apart] == [1, 1]
    one, mirrored = (
        call("PullbackBasis", **{**face.hosted, "latent": latent}, sigmas=ways[1], rank=3, **BASIS_OPTIONS)[0]
        for latent in apart
    )
    return SimpleNamespace(early=bases[0], late=one, mirrored=mirrored)


@pytest.fixture(scope="session")
def studio(call):
    """The bundled model with empty words, and functions that connect its nodes."""
    model, vae, _ = call("PullbackLoadFacesModel")
    (conditioning,) = call("PullbackFacesPrompt", text="")
    return Studio(call, model, conditioning, vae)


@pytest.fixture(scope="session")
def first_face(studio):
    """A face of the studio: clean, inverted, and its basis."""
    return studio_face(studio, 6)


@pytest.fixture(scope="session")
def second_face(studio):
    """Another face, as `first_face`."""
    return studio_face(studio, 8)


def studio_face(studio, number):
    clean = studio.encode(studio.picture(number))
    latent, sigmas = studio.invert(clean)
    return SimpleNamespace(clean=clean, latent=latent, sigmas=sigmas, basis=studio.basis(latent, sigmas))
