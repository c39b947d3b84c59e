"""Calls of the pack's nodes, and of the stock nodes around them, as a workflow connects them."""

from contextlib import contextmanager
from types import SimpleNamespace

import comfy.samplers
import pytest
import torch
from tiny_models import latent_for

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


def sample_custom(call, model, conditioning, latent, sigmas, sampler=None):
    """Sample a noisy LATENT by the stock node, without guidance, and return its outputs. Euler by default."""
    return call(
        "SamplerCustom",
        model=model,
        add_noise=False,
        noise_seed=0,
        cfg=1.0,
        positive=conditioning,
        negative=conditioning,
        sampler=sampler or comfy.samplers.sampler_object("euler"),
        sigmas=sigmas,
        latent_image=latent,
    )


def tiny_noisy(call, model, conditioning, timestep=0.5):
    """A noisy LATENT of a tiny model and its SIGMAS, with the model and the conditioning: inputs of nodes."""
    hosted = {"model": model, "conditioning": conditioning}
    latent, sigmas, _ = call(
        "PullbackDDIMInvert",
        **hosted,
        latent=latent_for(model),
        steps=2,
        timestep=timestep,
        refine=0,
        measure=False,
    )
    return {**hosted, "latent": latent, "sigmas": sigmas}


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


def apply_direction(call, inputs, **options):
    """The edited LATENT and the report."""
    few = {"steps": 2, "refine": 0, "rank": 2, "tolerance": 0.1, "seed": 0, "precision": "as the model"}
    options = {"direction": 1, "strength": 1.0, "least": 0.0, **few, **options}
    return call("PullbackApplyDirection", **inputs, **options)


def compare(call, bases, space="features", **others):
    """A node that takes lists gets its widgets as lists too."""
    return call("PullbackBasisCompare", bases=bases, space=[space], **others)


def sample(call, case, latent, sampler=None):
    """The way back, by a stock sampler."""
    return sample_custom(call, case.model, case.conditioning, latent, case.sigmas, sampler)[0]["samples"]


def equal_bases(one, other):
    return all(torch.equal(getattr(one, name), getattr(other, name)) for name in ("v", "s", "u", "residuals"))


def samples_of(comfy_host, face, x):
    return comfy_host.adapter.clean_latent(face.model, x)["samples"]


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
        "PullbackBoard": lambda: call(
            "PullbackBoard",
            **hosted,
            sigmas=sigmas,
            basis=changed.get("basis", tiny.of_picture),
            vae=None,
            words="",
            state="",
        ),
        "PullbackBasisOverTime": lambda: over_time(call, SimpleNamespace(**hosted), hosted["latent"]),
        "PullbackApplyDirection": lambda: apply_direction(call, {**hosted, "basis": basis}),
    }


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
        options = {"steps": 10, "timestep": 0.7, "refine": 2, "measure": False, **options}
        return self.call("PullbackDDIMInvert", **self.hosted, latent=latent, **options)[:2]

    def basis(self, latent, sigmas, **options):
        return self.call(
            "PullbackBasis",
            **{**self.hosted, "latent": latent, "sigmas": sigmas, "rank": 2, **BASIS_OPTIONS, **options},
        )[0]

    def edit(self, latent, basis, **options):
        return self.call(
            "PullbackGuidanceEdit",
            **{**self.hosted, "latent": latent, "basis": basis, **EDIT_OPTIONS, "steps": 8, **options},
        )[0]

    def sheet(self, latent, sigmas, basis, **options):
        inputs = {
            **self.hosted,
            "vae": self.vae,
            "latent": latent,
            "sigmas": sigmas,
            "basis": basis,
            **SHEET_OPTIONS,
            "directions": 1,
            "steps": 8,
            **options,
        }
        return self.call("PullbackBasisVisualizer", **inputs)[0]

    def explain(self, latent, sigmas):
        inputs = {**self.hosted, "latent": latent, "sigmas": sigmas}
        return self.call(
            "PullbackExplainFeatures", **inputs, features="middle", rank=1, precision="as the model"
        )

    def sample(self, latent, sigmas, sampler=None):
        return sample_custom(self.call, self.model, self.conditioning, latent, sigmas, sampler)[0]

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
