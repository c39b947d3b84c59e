"""The bundled model in ComfyUI: its threads, pictures of other sizes, and plots without matplotlib."""

import sys

import comfy.model_management
import pytest
import torch
from node_calls import sample_custom

BASIS = {"rank": 2, "tolerance": 0.1, "seed": 0, "feature": "middle", "precision": "as the model"}
SHEET = {
    "mode": "fast",
    "direction": 1,
    "directions": 2,
    "strengths": 3,
    "strength": 1.0,
    "steps": 2,
    "cell": 64,
}


@pytest.fixture(scope="module")
def model_and_vae(call):
    return call("PullbackLoadFacesModel")[:2]


@pytest.fixture(scope="module")
def words(call):
    return call("PullbackFacesPrompt", text="")[0]


@pytest.fixture
def two_threads(comfy_host, monkeypatch):
    """Two threads of torch, not set in the environment."""
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def picture(height, width):
    """A picture (1, h, w, 3) of smooth colours."""
    rows, columns = torch.linspace(0, 1, height)[:, None], torch.linspace(0, 1, width)
    return torch.stack([rows.expand(height, width), columns.expand(height, width), rows * columns], dim=-1)[
        None
    ]


def encoded(call, vae, height, width):
    return call("VAEEncode", pixels=picture(height, width), vae=vae)[0]


def invert(call, model, words, latent, steps, measure=False):
    """A noisy latent, the way back, and the report."""
    options = {"steps": steps, "timestep": 0.5, "refine": 1, "measure": measure}
    return call("PullbackDDIMInvert", model=model, conditioning=words, latent=latent, **options)


def watch_threads(monkeypatch, model):
    """The numbers of threads in which the network is evaluated from here on."""
    seen, network = [], model.model.diffusion_model
    plain = network.forward
    monkeypatch.setattr(
        network,
        "forward",
        lambda *given, **named: seen.append(torch.get_num_threads()) or plain(*given, **named),
    )
    return seen


def test_every_sampling_computes_in_one_thread(call, model_and_vae, words, two_threads, monkeypatch):
    model, vae = model_and_vae
    clean = encoded(call, vae, 48, 48)
    seen = watch_threads(monkeypatch, model)
    call(
        "KSampler",
        model=model,
        seed=0,
        steps=2,
        cfg=2.0,
        sampler_name="euler",
        scheduler="normal",
        positive=words,
        negative=words,
        latent_image=clean,
        denoise=1.0,
    )
    assert seen and set(seen) == {1} and torch.get_num_threads() == 2
    seen.clear()
    latent, sigmas, _ = invert(call, model, words, clean, steps=2, measure=True)
    call("PullbackBasis", model=model, conditioning=words, latent=latent, sigmas=sigmas, **BASIS)
    assert seen and set(seen) == {1} and torch.get_num_threads() == 2


@pytest.mark.parametrize("error", [ValueError, comfy.model_management.InterruptProcessingException])
def test_the_number_of_threads_is_restored_after_an_error(model_and_vae, words, within, two_threads, error):
    model, _ = model_and_vae

    def fail(denoiser, x):
        assert torch.get_num_threads() == 1
        raise error

    with pytest.raises(error):
        within(model, words, {"samples": torch.ones(1, 27, 16, 16)}, fail)
    assert torch.get_num_threads() == 2


def test_a_number_of_threads_that_the_user_has_set_is_obeyed(
    model_and_vae, words, within, two_threads, monkeypatch
):
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    found = within(
        model_and_vae[0],
        words,
        {"samples": torch.ones(1, 27, 16, 16)},
        lambda denoiser, x: torch.get_num_threads(),
    )
    assert found == 2


