"""What the nodes refuse because it does not belong together, and what they take however it came there."""

import dataclasses
from types import SimpleNamespace

import comfy.hooks
import pytest
import torch
from node_calls import BASIS_OPTIONS, SHEET_OPTIONS, Studio, edit, every_sampling_node, refused
from tiny_families import draw
from tiny_models import conditioning_for, latent_for, patched, tiny_conditioning, tiny_latent, tiny_model


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
def test_a_basis_of_another_size_is_refused(call, tiny, first_face, node):
    with refused("does not fit a latent of shape .* compute the basis at the size of this latent"):
        every_sampling_node(call, tiny, basis=first_face.basis)[node]()


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


def users(studio, first_face, **changed):
    """Each node behind DDIM Invert, with some inputs changed."""
    inputs = {"latent": first_face.latent, "sigmas": first_face.sigmas, "basis": first_face.basis, **changed}
    return {
        "basis": lambda: studio.basis(inputs["latent"], inputs["sigmas"]),
        "explain": lambda: studio.explain(inputs["latent"], inputs["sigmas"]),
        "edit": lambda: studio.edit(inputs["latent"], inputs["basis"]),
        "sheet": lambda: studio.sheet(inputs["latent"], inputs["sigmas"], inputs["basis"]),
    }


@pytest.mark.parametrize("node", ["basis", "explain", "sheet"])
def test_sigmas_of_another_node_are_refused(call, studio, first_face, node):
    (sigmas,) = call("BasicScheduler", model=studio.model, scheduler="normal", steps=20, denoise=1.0)
    with refused(
        "SIGMAS start at noise level .* latent has level 11.2.; connect the SIGMAS of the DDIM Invert"
    ):
        users(studio, first_face, sigmas=sigmas)[node]()


@pytest.mark.parametrize("node", ["basis", "explain", "edit", "sheet"])
def test_clean_pictures_are_refused_where_noisy_ones_are_meant(studio, first_face, node):
    with refused("is a clean picture, .* connect the LATENT of DDIM Invert"):
        users(studio, first_face, latent=first_face.clean)[node]()


@pytest.mark.parametrize("node", ["basis", "explain", "edit", "sheet"])
def test_a_sampled_picture_is_clean_though_it_was_noisy(studio, first_face, node):
    """The sampler's LATENT still has the entries of the noisy one."""
    with refused("is a clean picture"):
        users(studio, first_face, latent=studio.sample(first_face.latent, first_face.sigmas))[node]()


@pytest.mark.parametrize("node", ["edit", "sheet"])
def test_a_basis_of_another_picture_is_refused(studio, first_face, second_face, node):
    with refused("The basis is of another picture than the latent; connect a Pullback Basis of this latent"):
        users(studio, first_face, basis=second_face.basis)[node]()


@pytest.mark.parametrize("node", ["edit", "sheet"])
def test_a_basis_of_another_level_is_refused(studio, first_face, node):
    latent, sigmas = studio.invert(first_face.clean, timestep=0.6)
    with refused("The basis is of noise level 11.2., and the .* 5.37"):
        users(studio, first_face, latent=latent, sigmas=sigmas)[node]()
    if node == "sheet":  # the SIGMAS say it of a latent of unknown origin too
        with refused("connect the LATENT and the SIGMAS that the basis was computed from"):
            users(studio, first_face, latent={"samples": latent["samples"]}, sigmas=sigmas)[node]()


@pytest.mark.parametrize("node", ["edit", "sheet"])
def test_a_basis_of_another_model_is_refused(call, node):
    model = tiny_model()
    studio = Studio(
        call, model, tiny_conditioning(), SimpleNamespace(decode=lambda x: x[:, :3].movedim(1, -1).sigmoid())
    )
    latent, sigmas = studio.invert(tiny_latent(), steps=2, refine=0)
    basis = Studio(call, patched(model), tiny_conditioning()).basis(latent, sigmas)
    with refused("The basis is of another model .* connect the model that the basis was made with"):
        users(studio, SimpleNamespace(latent=latent, sigmas=sigmas, basis=basis))[node]()


def test_one_picture_of_a_batch_is_still_known(call, studio, first_face, second_face):
    batch, sigmas = studio.invert(studio.encode(studio.picture(6, 8)))
    (first,) = call("LatentFromBatch", samples=batch, batch_index=0, length=1)
    studio.edit(first, studio.basis(first, sigmas))
    with refused("of another picture"):
        studio.edit(first, second_face.basis)
    (repeated,) = call("RepeatLatentBatch", samples=first, amount=2)
    studio.edit(repeated, first_face.basis)
    with refused("of another picture"):
        studio.edit(repeated, second_face.basis)
    with refused("of another picture"):
        studio.edit(batch, first_face.basis)


def test_a_file_of_another_picture_is_refused(comfy_host, studio, first_face, second_face, tmp_path):
    first_face.basis.save(tmp_path / "first_face.safetensors")
    loaded = comfy_host.core.PullbackBasis.load(tmp_path / "first_face.safetensors")
    studio.edit(first_face.latent, loaded)
    with refused("of another picture"):
        studio.edit(second_face.latent, loaded)


