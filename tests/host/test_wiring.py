"""Masks from the picture to the sampler, and nodes connected to what does not belong to them."""

import dataclasses
from contextlib import contextmanager
from types import SimpleNamespace

import comfy.hooks
import comfy.samplers
import pytest
import torch
from tiny_models import (
    conditioning_for,
    draw,
    latent_for,
    patched,
    tiny_conditioning,
    tiny_latent,
    tiny_model,
)

STEPS, REFINE = 10, 2
BASIS = {"rank": 2, "tolerance": 0.05, "seed": 0, "feature": "middle", "precision": "as the model"}
EDIT = {"direction": 1, "strength": 1.0, "steps": 8, "strengths": 1, "directions": 1}
SHEET = {
    "mode": "fast",
    "direction": 1,
    "directions": 1,
    "strengths": 3,
    "strength": 1.0,
    "steps": 8,
    "cell": 64,
}


@pytest.fixture(scope="module")
def studio(call):
    """The bundled model with empty words, and functions that connect its nodes."""
    model, vae = call("PullbackLoadFacesModel")
    (conditioning,) = call("PullbackFacesPrompt", text="")
    return Studio(call, model, conditioning, vae)


@pytest.fixture(scope="module")
def face(studio):
    """One face: clean, inverted, and its basis."""
    clean = studio.encode(studio.picture(6))
    latent, sigmas = studio.invert(clean)
    return SimpleNamespace(clean=clean, latent=latent, sigmas=sigmas, basis=studio.basis(latent, sigmas))


@pytest.fixture(scope="module")
def other(studio):
    """Another face, as `face`."""
    clean = studio.encode(studio.picture(8))
    latent, sigmas = studio.invert(clean)
    return SimpleNamespace(clean=clean, latent=latent, sigmas=sigmas, basis=studio.basis(latent, sigmas))


class Studio:
    """A model and its conditioning, in every node."""

    def __init__(self, call, model, conditioning, vae=None):
        self.call, self.model, self.conditioning, self.vae = call, model, conditioning, vae
        self.hosted = {"model": model, "conditioning": conditioning}

    def picture(self, *numbers):
        return torch.cat([self.call("PullbackExampleFace", number=number)[0] for number in numbers])

    def encode(self, image):
        return self.call("VAEEncode", pixels=image, vae=self.vae)[0]

    def invert(self, latent, **options):
        options = {"steps": STEPS, "timestep": 0.7, "refine": REFINE, "measure": False, **options}
        return self.call("PullbackDDIMInvert", **self.hosted, latent=latent, **options)[:2]

    def basis(self, latent, sigmas, **options):
        return self.call(
            "PullbackBasis", **{**self.hosted, "latent": latent, "sigmas": sigmas, **BASIS, **options}
        )[0]

    def edit(self, latent, basis, **options):
        return self.call(
            "PullbackGuidanceEdit", **{**self.hosted, "latent": latent, "basis": basis, **EDIT, **options}
        )[0]

    def sheet(self, latent, sigmas, basis, **options):
        inputs = {
            **self.hosted,
            "vae": self.vae,
            "latent": latent,
            "sigmas": sigmas,
            "basis": basis,
            **SHEET,
            **options,
        }
        return self.call("PullbackBasisVisualizer", **inputs)[0]

    def explain(self, latent, sigmas):
        inputs = {**self.hosted, "latent": latent, "sigmas": sigmas}
        return self.call(
            "PullbackExplainFeatures", **inputs, features="middle", rank=1, precision="as the model"
        )

    def sample(self, latent, sigmas, sampler=None):
        return self.call(
            "SamplerCustom",
            model=self.model,
            add_noise=False,
            noise_seed=0,
            cfg=1.0,
            positive=self.conditioning,
            negative=self.conditioning,
            sampler=sampler or comfy.samplers.sampler_object("euler"),
            sigmas=sigmas,
            latent_image=latent,
        )[0]

    def sample_advanced(self, latent, sigmas):
        (guider,) = self.call("BasicGuider", model=self.model, conditioning=self.conditioning)
        return self.call(
            "SamplerCustomAdvanced",
            noise=self.call("DisableNoise")[0],
            guider=guider,
            sampler=comfy.samplers.sampler_object("euler"),
            sigmas=sigmas,
            latent_image=latent,
        )[0]

    def ksampler(self, latent, **options):
        options = {
            "add_noise": "disable",
            "start_at_step": 0,
            "end_at_step": 1000,
            "return_with_leftover_noise": "disable",
            **options,
        }
        return self.call(
            "KSamplerAdvanced",
            model=self.model,
            noise_seed=0,
            steps=20,
            cfg=1.0,
            sampler_name="euler",
            scheduler="normal",
            positive=self.conditioning,
            negative=self.conditioning,
            latent_image=latent,
            **options,
        )[0]

    def level_of_step(self, step):
        """The noise level at which the sampler of `ksampler` begins this step."""
        sampling = self.model.get_model_object("model_sampling")
        return float(comfy.samplers.calculate_sigmas(sampling, "normal", 20)[step])

    def boost(self, latent=None, boost_below=0.3, eta=0.2):
        return self.call(
            "PullbackQualityBoost",
            boost_below=boost_below,
            eta=eta,
            **({} if latent is None else {"latent": latent}),
        )[0]


