"""The README's first example, on models of the host: the same lines, with another denoiser and another x0."""

import re
from types import SimpleNamespace

import pytest
import torch
from tiny_models import conditioning_for, latent_for, tiny_model


@pytest.mark.parametrize("kind", ["sd1", "flux"])
def test_the_lines_of_the_readme_serve_the_host(comfy_host, within, with_noise, readme_blocks, kind):
    model, core = tiny_model(kind), comfy_host.core
    lines = "\n".join(re.findall(r"^(?:noisy|basis|edited|image) = .*", readme_blocks[0], re.MULTILINE))
    assert lines.count("\n") == 3

    def work(denoiser, x0):
        of_picture = denoiser.with_feature("picture")
        checked = comfy_host.adapter.check_derivatives(of_picture, with_noise(denoiser, x0))
        made = {"denoiser": checked, "x0": x0, "faces": SimpleNamespace(decode_latent=torch.clone)}
        made |= {name: getattr(core, name) for name in ("ddim", "edit_by", "local_basis", "rotated_basis")}
        exec(compile(lines, "README.md", "exec"), made)
        return made

    made = within(model, conditioning_for(kind), latent_for(model), work)
    assert made["image"].shape == made["x0"].shape and made["image"].isfinite().all()
    assert made["basis"].kind == "rotated" and 0 < made["basis"].rank <= 16
