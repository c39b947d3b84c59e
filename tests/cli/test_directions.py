"""The options of directions, and the basis that they ask for."""

import pytest
import torch
from command_line import SHORT, ids_of, strict_json
from PIL import Image

from pullback_core import PullbackBasis, faces
from pullback_core.cli.main import main

COMMANDS = [["edit"], ["over-time", "--timesteps", "0.5"]]


def basis_of(arguments, folder):
    """The only basis that a command saves."""
    assert main([*arguments, "--out", str(folder)]) == 0
    [file] = folder.glob("*.safetensors")
    return PullbackBasis.load(file)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("feature, shape", [("picture", (27, 16, 16)), ("input_3", (96, 8, 8))])
def test_a_basis_is_of_the_feature_that_is_named(command, feature, shape, tmp_path):
    basis = basis_of([*command, *SHORT, "--feature", feature], tmp_path)
    assert basis.provenance["feature"] == feature and basis.u.shape == (1, *shape)
    assert basis.kind == "rotated" and (basis.pictures is None) == (feature == "picture")


@pytest.mark.parametrize("command", COMMANDS)
def test_directions_are_turned_unless_they_shall_not_be(command, tmp_path):
    rank = ["--rank", "3"]
    turned = basis_of([*command, *SHORT, *rank], tmp_path / "turned")
    plain = basis_of([*command, *SHORT, *rank, "--no-rotate"], tmp_path / "plain")
    assert (turned.kind, plain.kind) == ("rotated", "singular")
    assert (turned.v.flatten(1) @ plain.v.flatten(1).T).norm(dim=1).tolist() == pytest.approx([1, 1, 1])
    assert (turned.v - plain.v).norm() > 0.1


def test_an_average_is_over_several_noises(tmp_path):
    basis = basis_of(["edit", *SHORT, "--average", "2", "--no-rotate"], tmp_path)
    assert basis.kind == "averaged" and basis.provenance["mean"] == "2 latents"


def test_a_mask_gives_directions_that_change_what_is_inside(tmp_path, capsys):
    mask = Image.new("L", (48, 48))
    mask.paste(255, (0, 33, 48, 48))  # the shirt
    mask.save(tmp_path / "mask.png")
    quick = ["--steps", "8", "--refine", "2", "--rank", "4"]
    basis = basis_of(["edit", *quick, "--mask", str(tmp_path / "mask.png")], tmp_path / "out")
    shares = strict_json(tmp_path / "out" / "report.json")["share_inside"]
    assert basis.kind == "masked" and len(shares) == basis.rank
    assert max(shares) > 0.8 and "lies inside the mask" in capsys.readouterr().out
    energy = faces.decode_latent(basis.u).square().sum(dim=1)
    inside = energy[:, 33:].sum(dim=(1, 2)) / energy.sum(dim=(1, 2))
    torch.testing.assert_close(inside, torch.tensor(shares), atol=2e-3, rtol=0)


def test_words_give_one_direction_that_leaves_other_words_alone(tmp_path, capsys):
    quick = ["--steps", "8", "--refine", "2", "--rank", "4"]
    command = ["edit", *quick, "--toward", "smiling"]
    plain = basis_of(command, tmp_path / "plain")
    kept = basis_of([*command, "--keep", "open mouth"], tmp_path / "kept")
    assert plain.kind == "word" and plain.names == kept.names == ["smiling"] and plain.rank == 1
    assert "of what the words 'smiling' change" in capsys.readouterr().out
    reports = [strict_json(tmp_path / name / "report.json") for name in ("plain", "kept")]
    assert all(0 < report["share_explained"] <= 1 for report in reports)
    plain_change, kept_change = (report["directions"][0]["attribute_change"] for report in reports)
    assert plain_change["smile"] > 0.5 and kept_change["smile"] > 0.3
    assert abs(kept_change["mouth_open"]) < abs(plain_change["mouth_open"])


def test_rotated_directions_are_named_after_words(tmp_path):
    basis = basis_of(["edit", "--steps", "8", "--refine", "2"], tmp_path)
    directions = strict_json(tmp_path / "report.json")["directions"]
    assert len(basis.names) == 16 and any(basis.names)
    assert [one["name"] for one in directions] == basis.names[:8]


BAD = [
    (["--toward", "smileing"], "'smiling'"),
    (["--toward", ""], "--toward and --keep take words"),
    (["--keep", "glasses"], "add --toward"),
    (["--toward", "hat", "--keep", "hat"], "choose other words"),
    (["--toward", "hat", "--feature", "middle"], "not in --feature 'middle'"),
    (["--toward", "hat", "--rotate"], "--rotate and --toward exclude each other"),
    (["--mask", "nowhere.png"], "nowhere.png"),
    (["--mask", "broken.png"], "broken.png"),
    (["--mask", ""], "--mask"),
    (["--mask", "whole.png", "--rotate"], "exclude each other"),
]


@pytest.mark.parametrize("arguments, part", BAD, ids=ids_of(BAD))
def test_bad_choices_get_one_sentence_and_exit_code_2(arguments, part, refuse):
    refuse(["edit", *arguments], part)


@pytest.mark.parametrize("command", ["edit", "over-time"])
def test_a_feature_that_is_not_there_is_refused(command, refuse):
    refuse([command, "--feature", "nose"], "choose picture or one of")
