"""The nodes, called as the server calls them: their contract, their answers, and what they leave behind."""

import copy
import dataclasses
import math
import os
import re
import sys
from contextlib import contextmanager
from types import SimpleNamespace

import comfy.cli_args
import comfy.model_management
import comfy.samplers
import comfy.utils
import folder_paths
import latent_preview
import pytest
import torch
from tiny_models import KINDS, draw, observed, patched, tiny_conditioning, tiny_latent, tiny_model

WORDS, FACE, STEPS, TIMESTEP = "glasses, smiling", 3, 8, 0.7
BASIS_OPTIONS = {"tolerance": 0.05, "seed": 0, "feature": "middle", "precision": "as the model"}
EDIT_OPTIONS = {"direction": 1, "strength": 1.0, "steps": 4, "strengths": 1, "directions": 1}
SHEET_OPTIONS = {
    "mode": "fast",
    "direction": 1,
    "directions": 2,
    "strengths": 3,
    "strength": 1.0,
    "steps": 4,
    "cell": 64,
}

CONTRACT = {
    "PullbackDDIMInvert": (
        "model:MODEL conditioning:CONDITIONING latent:LATENT steps:INT timestep:FLOAT refine:INT measure:BOOLEAN",
        "LATENT SIGMAS STRING",
    ),
    "PullbackBasis": (
        "model:MODEL conditioning:CONDITIONING latent:LATENT sigmas:SIGMAS rank:INT tolerance:FLOAT seed:INT feature:STRING "
        "precision:COMBO",
        "PULLBACK_BASIS",
    ),
    "PullbackGuidanceEdit": (
        "model:MODEL conditioning:CONDITIONING latent:LATENT basis:PULLBACK_BASIS direction:INT strength:FLOAT steps:INT strengths:INT "
        "directions:INT mask:MASK",
        "LATENT",
    ),
    "PullbackParallelTransport": (
        "source:PULLBACK_BASIS target:PULLBACK_BASIS direction:INT exact:BOOLEAN",
        "PULLBACK_BASIS FLOAT STRING",
    ),
    "PullbackBasisVisualizer": (
        "basis:PULLBACK_BASIS model:MODEL conditioning:CONDITIONING vae:VAE latent:LATENT sigmas:SIGMAS mode:COMBO direction:INT "
        "directions:INT strengths:INT strength:FLOAT steps:INT cell:INT",
        "IMAGE IMAGE IMAGE",
    ),
    "PullbackQualityBoost": ("boost_below:FLOAT eta:FLOAT latent:LATENT", "SAMPLER"),
    "PullbackSaveBasis": ("basis:PULLBACK_BASIS filename_prefix:STRING", ""),
    "PullbackLoadBasis": ("file:COMBO", "PULLBACK_BASIS"),
    "PullbackLoadFacesModel": ("", "MODEL VAE"),
    "PullbackFacesPrompt": ("text:STRING", "CONDITIONING"),
    "PullbackExampleFace": ("number:INT", "IMAGE"),
    "PullbackBasisOverTime": (
        "model:MODEL conditioning:CONDITIONING latent:LATENT timesteps:STRING steps:INT refine:INT rank:INT tolerance:FLOAT seed:INT "
        "feature:STRING precision:COMBO",
        "PULLBACK_BASIS LATENT SIGMAS",
    ),
    "PullbackBasisCompare": (
        "bases:PULLBACK_BASIS space:COMBO others:PULLBACK_BASIS",
        "IMAGE IMAGE IMAGE FLOAT STRING",
    ),
    "PullbackGlobalBasis": ("bases:PULLBACK_BASIS method:COMBO", "PULLBACK_BASIS STRING"),
    "PullbackExplainFeatures": (
        "model:MODEL conditioning:CONDITIONING latent:LATENT sigmas:SIGMAS features:STRING rank:INT precision:COMBO",
        "STRING IMAGE STRING",
    ),
}


@pytest.fixture(scope="module")
def face(call):
    """A face of the bundled model, inverted, and its basis. The nodes' own answers, to test each other with."""
    model, vae = call("PullbackLoadFacesModel")
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


@pytest.fixture(scope="module")
def tiny(call):
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
    return SimpleNamespace(
        basis=basis, sigmas=sigmas, hosted=hosted, **hosted, inputs={"basis": basis, **hosted}
    )


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """Input and output folders of this test alone."""
    for kind in ("input", "output"):
        (tmp_path / kind).mkdir()
        monkeypatch.setattr(folder_paths, f"{kind}_directory", str(tmp_path / kind))
    return SimpleNamespace(input=tmp_path / "input", output=tmp_path / "output", outside=tmp_path)


def invert(call, case, latent, **options):
    options = {"steps": 3, "timestep": 0.7, "refine": 1, "measure": False, **options}
    return call(
        "PullbackDDIMInvert", model=case.model, conditioning=case.conditioning, latent=latent, **options
    )


def edit(call, inputs, **options):
    return call("PullbackGuidanceEdit", **inputs, **{**EDIT_OPTIONS, **options})[0]


def over_time(call, case, latent, **options):
    """Lists of bases, noisy latents and ways back."""
    options = {"timesteps": "0.6, 0.3", "steps": 6, "refine": 1, "rank": 3, **BASIS_OPTIONS, **options}
    return call(
        "PullbackBasisOverTime", model=case.model, conditioning=case.conditioning, latent=latent, **options
    )


def compare(call, bases, space="features", **others):
    """A node that takes lists gets its widgets as lists too."""
    return call("PullbackBasisCompare", bases=bases, space=[space], **others)


def sample(call, case, latent, sampler=None):
    """The way back, by a stock sampler."""
    return call(
        "SamplerCustom",
        model=case.model,
        add_noise=False,
        noise_seed=0,
        cfg=1.0,
        positive=case.conditioning,
        negative=case.conditioning,
        sampler=sampler or comfy.samplers.sampler_object("euler"),
        sigmas=case.sigmas,
        latent_image=latent,
    )[0]["samples"]


def equal_bases(one, other):
    return all(torch.equal(getattr(one, name), getattr(other, name)) for name in ("v", "s", "u", "residuals"))


# The contract.


def inputs_of(node):
    return node.define_schema().inputs or []


