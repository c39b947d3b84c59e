"""The pictures that the commands work on."""

import pytest
import torch
from command_line import save_noise
from PIL import Image

from pullback_core import faces
from pullback_core.cli.sources import Source, load_mask, load_source, load_sources


def test_a_face_is_an_example_face():
    assert torch.equal(load_source(Source(5, None), crop=False), faces.example_faces([5])[0])


@pytest.mark.parametrize(
    "size, crop, shape",
    [((40, 60), False, (72, 48)), ((40, 60), True, (48, 48)), ((60, 40), False, (48, 72))],
)
def test_a_file_gets_the_size_of_the_model(size, crop, shape, tmp_path, capsys):
    save_noise(tmp_path / "mine.png", size)
    image = load_source(Source(3, tmp_path / "mine.png"), crop)
    assert image.shape == (3, *shape) and image.abs().max() <= 1
    assert ("trained on squares" in capsys.readouterr().out) == (not crop)


def test_several_pictures_get_one_shape(tmp_path, capsys):
    save_noise(tmp_path / "portrait.png", (40, 60))
    portrait = Source(3, tmp_path / "portrait.png")
    assert [image.shape[1:] for image in load_sources([portrait, portrait], False)] == [(72, 48)] * 2
    assert "differ in aspect" not in capsys.readouterr().out
    assert [image.shape[1:] for image in load_sources([portrait, Source(3, None)], False)] == [(48, 48)] * 2
    assert "differ in aspect" in capsys.readouterr().out


def test_a_mask_is_white_inside_and_fits_the_picture(tmp_path):
    mask = Image.new("L", (96, 96))
    mask.paste(255, (0, 0, 48, 96))
    mask.save(tmp_path / "mask.png")
    found = load_mask(tmp_path / "mask.png", torch.zeros(3, 48, 48))
    assert torch.equal(found, torch.cat([torch.ones(48, 24), torch.zeros(48, 24)], dim=1))
    assert load_mask(tmp_path / "mask.png", torch.zeros(3, 48, 72)).shape == (48, 72)


@pytest.mark.parametrize("colour, part", [(0, "nothing inside"), (255, "nothing outside")])
def test_a_mask_of_one_colour_is_refused(colour, part, tmp_path):
    Image.new("L", (60, 60), colour).save(tmp_path / "mask.png")
    with pytest.raises(ValueError, match=f"--mask: .*{part}"):
        load_mask(tmp_path / "mask.png", torch.zeros(3, 48, 48))
