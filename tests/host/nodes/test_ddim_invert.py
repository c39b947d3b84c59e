"""DDIM Invert: the core's inversion, its report and its previews."""

import re

import comfy.cli_args
import comfy.utils
import latent_preview
import pytest
import torch
from node_calls import invert, sample
from tiny_models import tiny_latent


def test_ddim_invert_gives_the_cores_noisy_latent(comfy_host, face, alone):
    torch.testing.assert_close(face.sigmas, alone.noisy.sigmas)
    expected = comfy_host.adapter.noisy_latent(face.model, alone.noisy)["samples"]
    torch.testing.assert_close(face.latent["samples"], expected, rtol=1e-4, atol=1e-3)


def test_the_report_of_ddim_invert_is_the_measured_error(comfy_host, face, alone):
    back = comfy_host.core.ddim.generate(alone.denoiser, alone.noisy)
    error = comfy_host.core.ddim.relative_error(back, alone.x0)
    assert face.report.startswith(f"recovered {100 - 100 * error:.1f}%: ")


def test_a_stock_sampler_returns_to_the_picture(call, face):
    back = sample(call, face, face.latent)
    assert ((back - face.clean["samples"]).norm() / face.clean["samples"].norm()).item() == pytest.approx(
        1 - float(re.match(r"recovered ([\d.]+)%", face.report)[1]) / 100, rel=0.1
    )


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


def test_a_batch_is_inverted_picture_by_picture(call, tiny):
    batch = tiny_latent(3)
    together = invert(call, tiny, batch)[0]["samples"]
    apart = torch.cat([invert(call, tiny, {"samples": one[None]})[0]["samples"] for one in batch["samples"]])
    torch.testing.assert_close(together, apart, rtol=1e-4, atol=1e-3)


def test_an_empty_latent_is_inverted_to_something_finite(call, tiny):
    latent, _, _ = invert(call, tiny, {"samples": torch.zeros(1, 4, 8, 8)})
    assert torch.isfinite(latent["samples"]).all()


def test_the_round_trip_of_an_empty_latent_is_not_reported_as_infinite(call, tiny):
    _, _, report = invert(call, tiny, {"samples": torch.zeros(1, 4, 8, 8)}, measure=True)
    assert "inf" not in report and "nan" not in report