def test_the_pack_has_these_nodes_and_no_others(comfy_host):
    assert {name for name in comfy_host.nodes if name.startswith("Pullback")} == set(CONTRACT)
    module = comfy_host.nodes["PullbackBasis"].RELATIVE_PYTHON_MODULE
    assert {
        name
        for name, node in comfy_host.nodes.items()
        if getattr(node, "RELATIVE_PYTHON_MODULE", None) == module
    } == set(CONTRACT)


@pytest.mark.parametrize("node", CONTRACT)
def test_ids_inputs_and_outputs_are_what_saved_workflows_rely_on(comfy_host, node):
    """Widgets are saved by position and links by slot, so order and names may never change; a new input goes last."""
    schema = comfy_host.nodes[node].define_schema()
    inputs = " ".join(f"{part.id}:{part.get_io_type()}" for part in inputs_of(comfy_host.nodes[node]))
    outputs = " ".join(part.get_io_type() for part in schema.outputs or [])
    assert (schema.node_id, inputs, outputs) == (node, *CONTRACT[node])


@pytest.mark.parametrize("node", CONTRACT)
def test_every_node_and_input_explains_itself(comfy_host, node):
    schema = comfy_host.nodes[node].define_schema()
    assert schema.description and schema.display_name and schema.category == "pullback"
    silent = [part.id for part in inputs_of(comfy_host.nodes[node]) if not part.tooltip]
    assert not [name for name in silent if name != "basis"]


# The nodes' answers against the core's own, without the host.


@pytest.fixture(scope="module")
def alone(comfy_host):
    """What the core makes of the same face by itself."""
    core = comfy_host.core
    denoiser = core.faces.FacesDenoiser(core.faces.load_model(), WORDS)
    sigmas = denoiser.schedule.sigmas(STEPS, start=TIMESTEP)
    x0 = core.faces.encode_image(core.faces.example_faces([FACE]))
    x = core.ddim.invert(denoiser, x0, sigmas.flip(0), refine=2)
    sigma = float(sigmas[0])
    z = denoiser.schedule.to_network(x, sigma)
    basis = core.local_basis(denoiser, z, sigma, 3, tolerance=0.05, seed=0)
    return SimpleNamespace(denoiser=denoiser, sigmas=sigmas, sigma=sigma, x0=x0, x=x, z=z, basis=basis)


def samples_of(comfy_host, face, x):
    return comfy_host.adapter.latent_of(face.model, x)["samples"]


def test_the_faces_vae_is_exact(face):
    with torch.inference_mode():
        torch.testing.assert_close(face.vae.decode(face.clean["samples"]), face.image, rtol=0, atol=1e-6)


def test_ddim_invert_gives_the_cores_noisy_latent(comfy_host, face, alone):
    torch.testing.assert_close(face.sigmas, alone.sigmas)
    torch.testing.assert_close(
        face.latent["samples"], samples_of(comfy_host, face, alone.x), rtol=1e-4, atol=1e-3
    )


def test_the_report_of_ddim_invert_is_the_measured_error(comfy_host, face, alone):
    back = comfy_host.core.ddim.generate(alone.denoiser, alone.x, alone.sigmas)
    error = comfy_host.core.ddim.relative_error(back, alone.x0)
    assert face.report.startswith(f"recovered {100 - 100 * error:.1f}%: ")


def test_a_stock_sampler_returns_to_the_picture(call, face):
    back = sample(call, face, face.latent)
    assert ((back - face.clean["samples"]).norm() / face.clean["samples"].norm()).item() == pytest.approx(
        1 - float(re.match(r"recovered ([\d.]+)%", face.report)[1]) / 100, rel=0.1
    )


def test_the_basis_node_gives_the_cores_basis(comfy_host, face, alone):
    assert comfy_host.core.subspaces.principal_angles(face.basis.v, alone.basis.v).max() < 0.01
    torch.testing.assert_close(face.basis.s, alone.basis.s, rtol=1e-3, atol=0)
    assert face.basis.sigma == pytest.approx(alone.sigma) and face.basis.timestep == pytest.approx(
        TIMESTEP, abs=1e-3
    )
    assert face.basis.provenance["model"] == alone.basis.provenance["model"], (
        "a basis of the command line is of no use here"
    )


@pytest.mark.parametrize("kind", KINDS)
def test_the_basis_node_finds_what_the_hosts_forward_does(call, comfy_host, kind):
    """For every family, in double precision and without the adapter: a step along v_1 changes h by s_1 u_1."""
    model, conditioning = tiny_model(kind), tiny_conditioning()
    hosted = {"model": model, "conditioning": conditioning, "latent": tiny_latent(seed=3)}
    sigmas = comfy_host.adapter.schedule_of(model).sigmas(2, start=0.7)
    (basis,) = call("PullbackBasis", **hosted, sigmas=sigmas, rank=2, **{**BASIS_OPTIONS, "tolerance": 1e-3})
    double, sigma, step = tiny_model(kind, dtype=torch.float64), float(sigmas[0]), 1e-5
    x = model.model.process_latent_in(hosted["latent"]["samples"]).double()
    along = (1 + sigma**2) ** 0.5 * basis.v[:1].double()
    ahead, behind = (
        observed(double, "middle", conditioning, x + sign * step * along, sigma) for sign in (1, -1)
    )
    torch.testing.assert_close(
        (ahead - behind) / (2 * step), (basis.s[0] * basis.u[:1]).double(), rtol=1e-3, atol=1e-3
    )
    assert basis.s[0] > basis.s[1] > 0


def test_the_edit_node_gives_the_cores_edit(call, comfy_host, face, alone):
    edited = edit(call, face.inputs, direction=2, strength=-0.7)
    expected = comfy_host.core.x_space_guidance(
        alone.denoiser,
        alone.z,
        alone.sigma,
        face.basis.direction(1),
        scale=-0.7 * comfy_host.core.guidance.SCALE_PER_STRENGTH,
        steps=4,
    )[-1]
    expected = samples_of(comfy_host, face, alone.denoiser.schedule.from_network(expected, alone.sigma))
    torch.testing.assert_close(edited["samples"], expected, rtol=1e-4, atol=2e-3)
    assert (edited["samples"] - face.latent["samples"]).norm() > 20 * (edited["samples"] - expected).norm()


