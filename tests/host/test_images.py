"""IMAGE of ComfyUI and the pictures of the core hold the same pixels."""

import pytest
import torch
from PIL import Image
from tiny_families import draw
from tiny_models import tiny_model


def test_an_image_becomes_pictures_of_the_core_and_comes_back(comfy_host):
    host = comfy_host.adapter
    image = torch.rand(2, 4, 6, 3, generator=torch.Generator().manual_seed(0))
    pictures = host.image_to_core(image)
    assert len(pictures) == 2 and pictures[0].shape == (3, 4, 6)
    assert torch.equal(pictures[1][2], image[1, ..., 2] * 2 - 1)
    torch.testing.assert_close(host.core_to_image(torch.stack(pictures)), image)


def test_transparency_is_left_out_and_films_are_rows_of_pictures(comfy_host):
    image_to_core = comfy_host.adapter.image_to_core
    assert image_to_core(torch.ones(1, 4, 6, 4))[0].shape == (3, 4, 6)
    assert len(image_to_core(torch.ones(2, 3, 4, 6, 3))) == 6


def test_colours_outside_the_range_are_cut_off(comfy_host):
    image = comfy_host.adapter.core_to_image(torch.tensor([-2.0, 0.0, 3.0]).view(1, 3, 1, 1))
    assert image.flatten().tolist() == [0.0, 0.5, 1.0]


def test_pillow_pictures_become_an_image(comfy_host):
    image = comfy_host.adapter.pil_to_image([Image.new("L", (6, 4), 51), Image.new("RGB", (6, 4), "red")])
    assert image.shape == (2, 4, 6, 3)
    assert image[0].unique().tolist() == pytest.approx([0.2]) and image[1, 0, 0].tolist() == [1, 0, 0]


@pytest.mark.parametrize("kind", ["sd1", "flux", "qwen"])
def test_a_direction_is_grey_where_it_is_zero(comfy_host, kind):
    model = tiny_model(kind)
    direction = draw(model.get_model_object("latent_format").latent_channels, 4, 6, seed=1)
    direction[:, :, :3] = 0
    preview = comfy_host.adapter.direction_preview(model, direction)
    assert preview.shape == (3, 4, 6)
    assert not preview[:, :, :3].any() and preview[:, :, 3:].abs().max() > 0.1
    torch.testing.assert_close(comfy_host.adapter.direction_preview(model, -direction), -preview)


def test_a_direction_of_another_number_of_channels_shows_the_mean_of_its_channels(comfy_host):
    direction = draw(7, 4, 6, seed=1)
    preview = comfy_host.adapter.direction_preview(tiny_model("sd1"), direction)
    assert torch.equal(preview[0], preview[1]) and torch.equal(preview[0], preview[2])