@pytest.mark.parametrize(
    "height, width, times",
    [
        (255, 255, "28"),
        (240, 96, "10"),
        (24, 48, ""),
        (48, 48, None),
        (72, 48, None),
        (48, 384, None),
    ],
)
def test_a_size_that_the_model_does_not_know_is_told_before_the_work(
    call, comfy_host, model_and_vae, words, height, width, times, caplog, monkeypatch
):
    model, _ = model_and_vae
    latent = {"samples": torch.ones(1, 27, height // 3, width // 3)}
    core = comfy_host.core
    monkeypatch.setattr(core.ddim, "invert", lambda denoiser, x0, sigmas, **_: core.NoisyLatent(x0, sigmas))
    monkeypatch.setattr(core.ddim, "generate", lambda denoiser, noisy, **_: noisy.x)
    *_, report = invert(call, model, words, latent, steps=2)
    told = [record.getMessage() for record in caplog.records if "knows pictures" in record.getMessage()]
    assert len(told) == (times is not None) and ("knows pictures" in report) == (times is not None)
    if told:
        assert (
            "48 x 48 pixels" in told[0]
            and f"{width} x {height}" in told[0]
            and "Scale it" in told[0]
            and told[0] in report
        )
        assert (f"about {times} times as long" in told[0]) if times else "times as long" not in told[0]


@pytest.mark.parametrize("height, width", [(72, 48), (48, 96), (39, 51)])
def test_pictures_of_every_aspect_are_edited_and_shown_whole(
    call, comfy_host, model_and_vae, words, height, width
):
    model, vae = model_and_vae
    clean = encoded(call, vae, height, width)
    latent, sigmas, _ = invert(call, model, words, clean, steps=3)
    (basis,) = call("PullbackBasis", model=model, conditioning=words, latent=latent, sigmas=sigmas, **BASIS)
    sheet, _, maps = call(
        "PullbackBasisVisualizer",
        basis=basis,
        model=model,
        conditioning=words,
        vae=vae,
        latent=latent,
        sigmas=sigmas,
        **SHEET,
    )
    cell_height = round(64 * height / width)
    assert sheet.shape[1] > 2 * cell_height and maps.shape[1:3] == (round(128 * height / width), 128)
    (edited,) = call(
        "PullbackGuidanceEdit",
        model=model,
        conditioning=words,
        latent=latent,
        basis=basis,
        direction=1,
        strength=0.5,
        steps=2,
        strengths=1,
        directions=1,
    )
    _, done = sample_custom(
        call, model, words, edited, sigmas, call("KSamplerSelect", sampler_name="euler")[0]
    )
    assert vae.decode(done["samples"]).shape == (1, height, width, 3)


def test_the_sheet_needs_no_matplotlib_and_plots_say_what_to_install(
    call, comfy_host, model_and_vae, words, monkeypatch, caplog
):
    model, vae = model_and_vae
    clean = encoded(call, vae, 48, 48)
    latent, sigmas, _ = invert(call, model, words, clean, steps=2)
    (basis,) = call("PullbackBasis", model=model, conditioning=words, latent=latent, sigmas=sigmas, **BASIS)
    inputs = {
        "basis": basis,
        "model": model,
        "conditioning": words,
        "vae": vae,
        "latent": latent,
        "sigmas": sigmas,
        **SHEET,
    }
    with_plot = call("PullbackBasisVisualizer", **inputs)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    without = call("PullbackBasisVisualizer", **inputs)
    assert torch.equal(without[0], with_plot[0]) and torch.equal(without[2], with_plot[2])
    assert without[1].shape == with_plot[1].shape and not torch.equal(without[1], with_plot[1])
    assert any("pip install matplotlib" in record.getMessage() for record in caplog.records)
    *_, distance, summary = call("PullbackBasisCompare", bases=[basis, basis], space=["features"])
    assert distance == pytest.approx(0, abs=1e-3) and "effective rank" in summary
    report, *_ = call(
        "PullbackExplainFeatures",
        model=model,
        conditioning=words,
        latent=latent,
        sigmas=sigmas,
        features="middle",
        rank=1,
        precision="as the model",
    )
    assert "middle" in report


def test_its_own_wrapper_is_no_memory_of_noise_levels(comfy_host, model_and_vae):
    """Otherwise each word that the model hears would cost another sampling along the whole way."""
    objects = comfy_host.adapter.level_memory.objects
    model, _ = model_and_vae
    assert model.wrappers
    assert objects.independent_groups(objects.sampling_objects(model, {}, [])[1], []) == []