def test_the_boost_sampler_without_noise_is_the_cores_generation(call, comfy_host, face, alone):
    (sampler,) = call("PullbackQualityBoost", boost_below=0.0, eta=0.0)
    expected = samples_of(
        comfy_host, face, comfy_host.core.ddim.generate(alone.denoiser, alone.x, alone.sigmas)
    )
    torch.testing.assert_close(sample(call, face, face.latent, sampler), expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("options", [{"boost_below": 0.3, "eta": 0.0}, {"boost_below": 0.0, "eta": 1.0}])
def test_the_boost_sampler_adds_the_cores_noise(call, comfy_host, face, alone, options):
    (sampler,) = call("PullbackQualityBoost", **options)
    expected = samples_of(
        comfy_host,
        face,
        comfy_host.core.ddim.generate(alone.denoiser, alone.x, alone.sigmas, seed=0, **options),
    )
    boosted = sample(call, face, face.latent, sampler)
    torch.testing.assert_close(boosted, expected, rtol=1e-3, atol=1e-3)
    assert (boosted - sample(call, face, face.latent)).abs().max() > 0.01


def test_transport_to_the_same_picture_carries_the_direction_unchanged(call, face):
    carried, alignment, report = call(
        "PullbackParallelTransport", source=face.basis, target=face.basis, direction=2, exact=False
    )
    assert alignment == pytest.approx(1, abs=1e-3) and report == "alignment 1.00"
    torch.testing.assert_close(carried.v[0], face.basis.v[1], rtol=0, atol=1e-3)
    assert carried.rank == 1


@pytest.mark.parametrize("exact", [False, True])
def test_the_transport_node_gives_the_cores_transport(call, comfy_host, face, exact):
    inverted, _, _ = invert(call, face, {"samples": face.clean["samples"].flip(3)}, steps=STEPS)
    (target,) = call(
        "PullbackBasis", **{**face.hosted, "latent": inverted}, sigmas=face.sigmas, rank=2, **BASIS_OPTIONS
    )
    carried, alignment, _ = call(
        "PullbackParallelTransport", source=face.basis, target=target, direction=1, exact=exact
    )
    direction, expected = comfy_host.core.parallel_transport(0, face.basis, target, exact=exact)
    assert alignment == expected and torch.equal(carried.v[0], direction)


def test_basis_over_time_gives_the_cores_bases_latents_and_ways_back(call, comfy_host, face, alone):
    bases, latents, ways = over_time(call, face, face.clean, timesteps=" .7,0.4, 0.7", steps=STEPS)
    expected = comfy_host.core.bases_over_time(
        alone.denoiser, alone.x0, [0.4, 0.7], 3, steps=STEPS, refine=1, tolerance=0.05, seed=0
    )
    assert len(bases) == len(latents) == len(ways) == len(expected) == 2
    for basis, latent, sigmas, moment in zip(bases, latents, ways, expected):
        assert comfy_host.core.subspaces.principal_angles(basis.v, moment.basis.v).max() < 0.02
        torch.testing.assert_close(basis.s, moment.basis.s, rtol=1e-3, atol=0)
        torch.testing.assert_close(
            latent["samples"], samples_of(comfy_host, face, moment.x), rtol=1e-4, atol=1e-3
        )
        torch.testing.assert_close(sigmas, moment.sigmas)
        assert basis.provenance["model"] == moment.basis.provenance["model"]


def test_the_lists_of_basis_over_time_belong_together(call, face):
    """Its first entries go where those of DDIM Invert go, and lead back to the picture."""
    bases, latents, ways = over_time(call, face, face.clean, timesteps="0.3, 0.6", steps=20, refine=4)
    (basis,) = call(
        "PullbackBasis", **{**face.hosted, "latent": latents[0]}, sigmas=ways[0], rank=3, **BASIS_OPTIONS
    )
    assert equal_bases(basis, bases[0]), "the first search has nothing to start from, as any other"
    for latent, sigmas in zip(latents, ways):
        back = sample(call, SimpleNamespace(**face.hosted, sigmas=sigmas), latent)
        assert (back - face.clean["samples"]).norm() < 0.05 * face.clean["samples"].norm()


@pytest.fixture(scope="module")
def family(call, face):
    """Bases of one face at two timesteps, and of its mirror image at the second, where a list of latents leads."""
    bases, latents, ways = over_time(call, face, face.clean, timesteps="0.5, 0.7", steps=STEPS)
    batch = {"samples": torch.cat([latents[1]["samples"], latents[1]["samples"].flip(3)])}
    (apart,) = call("RebatchLatents", latents=[batch], batch_size=[1])
    assert [len(one["samples"]) for one in apart] == [1, 1]
    one, mirrored = (
        call("PullbackBasis", **{**face.hosted, "latent": latent}, sigmas=ways[1], rank=3, **BASIS_OPTIONS)[0]
        for latent in apart
    )
    return SimpleNamespace(early=bases[0], late=one, mirrored=mirrored)


@pytest.mark.parametrize("space, side", [("features", "h"), ("latents", "x")])
def test_basis_compare_gives_the_cores_distances(call, comfy_host, family, monkeypatch, space, side):
    caught, figures, subspaces = [], comfy_host.core.figures, comfy_host.core.subspaces
    plain = figures.heat_map
    monkeypatch.setattr(figures, "heat_map", lambda *given: caught.append(given) or plain(*given))
    *images, distance, report = compare(call, [family.early, family.late, family.mirrored], space)
    [(matrix, rows, columns, *_)] = caught
    assert torch.equal(
        matrix, subspaces.distance_matrix([family.early, family.late, family.mirrored], side=side)
    )
    assert rows == columns == ["0.5 T", "0.7 T (1)", "0.7 T (2)"]
    assert (
        distance == pytest.approx(subspaces.geodesic_distance(family.early, family.late, side=side))
        and distance > 0.5
    )
    first, *ranks = report.splitlines()
    assert first == f"0.5 T and 0.7 T (1): distance {distance:.2f} of at most {math.pi / 2 * 3**0.5:.2f}"
    assert (
        ranks[0] == f"0.5 T: effective rank {comfy_host.core.spectra.effective_rank(family.early.s):.1f} of 3"
        and len(ranks) == 3
    )
    for image in images:
        assert image.shape[0] == 1 and image.shape[3] == 3 and image.std() > 0.02


def test_basis_compare_compares_with_others(call, comfy_host, family, monkeypatch):
    caught, figures, subspaces = [], comfy_host.core.figures, comfy_host.core.subspaces
    plain = figures.heat_map
    monkeypatch.setattr(figures, "heat_map", lambda *given: caught.append(given) or plain(*given))
    *_, distance, report = compare(call, [family.early], others=[family.late, family.mirrored])
    [(matrix, rows, columns, *_)] = caught
    assert matrix.shape == (1, 2) and rows == ["0.5 T"] and columns == ["0.7 T (1)", "0.7 T (2)"]
    assert (
        distance
        == matrix[0, 0].item()
        == pytest.approx(subspaces.geodesic_distance(family.early, family.late))
    )
    assert len(report.splitlines()) == 4
    assert compare(call, [family.late], others=[family.late])[3] == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize("count, pairs", [(3, 3), (5, 4)])
def test_with_many_pairs_the_angles_of_the_first_basis_are_drawn(
    call, comfy_host, family, monkeypatch, count, pairs
):
    caught, figures = [], comfy_host.core.figures
    plain = figures.angle_plot
    monkeypatch.setattr(
        figures, "angle_plot", lambda curves, *others: caught.append(curves) or plain(curves, *others)
    )
    compare(call, [family.early, *[family.late] * (count - 1)])
    assert len(caught[0]) == pairs and all(len(angles) == 3 for _, angles in caught[0])


@pytest.mark.parametrize("method", ["matched", "frechet"])
def test_the_global_basis_node_gives_the_cores_mean(call, comfy_host, family, method):
    bases = [family.late, family.mirrored] if method == "matched" else [family.late, family.late]
    mean, report = call("PullbackGlobalBasis", bases=bases, method=[method])
    expected = comfy_host.core.global_basis(bases, method)
    assert equal_bases(mean, expected) and mean.provenance == expected.provenance
    misfits = ", ".join(f"{misfit:.2f}" for misfit in expected.residuals)
    assert report == f"{method} of 2 bases; misfit of the first directions: {misfits}"


def test_a_global_basis_edits_and_carries_as_any_other(call, face, family):
    mean, _ = call("PullbackGlobalBasis", bases=[family.late, family.mirrored], method=["matched"])
    carried, alignment, _ = call(
        "PullbackParallelTransport", source=mean, target=family.late, direction=1, exact=False
    )
    assert 0.3 < alignment <= 1
    plain, projected = (edit(call, {**face.hosted, "basis": basis})["samples"] for basis in (mean, carried))
    for one, other in (
        (plain, face.latent["samples"]),
        (projected, face.latent["samples"]),
        (plain, projected),
    ):
        assert (one - other).abs().max() > 0.05


# The same again gives the same.


def test_the_same_inputs_give_the_same_bits(call, tiny):
    again = call("PullbackBasis", **tiny.hosted, sigmas=tiny.sigmas, rank=3, **BASIS_OPTIONS)[0]
    assert equal_bases(again, tiny.basis)
    assert torch.equal(
        edit(call, tiny.inputs, strengths=3)["samples"], edit(call, tiny.inputs, strengths=3)["samples"]
    )


def test_another_seed_finds_the_same_direction_to_the_tolerance(call, comfy_host, tiny):
    one, other = (
        call(
            "PullbackBasis",
            **tiny.hosted,
            sigmas=tiny.sigmas,
            rank=1,
            **{**BASIS_OPTIONS, "tolerance": 1e-3, "seed": seed},
        )[0]
        for seed in (5, 6)
    )
    assert not torch.equal(one.v, other.v)
    assert comfy_host.core.subspaces.principal_angles(one.v, other.v).max() < 0.05


def test_a_patched_model_has_another_basis_and_says_so(call, comfy_host, tiny):
    hosted = {**tiny.hosted, "model": patched(tiny.model)}
    (basis,) = call("PullbackBasis", **hosted, sigmas=tiny.sigmas, rank=3, **BASIS_OPTIONS)
    assert comfy_host.core.subspaces.principal_angles(basis.v, tiny.basis.v).max() > 0.05
    assert basis.provenance["model"] != tiny.basis.provenance["model"]
    assert basis.provenance["prompt"] == tiny.basis.provenance["prompt"]


# Nothing is left behind.


def state_of(model):
    """All that a node could leave in a MODEL."""
    parts = (
        "model_options",
        "patches",
        "object_patches",
        "backup",
        "object_patches_backup",
        "attachments",
        "wrappers",
        "callbacks",
        "injections",
        "hook_patches",
        "additional_models",
        "force_cast_weights",
    )
    held = {name: copy.deepcopy(getattr(model, name)) for name in parts}
    return held, {name: weight.clone() for name, weight in model.model.state_dict().items()}


def ksampler(call, model):
    return call(
        "KSampler",
        model=model,
        seed=7,
        steps=2,
        cfg=2.0,
        sampler_name="dpmpp_2m",
        scheduler="karras",
        positive=tiny_conditioning(1),
        negative=tiny_conditioning(5),
        latent_image=tiny_latent(),
        denoise=1.0,
    )[0]["samples"]


class StandInVAE:
    @staticmethod
    def decode(latents):
        return latents[:, :3].movedim(1, -1).sigmoid()


def runs(call, case):
    """Each node that runs a model, as name -> function of a MODEL."""

    def on(model):
        return {**case.hosted, "model": model}

    return {
        "PullbackDDIMInvert": lambda model: invert(
            call, SimpleNamespace(**on(model)), case.latent, measure=True
        ),
        "PullbackBasis": lambda model: call(
            "PullbackBasis", **on(model), sigmas=case.sigmas, rank=2, **BASIS_OPTIONS
        ),
        "PullbackGuidanceEdit": lambda model: edit(call, {**on(model), "basis": case.basis}),
        "PullbackBasisVisualizer": lambda model: call(
            "PullbackBasisVisualizer",
            **on(model),
            basis=case.basis,
            sigmas=case.sigmas,
            vae=StandInVAE,
            **{**SHEET_OPTIONS, "mode": "full"},
        ),
        "PullbackBasisOverTime": lambda model: over_time(
            call, SimpleNamespace(**on(model)), case.latent, rank=1
        ),
        "float32": lambda model: call(
            "PullbackBasis",
            **on(model),
            sigmas=case.sigmas,
            rank=1,
            **{**BASIS_OPTIONS, "precision": "float32"},
        ),
        "quality boost": lambda model: sample(
            call,
            SimpleNamespace(**on(model), sigmas=case.sigmas),
            case.latent,
            call("PullbackQualityBoost", boost_below=0.3, eta=0.5)[0],
        ),
    }


RUNS = (
    "PullbackDDIMInvert",
    "PullbackBasis",
    "PullbackGuidanceEdit",
    "PullbackBasisVisualizer",
    "PullbackBasisOverTime",
    "float32",
    "quality boost",
)


def unchanged(call, model, before, sampled):
    assert torch.equal(ksampler(call, model), sampled)
    # After that run, because a clone stays loaded until another one is asked for: that is the host's own way.
    held, weights = state_of(model)
    for name, value in before[0].items():
        assert held[name] == value, name
    assert all(torch.equal(weight, before[1][name]) for name, weight in weights.items())


@pytest.mark.parametrize("name", RUNS)
def test_a_node_leaves_the_model_as_it_was(call, tiny, name):
    sampled, before = ksampler(call, tiny.model), state_of(tiny.model)
    runs(call, tiny)[name](tiny.model)
    unchanged(call, tiny.model, before, sampled)


@pytest.mark.parametrize("name", RUNS)
def test_a_node_that_fails_half_way_leaves_the_model_as_it_was(call, tiny, name):
    sampled, before = ksampler(call, tiny.model), state_of(tiny.model)
    broken, calls = tiny.model.clone(), iter(range(1000))

    def fail_from_the_third_time_on(apply, given):
        if next(calls) >= 2:
            raise RuntimeError("no memory left")
        return apply(given["input"], given["timestep"], **given["c"])

    broken.set_model_unet_function_wrapper(fail_from_the_third_time_on)
    with pytest.raises((RuntimeError, ValueError), match="no memory left"):
        runs(call, tiny)[name](broken)
    unchanged(call, tiny.model, before, sampled)


@pytest.mark.parametrize("name", RUNS)
def test_cancelling_ends_a_node_and_leaves_the_model_as_it_was(call, tiny, name, monkeypatch):
    # The server looks for a wish to cancel whenever a progress bar moves, which is what ends its samplers.
    look = lambda *_, **__: comfy.model_management.throw_exception_if_processing_interrupted()
    monkeypatch.setattr(comfy.utils, "PROGRESS_BAR_HOOK", look)
    sampled, before = ksampler(call, tiny.model), state_of(tiny.model)
    cancelled, calls = tiny.model.clone(), iter(range(1000))

    def cancel_the_second_time(apply, given):
        if next(calls) == 1:
            comfy.model_management.interrupt_current_processing()
        return apply(given["input"], given["timestep"], **given["c"])

    cancelled.set_model_unet_function_wrapper(cancel_the_second_time)
    try:
        with pytest.raises(comfy.model_management.InterruptProcessingException):
            runs(call, tiny)[name](cancelled)
        assert next(calls) < 6, "it went on for long"
        assert not comfy.model_management.processing_interrupted()
    finally:
        comfy.model_management.interrupt_current_processing(False)
    unchanged(call, tiny.model, before, sampled)
    runs(call, tiny)[name](tiny.model)


def test_nodes_change_none_of_their_inputs(call, face):
    basis = [face.basis.v, face.basis.s, face.basis.u]
    tensors = [face.latent["samples"], face.sigmas, face.conditioning[0][0], face.clean["samples"], *basis]
    before, entries = (
        [tensor.clone() for tensor in tensors],
        (list(face.latent), copy.deepcopy(face.conditioning[0][1])),
    )
    invert(call, face, face.clean)
    call("PullbackBasis", **face.hosted, sigmas=face.sigmas, rank=1, **BASIS_OPTIONS)
    edit(call, face.inputs, mask=torch.ones(1, 16, 16))
    assert all(torch.equal(tensor, old) for tensor, old in zip(tensors, before))
    assert (list(face.latent), face.conditioning[0][1]) == entries


def test_previews_are_pictures_in_the_manner_that_the_user_chose(call, face, monkeypatch):
    sent = []
    monkeypatch.setattr(
        comfy.utils,
        "PROGRESS_BAR_HOOK",
        lambda value, total, preview, *_, **__: sent.append((value, total, preview)),
    )
    invert(call, face, face.clean, steps=3, measure=True)
    values = [value for value, *_ in sent]  # newer hosts leave out some, but neither the first nor the last
    assert (
        values == sorted(set(values))
        and values[0] == 1
        and values[-1] == 6
        and all(preview is None for *_, preview in sent)
    )
    sent.clear()
    monkeypatch.setattr(comfy.cli_args.args, "preview_method", latent_preview.LatentPreviewMethod.Latent2RGB)
    invert(call, face, face.clean, steps=3, measure=True)
    pictures = [preview[1] for *_, preview in sent]
    height, width = face.clean["samples"].shape[2:]
    assert len(pictures) == 6 and all(picture.size == (width, height) for picture in pictures)
    expected = torch.nn.functional.adaptive_avg_pool2d(face.image.movedim(3, 1), (height, width))[0]
    shown = (
        torch.frombuffer(bytearray(pictures[-1].tobytes()), dtype=torch.uint8)
        .view(height, width, 3)
        .movedim(2, 0)
        / 255
    )
    assert (shown - expected).abs().mean() < 0.05


# Sizes, batches and masks.


@pytest.mark.parametrize("size", [(24, 40), (10, 6), (9, 7)])
def test_latents_of_any_size_go_all_the_way(call, tiny, size):
    latent, sigmas, _ = invert(call, tiny, tiny_latent(1, *size))
    hosted = {**tiny.hosted, "latent": latent}
    (basis,) = call("PullbackBasis", **hosted, sigmas=sigmas, rank=1, **{**BASIS_OPTIONS, "tolerance": 0.4})
    assert basis.v.shape == (1, 4, *size)
    edited = edit(call, {**hosted, "basis": basis}, steps=2)["samples"]
    assert (
        edited.shape == (1, 4, *size)
        and torch.isfinite(edited).all()
        and not torch.equal(edited, latent["samples"])
    )


def test_a_batch_is_inverted_picture_by_picture(call, tiny):
    batch = tiny_latent(3)
    together = invert(call, tiny, batch)[0]["samples"]
    apart = torch.cat([invert(call, tiny, {"samples": one[None]})[0]["samples"] for one in batch["samples"]])
    torch.testing.assert_close(together, apart, rtol=1e-4, atol=1e-3)


def test_a_batch_of_edits_runs_over_pictures_then_directions_then_strengths(call, tiny):
    inputs = {
        **tiny.inputs,
        "latent": {"samples": torch.cat([tiny.latent["samples"], tiny.latent["samples"].flip(2)])},
    }
    batch = edit(call, inputs, direction=2, directions=2, strengths=3, strength=0.5)["samples"]
    apart = torch.cat(
        [
            edit(
                call, {**inputs, "latent": {"samples": picture[None]}}, direction=direction, strength=strength
            )["samples"]
            for picture in inputs["latent"]["samples"]
            for direction in (2, 3)
            for strength in (-0.5, 0.0, 0.5)
        ]
    )
    torch.testing.assert_close(batch, apart, rtol=1e-4, atol=1e-3)
    distances = torch.cdist(apart.flatten(1)[None], apart.flatten(1)[None])[0]
    same = (distances < 0.01).nonzero().tolist()
    assert [[i, j] for i, j in same if i < j] == [[1, 4], [7, 10]], "only those of strength 0 may be alike"


def left_half(size=8):
    mask = torch.zeros(1, size, size)
    mask[:, :, : size // 2] = 1
    return mask


def test_a_mask_confines_the_edit(call, tiny):
    change = edit(call, tiny.inputs, mask=left_half(), strength=2.0)["samples"] - tiny.latent["samples"]
    assert change[..., :4].abs().max() > 0.1
    assert change[..., 4:].abs().max() < 1e-4


def test_a_mask_of_pixels_acts_at_the_size_of_the_latent(call, tiny):
    small, large = (edit(call, tiny.inputs, mask=left_half(size))["samples"] for size in (8, 64))
    torch.testing.assert_close(large, small)


def test_the_latents_own_noise_mask_counts_when_no_mask_is_given(call, tiny):
    unknown = {
        "samples": tiny.latent["samples"]
    }  # of an unknown picture, so there is nothing to keep but the noise
    masked = {**tiny.inputs, "latent": {**unknown, "noise_mask": left_half()[:, None]}}
    edited = edit(call, masked)
    assert torch.equal(edited["samples"], edit(call, tiny.inputs, mask=left_half())["samples"])
    assert "noise_mask" not in edited, "the sampler that follows would keep the noise below it"
    assert torch.equal(
        edit(call, masked, mask=torch.ones(1, 8, 8))["samples"], edit(call, tiny.inputs)["samples"]
    )


def test_each_picture_of_a_batch_has_its_own_noise_mask(call, tiny):
    masks = torch.stack([left_half(), 1 - left_half()])
    latent = {"samples": tiny.latent["samples"].repeat(2, 1, 1, 1), "noise_mask": masks}
    change = edit(call, {**tiny.inputs, "latent": latent})["samples"] - latent["samples"]
    assert change[0, ..., 4:].abs().max() < 1e-4 < 0.1 < change[0, ..., :4].abs().max()
    assert change[1, ..., :4].abs().max() < 1e-4 < 0.1 < change[1, ..., 4:].abs().max()


# What cannot work says why, in one sentence.


@contextmanager
def refused(sentence):
    with pytest.raises(ValueError, match=sentence) as caught:
        yield
    text = str(caught.value)
    assert text.endswith((".", "?")) and "\n" not in text and len(text) < 400, (
        "a person has to read it in a small red box"
    )


def every_sampling_node(call, tiny, **changed):
    """Each node that runs the model, with some inputs changed."""
    hosted = {**tiny.hosted, **{name: value for name, value in changed.items() if name in tiny.hosted}}
    sigmas, basis = changed.get("sigmas", tiny.sigmas), changed.get("basis", tiny.basis)
    return {
        "PullbackDDIMInvert": lambda: call(
            "PullbackDDIMInvert", **hosted, steps=2, timestep=0.7, refine=0, measure=False
        ),
        "PullbackBasis": lambda: call("PullbackBasis", **hosted, sigmas=sigmas, rank=1, **BASIS_OPTIONS),
        "PullbackGuidanceEdit": lambda: edit(call, {**hosted, "basis": basis}),
        "PullbackBasisVisualizer": lambda: call(
            "PullbackBasisVisualizer", **hosted, sigmas=sigmas, basis=basis, vae=None, **SHEET_OPTIONS
        ),
        "PullbackBasisOverTime": lambda: over_time(call, SimpleNamespace(**hosted), hosted["latent"]),
    }


SAMPLING = (
    "PullbackDDIMInvert",
    "PullbackBasis",
    "PullbackGuidanceEdit",
    "PullbackBasisVisualizer",
    "PullbackBasisOverTime",
)


@pytest.mark.parametrize("node", SAMPLING)
def test_latents_of_another_model_are_refused(call, tiny, node):
    with refused("needs \\(batch, 4, height, width\\); encode the picture with the VAE"):
        every_sampling_node(call, tiny, latent={"samples": draw(1, 16, 8, 8, seed=0)})[node]()


@pytest.mark.parametrize("node", SAMPLING)
def test_videos_are_refused(call, tiny, node):
    with refused("needs \\(batch, 4, height, width\\)"):
        every_sampling_node(call, tiny, latent={"samples": draw(1, 4, 2, 8, 8, seed=0)})[node]()


@pytest.mark.parametrize("node", SAMPLING)
def test_other_kinds_of_sampling_are_refused(call, tiny, node):
    (other,) = call(
        "ModelSamplingContinuousEDM", model=tiny.model, sampling="edm", sigma_max=120.0, sigma_min=0.002
    )
    with refused("samples as .*EDM; only eps- and v-prediction .* and rectified flow .* are known here"):
        every_sampling_node(call, tiny, model=other)[node]()


@pytest.mark.parametrize("node", SAMPLING)
def test_models_without_a_unet_are_refused(call, tiny, node):
    other = tiny.model.clone()
    other.add_object_patch("diffusion_model", torch.nn.Identity())
    with refused("needs a UNet .* or a transformer .* got Identity"):
        every_sampling_node(call, tiny, model=other)[node]()


@pytest.mark.parametrize("node", ["PullbackBasis", "PullbackBasisVisualizer", "PullbackBasisOverTime"])
def test_batches_are_refused_where_one_picture_is_meant(call, tiny, node):
    with refused("The latent holds 2 pictures, and a basis belongs to one; pick one with Latent From Batch"):
        every_sampling_node(call, tiny, latent={"samples": tiny.latent["samples"].repeat(2, 1, 1, 1)})[node]()


@pytest.mark.parametrize("sigmas", [torch.tensor([0.0, 1.0, 2.0]), torch.tensor([]), torch.tensor([1.0])])
@pytest.mark.parametrize("node", ["PullbackBasis", "PullbackBasisVisualizer"])
def test_sigmas_that_start_without_noise_are_refused(call, tiny, node, sigmas):
    with refused("The SIGMAS start without noise .* connect those of DDIM Invert"):
        every_sampling_node(call, tiny, sigmas=sigmas)[node]()


@pytest.mark.parametrize("node", ["PullbackGuidanceEdit", "PullbackBasisVisualizer"])
def test_a_basis_of_another_size_is_refused(call, tiny, face, node):
    with refused("does not fit a latent of shape .* compute the basis at the size of this latent"):
        every_sampling_node(call, tiny, basis=face.basis)[node]()


def test_directions_beyond_the_rank_are_refused(call, tiny):
    with refused("directions"):
        edit(call, tiny.inputs, direction=4)
    with refused("directions"):
        edit(call, tiny.inputs, direction=3, directions=2)
    with refused("directions"):
        call("PullbackParallelTransport", source=tiny.basis, target=tiny.basis, direction=4, exact=False)
    with refused("directions"):
        call(
            "PullbackBasisVisualizer",
            **tiny.inputs,
            sigmas=tiny.sigmas,
            vae=None,
            **{**SHEET_OPTIONS, "direction": 4},
        )


def test_the_sentence_counts_directions_as_the_node_does(call, tiny):
    with refused("directions 1 to 3, got 4"):
        edit(call, tiny.inputs, direction=4)


@pytest.mark.parametrize("feature", ["output_3", "bottleneck", "", "input_-1", "Middle"])
def test_unknown_features_are_refused_with_the_known_ones(call, tiny, feature):
    with refused("no block named .* choose middle or one of input_0, .*, output_0, output_1, output_2"):
        call(
            "PullbackBasis",
            **tiny.hosted,
            sigmas=tiny.sigmas,
            rank=1,
            **{**BASIS_OPTIONS, "feature": feature},
        )


def test_bases_of_two_models_are_not_carried_over(call, tiny, face):
    with refused("features of different shape"):
        call("PullbackParallelTransport", source=face.basis, target=tiny.basis, direction=1, exact=False)
    stranger = dataclasses.replace(tiny.basis, provenance={**tiny.basis.provenance, "model": "another"})
    with refused("differ in their model"):
        call("PullbackParallelTransport", source=stranger, target=tiny.basis, direction=1, exact=False)


def test_unknown_words_are_refused(call):
    with refused("purple"):
        call("PullbackFacesPrompt", text="smiling, purple")


def test_a_latent_of_zeros_has_no_basis(call, tiny):
    with refused("all zeros"):
        call(
            "PullbackBasis",
            **{**tiny.hosted, "latent": {"samples": torch.zeros(1, 4, 8, 8)}},
            sigmas=tiny.sigmas,
            rank=1,
            **BASIS_OPTIONS,
        )


def test_an_empty_latent_is_inverted_to_something_finite(call, tiny):
    latent, _, _ = invert(call, tiny, {"samples": torch.zeros(1, 4, 8, 8)})
    assert torch.isfinite(latent["samples"]).all()


def test_the_round_trip_of_an_empty_latent_is_not_reported_as_infinite(call, tiny):
    _, _, report = invert(call, tiny, {"samples": torch.zeros(1, 4, 8, 8)}, measure=True)
    assert "inf" not in report and "nan" not in report


@pytest.mark.parametrize("node", ["PullbackBasis", "PullbackBasisOverTime"])
def test_a_patch_without_a_derivative_is_refused(call, tiny, node):
    model = tiny.model.clone()
    model.set_model_input_block_patch(lambda h, options: h / 2 + h.detach() / 2)
    with refused("derivatives of this model are wrong here"):
        every_sampling_node(call, tiny, model=model)[node]()


@pytest.mark.parametrize(
    "text", ["", "much", "0.9; 0.5", "0.9 0.5", "0,9", "0", "0.5, 1.01", "-0.3", "nan", "0.5,", "x" * 1000]
)
def test_timesteps_that_are_none_are_refused(call, tiny, text):
    with refused('above 0 and at most 1, with commas between them, such as "0.9, 0.7, 0.5"; got .'):
        over_time(call, tiny, tiny.latent, timesteps=text)


def test_one_basis_alone_is_not_compared(call, tiny):
    with refused("at least two bases, got 1; connect the list of Basis Over Time"):
        compare(call, [tiny.basis])


def test_bases_of_unlike_features_or_latents_are_not_compared(call, tiny, face):
    for space in ("features", "latents"):
        with refused(f"differ in the shape of their {space} .* compare bases of one picture size"):
            compare(call, [tiny.basis, face.basis], space)
    other = dataclasses.replace(tiny.basis, provenance={**tiny.basis.provenance, "feature": "input_4"})
    with refused("of different blocks \\(input_4 and middle\\); compare them in the space 'latents'"):
        compare(call, [tiny.basis, other])
    assert compare(call, [tiny.basis, other], "latents")[3] == pytest.approx(0, abs=1e-3)


def test_bases_that_do_not_belong_together_have_no_mean(call, tiny, face, family):
    for bases, sentence in (
        ([tiny.basis, face.basis], "differ in rank or size"),
        ([family.early, family.late], "different noise levels"),
    ):
        with refused(sentence):
            call("PullbackGlobalBasis", bases=bases, method=["matched"])
    size = tiny.basis.u[0].numel()
    orthogonal = [
        dataclasses.replace(tiny.basis, u=part.view_as(tiny.basis.u)) for part in torch.eye(size)[:6].split(3)
    ]
    with refused("no Frechet mean; use the method 'matched'"):
        call("PullbackGlobalBasis", bases=orthogonal, method=["frechet"])


# Files.


def test_a_saved_basis_loads_as_it_was(call, tiny, folders):
    assert call("PullbackSaveBasis", basis=tiny.basis, filename_prefix="pullback/basis") == ()
    (loaded,) = call("PullbackLoadBasis", file="pullback/basis_00001.safetensors [output]")
    assert equal_bases(loaded, tiny.basis)
    assert {**vars(loaded), **dict.fromkeys("vsu"), "residuals": 0} == {
        **vars(tiny.basis),
        **dict.fromkeys("vsu"),
        "residuals": 0,
    }


def test_files_are_numbered_and_never_overwritten(call, tiny, folders):
    for _ in range(3):
        call("PullbackSaveBasis", basis=tiny.basis, filename_prefix="face")
    assert sorted(os.listdir(folders.output)) == [f"face_{number:05}.safetensors" for number in (1, 2, 3)]


def test_the_list_of_files_names_those_of_both_folders(call, comfy_host, tiny, folders):
    call("PullbackSaveBasis", basis=tiny.basis, filename_prefix="a/b/face")
    tiny.basis.save(folders.input / "shared.safetensors")
    names = comfy_host.adapter.basis_files()
    assert names == ["shared.safetensors", "a/b/face_00001.safetensors [output]"]
    assert all(equal_bases(call("PullbackLoadBasis", file=name)[0], tiny.basis) for name in names)


@pytest.mark.parametrize("prefix", ["../x", "a/../../x", "..", "", ".", "/", "a/.."])
def test_prefixes_that_lead_out_of_the_output_folder_are_refused(call, tiny, folders, prefix):
    with refused("give a plain name like"):
        call("PullbackSaveBasis", basis=tiny.basis, filename_prefix=prefix)
    assert not list(folders.outside.rglob("*.safetensors"))


def test_an_absolute_prefix_stays_in_the_output_folder(call, tiny, folders):
    call("PullbackSaveBasis", basis=tiny.basis, filename_prefix="/etc/basis")
    assert (folders.output / "etc" / "basis_00001.safetensors").is_file()


def test_a_link_in_the_output_folder_does_not_lead_out_of_it(call, tiny, folders):
    (folders.outside / "elsewhere").mkdir()
    (folders.output / "link").symlink_to(folders.outside / "elsewhere")
    with refused("leads out of the output folder"):
        call("PullbackSaveBasis", basis=tiny.basis, filename_prefix="link/basis")
    assert not os.listdir(folders.outside / "elsewhere")


def test_files_outside_the_folders_are_not_read(call, tiny, folders):
    outside = folders.outside / "secret.safetensors"
    tiny.basis.save(outside)
    (folders.input / "link.safetensors").symlink_to(outside)
    (folders.input / "folder").mkdir()
    ways = ("../secret.safetensors", "../secret.safetensors [output]", str(outside), "link.safetensors")
    for name in (*ways, "folder", "", "none.safetensors"):
        with refused("There is no basis file"):
            call("PullbackLoadBasis", file=name)


def test_a_file_of_something_else_is_refused(call, folders):
    (folders.input / "broken.safetensors").write_bytes(b"not a basis")
    with refused("'broken.safetensors' is not a usable pullback basis"):
        call("PullbackLoadBasis", file="broken.safetensors")


def test_a_changed_file_is_loaded_anew(comfy_host, tiny, folders):
    path = folders.input / "face.safetensors"
    tiny.basis.save(path)
    node = comfy_host.nodes["PullbackLoadBasis"]
    before = node.fingerprint_inputs(file="face.safetensors")
    os.utime(path, ns=(1, 1))
    assert node.fingerprint_inputs(file="face.safetensors") != before


# The visualizer.


@pytest.fixture(scope="module")
def sheets(call, face):
    return {
        mode: call(
            "PullbackBasisVisualizer",
            **face.inputs,
            vae=face.vae,
            sigmas=face.sigmas,
            **{**SHEET_OPTIONS, "mode": mode},
        )
        for mode in ("fast", "full")
    }


def test_the_visualizers_pictures_are_images_of_something(sheets):
    for sheet, spectrum, maps in sheets.values():
        for image in (sheet, spectrum, maps):
            assert image.ndim == 4 and image.shape[3] == 3 and image.dtype == torch.float32
            assert 0 <= image.min() and image.max() <= 1 and image.std() > 0.02
        assert (
            sheet.shape[0] == spectrum.shape[0] == 1 and sheet.shape[1] >= 2 * 64 and sheet.shape[2] >= 3 * 64
        )
        assert len(maps) == 2 and (maps[0] - maps[1]).abs().max() > 0.1


def test_the_fast_sheet_and_the_full_one_differ_in_their_pictures_alone(sheets):
    (fast, *_, fast_maps), (full, *_, full_maps) = sheets["fast"], sheets["full"]
    assert fast.shape == full.shape and (fast - full).abs().mean() > 0.005
    assert torch.equal(fast_maps, full_maps)


def test_the_visualizer_shows_what_directions_there_are(call, face):
    *_, maps = call(
        "PullbackBasisVisualizer",
        **face.inputs,
        vae=face.vae,
        sigmas=face.sigmas,
        **{**SHEET_OPTIONS, "direction": 3, "directions": 9},
    )
    assert len(maps) == 1


def test_a_full_sheet_shows_the_edits_sampled_to_the_end(call, comfy_host, face, monkeypatch):
    """The sheet's pictures, caught on their way into it."""
    caught = []
    figures = comfy_host.core.figures
    plain = figures.contact_sheet
    monkeypatch.setattr(
        figures,
        "contact_sheet",
        lambda rows, *others, **options: caught.append(rows) or plain(rows, *others, **options),
    )
    call(
        "PullbackBasisVisualizer",
        **face.inputs,
        vae=face.vae,
        sigmas=face.sigmas,
        **{**SHEET_OPTIONS, "mode": "full"},
    )
    edits = edit(call, face.inputs, directions=2, strengths=3)
    with torch.inference_mode():
        pictures = face.vae.decode(sample(call, face, edits))
    shown = torch.stack([picture for _, row in caught[0] for picture in row])
    torch.testing.assert_close((shown.movedim(1, 3) + 1) / 2, pictures, rtol=0, atol=5e-3)


def test_the_node_says_when_half_precision_matters(comfy_host, call, tiny, monkeypatch):
    said = []
    monkeypatch.setattr(comfy_host.adapter, "say", lambda node, text: said.append(text))
    monkeypatch.setattr(sys.modules[comfy_host.nodes["PullbackBasis"].__module__], "INEXACT", 0.005)
    inputs = {**tiny.hosted, "model": tiny_model(dtype=torch.bfloat16), "sigmas": tiny.sigmas, "rank": 1}
    call("PullbackBasis", **inputs, **BASIS_OPTIONS)
    assert re.search(r"in bfloat16 they differ by [1-9]\d?% from those in float32, see precision", said[-1])
    call("PullbackBasis", **inputs, **{**BASIS_OPTIONS, "precision": "float32"})
    assert "differ by" not in said[-1]