def left_half(latent, pixels=1):
    """A MASK in which an edit may act left of the middle."""
    height, width = latent["samples"].shape[-2:]
    mask = torch.zeros(1, pixels * height, pixels * width)
    mask[..., : pixels * width // 2] = 1
    return mask


def masked(call, latent, mask=None):
    return call("SetLatentNoiseMask", samples=latent, mask=left_half(latent) if mask is None else mask)[0]


def kept_error(result, clean):
    """How far the right half of result is from that of the clean picture, as a part of its norm."""
    one, other = (latent["samples"][..., latent["samples"].shape[-1] // 2 :] for latent in (result, clean))
    return ((one - other).norm() / other.norm()).item()


def edited_error(result, clean):
    """As `kept_error`, for the left half."""
    return kept_error(*({"samples": latent["samples"].flip(-1)} for latent in (result, clean)))


@contextmanager
def refused(sentence):
    with pytest.raises(ValueError, match=sentence) as caught:
        yield
    text = str(caught.value)
    assert text.endswith(".") and "\n" not in text and len(text) < 400, (
        "a person has to read it in a small red box"
    )


# What a mask keeps.


@pytest.mark.parametrize("sampler", ["sample", "sample_advanced"])
def test_what_a_mask_keeps_is_the_picture(call, studio, face, sampler):
    latent, sigmas = studio.invert(masked(call, face.clean), steps=40, refine=4)
    assert kept_error(getattr(studio, sampler)(latent, sigmas), face.clean) < 0.02


def test_what_a_mask_keeps_is_the_picture_behind_ksampler(call, comfy_host, studio, face):
    schedule = comfy_host.adapter.schedule_of(studio.model)
    latent, _ = studio.invert(
        masked(call, face.clean), timestep=schedule.fraction(studio.level_of_step(6)), steps=14, refine=4
    )
    assert kept_error(studio.ksampler(latent, start_at_step=6), face.clean) < 0.06, (
        "its levels are not those of the inversion"
    )


@pytest.mark.parametrize("kind", ["sd1", "sd2v", "sdxl", "flux", "sd3", "qwen", "lumina2"])
def test_a_mask_keeps_the_picture_in_every_kind_of_model(call, kind):
    model = tiny_model(kind)
    studio, clean = Studio(call, model, conditioning_for(kind)), latent_for(model)
    latent, sigmas = studio.invert(masked(call, clean), timestep=0.5, refine=12)
    assert kept_error(studio.sample(latent, sigmas), clean) < 0.02


@pytest.mark.parametrize("sampler", ["sample", "sample_advanced"])
def test_what_a_mask_keeps_is_the_picture_behind_an_edit(call, studio, face, sampler):
    latent, sigmas = studio.invert(masked(call, face.clean), steps=40, refine=4)
    edits = studio.edit(latent, face.basis, strengths=3, strength=1.0)
    result = getattr(studio, sampler)(edits, sigmas)
    clean = {"samples": face.clean["samples"].expand(3, -1, -1, -1)}
    assert kept_error(result, clean) < 0.02
    assert edited_error(result, clean) > 0.05, "the other half is edited"


@pytest.mark.parametrize("kind", ["sd1", "sd2v", "flux", "qwen"])
def test_a_mask_keeps_the_picture_behind_an_edit_in_every_kind_of_model(call, kind):
    model = tiny_model(kind)
    studio, clean = Studio(call, model, conditioning_for(kind)), latent_for(model)
    latent, sigmas = studio.invert(masked(call, clean), timestep=0.5, refine=12)
    edits = studio.edit(latent, studio.basis(latent, sigmas, rank=1, tolerance=0.4), strength=1.0, steps=4)
    assert kept_error(studio.sample(edits, sigmas), clean) < 0.02


def test_a_noisy_latent_has_no_noise_mask(call, studio, face):
    inverted, _ = studio.invert(masked(call, face.clean))
    behind = studio.edit(masked(call, face.latent), face.basis, steps=1)
    over_time = call(
        "PullbackBasisOverTime",
        **studio.hosted,
        latent=masked(call, face.clean),
        timesteps="0.5",
        steps=4,
        refine=0,
        **BASIS,
    )[1][0]
    assert not [latent for latent in (inverted, behind, over_time) if "noise_mask" in latent]


@pytest.mark.parametrize("pixels", [1, 3, 8])
@pytest.mark.parametrize("strength", [1.0, 0.4])
def test_the_mask_of_the_picture_confines_the_edit(call, studio, face, pixels, strength):
    """strength: of the mask, which may be soft."""
    mask = strength * left_half(face.clean, pixels)
    latent, _ = studio.invert(masked(call, face.clean, mask))
    assert torch.equal(latent["samples"], face.latent["samples"])
    edited = studio.edit(latent, face.basis)
    result, plain = (
        studio.sample(edited, face.sigmas),
        studio.sample(studio.edit(face.latent, face.basis), face.sigmas),
    )
    assert kept_error(result, face.clean) < 0.05
    assert strength < 1 or edited_error(result, face.clean) > 0.055
    assert kept_error(plain, face.clean) > 0.06, "there is something to keep"
    behind = studio.edit(masked(call, face.latent, mask), face.basis)
    assert torch.equal(behind["samples"], edited["samples"]), "or set behind DDIM Invert"


def test_a_mask_input_counts_more_and_for_its_node_alone(call, studio, face):
    latent, _ = studio.invert(masked(call, face.clean))
    everywhere = torch.ones(1, 16, 16)
    edited = studio.edit(latent, face.basis, mask=everywhere)
    assert torch.equal(edited["samples"], studio.edit(face.latent, face.basis)["samples"])
    again = studio.sample(studio.edit(edited, face.basis), face.sigmas)
    assert kept_error(again, face.clean) < 0.05, "the latent's own mask counts again"


def test_the_newer_of_two_masks_counts(call, studio, face):
    latent, _ = studio.invert(masked(call, face.clean))
    right = 1 - left_half(face.clean)
    result = studio.sample(studio.edit(masked(call, latent, right), face.basis), face.sigmas)
    assert edited_error(result, face.clean) < 0.05 < 0.055 < kept_error(result, face.clean)


def test_every_picture_of_a_batch_keeps_its_own_mask(call, studio, face):
    clean = studio.encode(studio.picture(6, 6))
    masks = torch.cat([left_half(clean), 1 - left_half(clean)])
    latent, _ = studio.invert(masked(call, clean, masks))
    both = studio.sample(studio.edit(latent, face.basis), face.sigmas)["samples"]
    for index, error in enumerate([kept_error, edited_error]):
        assert error({"samples": both[index : index + 1]}, face.clean) < 0.05
    (second,) = call("LatentFromBatch", samples=latent, batch_index=1, length=1)
    with refused("had different masks"):  # the two pictures are equal but for these
        studio.edit(second, face.basis)
    clean = studio.encode(studio.picture(6, 8))
    latent, _ = studio.invert(masked(call, clean, masks))
    (second,) = call("LatentFromBatch", samples=latent, batch_index=1, length=1)
    result = studio.sample(studio.edit(second, dataclasses.replace(face.basis, provenance={})), face.sigmas)
    assert edited_error(result, {"samples": clean["samples"][1:]}) < 0.05


def test_one_mask_serves_a_batch_and_films_of_one_frame(call):
    model = tiny_model("qwen")
    studio, clean = Studio(call, model, conditioning_for("qwen")), latent_for(model)
    clean = {"samples": torch.cat([clean["samples"], latent_for(model, seed=5)["samples"]])}
    latent, sigmas = studio.invert(masked(call, clean), steps=3, refine=1)
    (first,) = call("LatentFromBatch", samples=latent, batch_index=0, length=1)
    basis = studio.basis(first, sigmas, rank=1, tolerance=0.4)
    edited = studio.edit(latent, dataclasses.replace(basis, provenance={}))
    change = edited["samples"] - latent["samples"]
    assert change.ndim == 5 and len(change) == 2
    assert change[..., :4].abs().amax(dim=(1, 2, 3, 4)).min() > 1e-3
    assert kept_error(studio.sample(edited, sigmas), clean) < 0.05


def test_masks_that_cannot_be_told_apart_any_more_are_refused(call, studio, face):
    clean = studio.encode(studio.picture(6, 8))
    latent, _ = studio.invert(masked(call, clean, torch.cat([left_half(clean), 1 - left_half(clean)])))
    (changed,) = call("LatentMultiply", samples=latent, multiplier=0.99)
    with refused("had different masks, .* connect a mask"):
        studio.edit(changed, dataclasses.replace(face.basis, provenance={}))
    one, _ = studio.invert(masked(call, face.clean))
    (changed,) = call("LatentMultiply", samples=one, multiplier=0.99)
    change = studio.edit(changed, face.basis)["samples"] - changed["samples"]
    assert change[..., 8:].abs().max() < 1e-3 < 0.1 < change[..., :8].abs().max()


@pytest.mark.parametrize("sampler", ["sample", "sample_advanced"])
def test_the_boost_sampler_keeps_what_the_mask_keeps(call, studio, face, sampler):
    latent, sigmas = studio.invert(masked(call, face.clean))
    edits = studio.edit(latent, face.basis, strengths=3, strength=2.0)
    plain = studio.sample(edits, sigmas, studio.boost())
    clean = {"samples": face.clean["samples"].expand(3, -1, -1, -1)}
    assert kept_error(plain, clean) > 0.05, "there is something to keep"
    for connected in (edits, latent):
        boosted = studio.sample(edits, sigmas, studio.boost(connected))
        assert kept_error(boosted, clean) < 1e-4 and edited_error(boosted, clean) > 0.05


def test_the_boost_sampler_keeps_parts_of_films_and_of_batches(call):
    model = tiny_model("qwen")
    studio = Studio(call, model, conditioning_for("qwen"))
    clean = {"samples": torch.cat([latent_for(model, seed=seed)["samples"] for seed in (2, 5)])}
    latent, sigmas = studio.invert(masked(call, clean), steps=3, refine=1)
    (first,) = call("LatentFromBatch", samples=latent, batch_index=0, length=1)
    basis = dataclasses.replace(studio.basis(first, sigmas, rank=1, tolerance=0.4), provenance={})
    edits = studio.edit(latent, basis, strengths=2)
    result = studio.sample(edits, sigmas, studio.boost(latent))
    assert kept_error(result, {"samples": clean["samples"].repeat_interleave(2, dim=0)}) < 1e-4
    with refused("keeps parts of 2 pictures and got 1; connect the same LATENT"):
        studio.sample(first, sigmas, studio.boost(latent))


def test_the_boost_sampler_does_not_keep_noise(call, studio, face):
    behind = masked(call, face.latent)
    with refused("would keep the noise; set the mask before DDIM Invert"):
        studio.sample(behind, face.sigmas, studio.boost())
    kept = studio.sample(behind, face.sigmas, studio.boost(behind))
    assert kept_error(kept, face.clean) < 1e-4
    with refused("unknown what the picture below it was; connect the LATENT of DDIM Invert"):
        studio.boost(masked(call, {"samples": face.latent["samples"]}))


@pytest.mark.parametrize("mode", ["fast", "full"])
def test_the_sheet_keeps_what_the_mask_keeps(call, studio, face, comfy_host, monkeypatch, mode):
    caught, figures = [], comfy_host.core.figures
    plain = figures.contact_sheet
    monkeypatch.setattr(
        figures,
        "contact_sheet",
        lambda rows, *others, **options: caught.append(rows) or plain(rows, *others, **options),
    )
    latent, sigmas = studio.invert(masked(call, face.clean))
    studio.sheet(latent, sigmas, face.basis, mode=mode, strength=2.0)
    (expected,) = studio.picture(6).movedim(3, 1) * 2 - 1
    for picture in (caught[0][0][1][0], caught[0][0][1][2]):
        assert (picture - expected)[..., 24:].abs().max() < 1e-3
        assert (picture - expected)[..., :24].abs().mean() > 0.01


# What does not belong together.


def users(studio, face, **changed):
    """Each node behind DDIM Invert, with some inputs changed."""
    inputs = {"latent": face.latent, "sigmas": face.sigmas, "basis": face.basis, **changed}
    return {
        "basis": lambda: studio.basis(inputs["latent"], inputs["sigmas"]),
        "explain": lambda: studio.explain(inputs["latent"], inputs["sigmas"]),
        "edit": lambda: studio.edit(inputs["latent"], inputs["basis"]),
        "sheet": lambda: studio.sheet(inputs["latent"], inputs["sigmas"], inputs["basis"]),
    }


@pytest.mark.parametrize("node", ["basis", "explain", "sheet"])
def test_sigmas_of_another_node_are_refused(call, studio, face, node):
    (sigmas,) = call("BasicScheduler", model=studio.model, scheduler="normal", steps=20, denoise=1.0)
    with refused(
        "SIGMAS start at noise level .* latent has level 11.2.; connect the SIGMAS of the DDIM Invert"
    ):
        users(studio, face, sigmas=sigmas)[node]()


@pytest.mark.parametrize("node", ["basis", "explain", "edit", "sheet"])
def test_clean_pictures_are_refused_where_noisy_ones_are_meant(studio, face, node):
    with refused("is a clean picture, .* connect the LATENT of DDIM Invert"):
        users(studio, face, latent=face.clean)[node]()


@pytest.mark.parametrize("node", ["basis", "explain", "edit", "sheet"])
def test_a_sampled_picture_is_clean_though_it_was_noisy(studio, face, node):
    """The sampler's LATENT still has the entries of the noisy one."""
    with refused("is a clean picture"):
        users(studio, face, latent=studio.sample(face.latent, face.sigmas))[node]()


@pytest.mark.parametrize("node", ["edit", "sheet"])
def test_a_basis_of_another_picture_is_refused(studio, face, other, node):
    with refused("The basis is of another picture than the latent; connect a Pullback Basis of this latent"):
        users(studio, face, basis=other.basis)[node]()


@pytest.mark.parametrize("node", ["edit", "sheet"])
def test_a_basis_of_another_level_is_refused(studio, face, node):
    latent, sigmas = studio.invert(face.clean, timestep=0.6)
    with refused("The basis is of noise level 11.2., and the .* 5.37"):
        users(studio, face, latent=latent, sigmas=sigmas)[node]()
    if node == "sheet":  # the SIGMAS say it of a latent of unknown origin too
        with refused("connect the LATENT and the SIGMAS that the basis was computed from"):
            users(studio, face, latent={"samples": latent["samples"]}, sigmas=sigmas)[node]()


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


def test_one_picture_of_a_batch_is_still_known(call, studio, face, other):
    batch, sigmas = studio.invert(studio.encode(studio.picture(6, 8)))
    (first,) = call("LatentFromBatch", samples=batch, batch_index=0, length=1)
    studio.edit(first, studio.basis(first, sigmas))
    with refused("of another picture"):
        studio.edit(first, other.basis)
    (repeated,) = call("RepeatLatentBatch", samples=first, amount=2)
    studio.edit(repeated, face.basis)
    with refused("of another picture"):
        studio.edit(repeated, other.basis)
    with refused("of another picture"):
        studio.edit(batch, face.basis)


def test_a_file_of_another_picture_is_refused(comfy_host, studio, face, other, tmp_path):
    face.basis.save(tmp_path / "face.safetensors")
    loaded = comfy_host.core.PullbackBasis.load(tmp_path / "face.safetensors")
    studio.edit(face.latent, loaded)
    with refused("of another picture"):
        studio.edit(other.latent, loaded)


def test_a_noisy_latent_in_the_place_of_a_clean_one_is_named(call, studio, face):
    options = {"steps": 2, "timestep": 0.5, "refine": 0, "measure": True}
    report = call("PullbackDDIMInvert", **studio.hosted, latent=face.latent, **options)[2]
    assert report.endswith("this latent is noisy already: connect that of VAE Encode")
    assert "already" not in call("PullbackDDIMInvert", **studio.hosted, latent=face.clean, **options)[2]
    assert (
        "already"
        not in call(
            "PullbackDDIMInvert", **studio.hosted, latent=studio.sample(face.latent, face.sigmas), **options
        )[2]
    )


# What belongs together, however it came there.


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
def test_a_basis_of_the_same_picture_is_taken(call, comfy_host, studio, face, change):
    latent, sigmas, basis, used = face.latent, face.sigmas, face.basis, studio
    if change == "eight bits":
        latent, _ = studio.invert(studio.encode((studio.picture(6) * 255).round() / 255))
    elif change == "half":
        latent, _ = studio.invert({"samples": face.clean["samples"].half().float()})
    elif change == "inversion":
        latent, sigmas = studio.invert(face.clean, steps=7, refine=0)
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
        users(used, face, latent=latent, sigmas=sigmas, basis=basis)[node]()


def test_carried_and_global_bases_are_taken(call, studio, face, other):
    (carried, *_) = call(
        "PullbackParallelTransport", source=face.basis, target=other.basis, direction=1, exact=False
    )
    studio.edit(other.latent, carried)
    with refused("of another picture"):
        studio.edit(face.latent, carried)
    mean, _ = call("PullbackGlobalBasis", bases=[face.basis, other.basis], method=["matched"])
    both, _ = studio.invert(studio.encode(studio.picture(6, 8)))
    for latent in (face.latent, other.latent, both):
        studio.edit(latent, mean)
    studio.edit(studio.edit(face.latent, face.basis), face.basis, direction=2)


def test_latents_of_unknown_origin_are_taken(call, studio, face, other):
    """Of nodes that give no other entries on, and of nodes that change the samples."""
    [apart] = call("RebatchLatents", latents=[face.latent], batch_size=[1])
    (changed,) = call("LatentMultiply", samples=face.latent, multiplier=1.01)
    for latent in (apart[0], changed, {"samples": face.latent["samples"]}):
        for use in users(studio, face, latent=latent).values():
            use()
        studio.edit(latent, other.basis)


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


def test_a_basis_says_which_picture_it_belongs_to(call, comfy_host, studio, face, other):
    same = comfy_host.core.models.fingerprint.are_same_picture
    bases, *_ = call(
        "PullbackBasisOverTime",
        **studio.hosted,
        latent=face.clean,
        timesteps="0.5",
        steps=4,
        refine=0,
        **BASIS,
    )
    assert same(bases[0].provenance["picture"], face.basis.provenance["picture"])
    assert not same(face.basis.provenance["picture"], other.basis.provenance["picture"])
