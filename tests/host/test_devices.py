"""The nodes with a model on a device that has neither float64 nor dense decompositions."""

import json

import pytest
from boards import StandInCLIP, StandInVAE
from node_calls import BASIS_OPTIONS, EDIT_OPTIONS
from pretended_device import DEVICE, WithoutFloat64
from tiny_models import tiny_conditioning, tiny_latent, tiny_model

LEVELS = {"steps": 3, "refine": 1}


@pytest.fixture
def hosted():
    model = tiny_model()
    model.load_device = model.offload_device = DEVICE
    return {"model": model, "conditioning": tiny_conditioning()}


def test_a_board_runs_on_such_a_device(call, comfy_host, hosted, temporary):
    with WithoutFloat64(mixing=True):
        latent, sigmas, _ = call(
            "PullbackDDIMInvert", **hosted, latent=tiny_latent(), timestep=0.7, measure=False, **LEVELS
        )
        placed = {**hosted, "latent": latent, "sigmas": sigmas}
        options = {**BASIS_OPTIONS, "feature": "picture", "rotate": "one thing each", "keep": True}
        (basis,) = call("PullbackBasis", **placed, rank=2, **options)
        core = comfy_host.core
        wide = core.directions.widening.wide_basis(basis)
        mix = [0.5, *[0.0] * (wide.rank - 2), 0.1]
        state = {"version": 1, "basis": core.directions.identity.basis_id(wide), "mix": mix, "words": {}}
        given = {"vae": StandInVAE(), "basis": basis, "clip": StandInCLIP(), "words": "joy"}
        image, _, direction = call("PullbackBoard", **placed, **given, state=json.dumps(state))
    assert direction.rank == 1 and image.isfinite().all()


def test_the_nodes_run_on_a_device_without_float64(call, hosted, folders):
    with WithoutFloat64(mixing=True):
        latent, sigmas, _ = call(
            "PullbackDDIMInvert", **hosted, latent=tiny_latent(), timestep=0.7, measure=True, **LEVELS
        )
        other, _, _ = call(
            "PullbackDDIMInvert", **hosted, latent=tiny_latent(seed=1), timestep=0.7, measure=False, **LEVELS
        )
        (basis,) = call("PullbackBasis", **hosted, latent=latent, sigmas=sigmas, rank=2, **BASIS_OPTIONS)
        (second,) = call("PullbackBasis", **hosted, latent=other, sigmas=sigmas, rank=2, **BASIS_OPTIONS)
        call("PullbackGuidanceEdit", **hosted, latent=latent, basis=basis, **EDIT_OPTIONS)
        call("PullbackParallelTransport", source=basis, target=second, direction=1, exact=True)
        call("PullbackBasisCompare", bases=[basis, second], space=["features"])
        call("PullbackGlobalBasis", bases=[basis, second], method=["matched"])
        call(
            "PullbackBasisOverTime",
            **hosted,
            latent=tiny_latent(),
            timesteps="0.5, 0.7",
            rank=2,
            **LEVELS,
            **BASIS_OPTIONS,
        )
        call(
            "PullbackExplainFeatures",
            **hosted,
            latent=latent,
            sigmas=sigmas,
            features="middle",
            rank=2,
            precision="as the model",
        )
        call("PullbackSaveBasis", basis=basis, filename_prefix="basis")
    assert basis.converged and second.converged