def test_a_noisy_latent_in_the_place_of_a_clean_one_is_named(call, studio, first_face):
    options = {"steps": 2, "timestep": 0.5, "refine": 0, "measure": True}
    report = call("PullbackDDIMInvert", **studio.hosted, latent=first_face.latent, **options)[2]
    assert report.endswith("this latent is noisy already: connect that of VAE Encode")
    assert "already" not in call("PullbackDDIMInvert", **studio.hosted, latent=first_face.clean, **options)[2]
    assert (
        "already"
        not in call(
            "PullbackDDIMInvert",
            **studio.hosted,
            latent=studio.sample(first_face.latent, first_face.sigmas),
            **options,
        )[2]
    )


def with_a_lora_hook(studio):
    """The conditioning with a LoRA that is patched in while the host samples."""
    network = studio.model.model.diffusion_model
    name, weight = next(
        (name, weight) for name, weight in network.named_parameters() if weight.ndim == 2 and "attn" in name
    )
    hooks = comfy.hooks.create_hook_model_as_lora({}, None, 1.0, 1.0)
    hooks.hooks[0].weights = {
        f"diffusion_model.{name}": ("diff", (0.1 * draw(*weight.shape, seed=1) / weight.shape[1] ** 0.5,))
    }
    hooks.hooks[0].need_weight_init = False
    return comfy.hooks.set_hooks_for_conditioning(studio.conditioning, hooks)


@pytest.mark.parametrize(
    "change", ["eight bits", "half", "inversion", "prompt", "float32", "hook", "older file", "core"]
)
def test_a_basis_of_the_same_picture_is_taken(call, comfy_host, studio, first_face, change):
    latent, sigmas, basis, used = first_face.latent, first_face.sigmas, first_face.basis, studio
    if change == "eight bits":
        latent, _ = studio.invert(studio.encode((studio.picture(6) * 255).round() / 255))
    elif change == "half":
        latent, _ = studio.invert({"samples": first_face.clean["samples"].half().float()})
    elif change == "inversion":
        latent, sigmas = studio.invert(first_face.clean, steps=7, refine=0)
    elif change == "prompt":
        used = Studio(call, studio.model, call("PullbackFacesPrompt", text="smiling")[0], studio.vae)
    elif change == "float32":
        basis = studio.basis(latent, sigmas, precision="float32")
    elif change == "hook":
        used = Studio(call, studio.model, with_a_lora_hook(studio), studio.vae)
    elif change == "older file":
        kept = {name: text for name, text in basis.provenance.items() if name != "picture"}
        basis = dataclasses.replace(basis, provenance=kept)
    elif change == "core":
        basis = dataclasses.replace(basis, provenance={"picture": "unknown to this version"})
    for node in ("edit", "sheet"):
        users(used, first_face, latent=latent, sigmas=sigmas, basis=basis)[node]()


def test_carried_and_global_bases_are_taken(call, studio, first_face, second_face):
    (carried, *_) = call(
        "PullbackParallelTransport",
        source=first_face.basis,
        target=second_face.basis,
        direction=1,
        exact=False,
    )
    studio.edit(second_face.latent, carried)
    with refused("of another picture"):
        studio.edit(first_face.latent, carried)
    mean, _ = call("PullbackGlobalBasis", bases=[first_face.basis, second_face.basis], method=["matched"])
    both, _ = studio.invert(studio.encode(studio.picture(6, 8)))
    for latent in (first_face.latent, second_face.latent, both):
        studio.edit(latent, mean)
    studio.edit(studio.edit(first_face.latent, first_face.basis), first_face.basis, direction=2)


def test_latents_of_unknown_origin_are_taken(call, studio, first_face, second_face):
    """Of nodes that give no other entries on, and of nodes that change the samples."""
    [apart] = call("RebatchLatents", latents=[first_face.latent], batch_size=[1])
    (changed,) = call("LatentMultiply", samples=first_face.latent, multiplier=1.01)
    for latent in (apart[0], changed, {"samples": first_face.latent["samples"]}):
        for use in users(studio, first_face, latent=latent).values():
            use()
        studio.edit(latent, second_face.basis)


def test_flat_pictures_are_taken_without_their_origin(studio):
    for colour in (0.0, 1.0):
        clean = studio.encode(torch.full((1, 48, 48, 3), colour))
        for refine in (0, 2):
            latent, sigmas = studio.invert(clean, refine=refine)
            studio.basis({"samples": latent["samples"]}, sigmas, rank=1, tolerance=0.5)


@pytest.mark.parametrize("kind", ["sd1", "sd2v", "flux", "qwen"])
def test_latents_of_a_sampler_that_leaves_noise_are_taken(call, comfy_host, kind):
    model = tiny_model(kind)
    studio = Studio(call, model, conditioning_for(kind))
    empty = {"samples": torch.zeros_like(latent_for(model)["samples"])}
    latent = studio.ksampler(empty, add_noise="enable", end_at_step=6, return_with_leftover_noise="enable")
    sigmas = torch.tensor([studio.level_of_step(6), 0.0])
    basis = studio.basis(latent, sigmas, rank=1, tolerance=0.4)
    assert "picture" not in basis.provenance
    studio.edit(latent, basis, steps=1)


def test_a_basis_says_which_picture_it_belongs_to(call, comfy_host, studio, first_face, second_face):
    same = comfy_host.core.models.fingerprint.are_same_picture
    bases, *_ = call(
        "PullbackBasisOverTime",
        **studio.hosted,
        latent=first_face.clean,
        timesteps="0.5",
        steps=4,
        refine=0,
        rank=2,
        **BASIS_OPTIONS,
    )
    assert same(bases[0].provenance["picture"], first_face.basis.provenance["picture"])
    assert not same(first_face.basis.provenance["picture"], second_face.basis.provenance["picture"])
