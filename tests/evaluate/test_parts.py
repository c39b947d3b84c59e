"""The masks of parts of a face, against the drawing."""

import pytest
import torch

from pullback_core import faces
from pullback_core.evaluate.parts import PARTS, part_mask


def changed_by(name, values, face=3):
    """Where a drawing changes with one parameter, (48, 48) bool; and the parameters."""
    parameters = faces.example_parameters([face]).repeat(len(values), 1)
    parameters[:, faces.NAMES.index(name)] = torch.tensor(values)
    drawings = faces.draw_faces(parameters)
    return (drawings[0] - drawings[1]).abs().amax(dim=0) > 0.05, parameters[0]


@pytest.mark.parametrize(
    "part, name", [("mouth", "smile"), ("mouth", "mouth_open"), ("eyes", "eye_size"), ("shirt", "shirt_red")]
)
def test_a_mask_holds_what_the_part_changes_and_little_more(part, name):
    changed, parameters = changed_by(name, [0.3, 0.7], face=0)
    mask = part_mask(parameters, part)
    assert mask.shape == (48, 48) and mask.min() == 0 and mask.max() == 1
    assert mask[changed].min() == 1
    assert mask.mean() < 0.15


def test_the_parts_of_a_face_are_apart_and_a_bald_head_has_no_hair_mask_at_its_crown():
    _, parameters = changed_by("smile", [0.5, 0.5], face=0)
    mouth, eyes, shirt = (part_mask(parameters, part) for part in ("mouth", "eyes", "shirt"))
    assert (mouth * eyes).mean() < 0.003 and not (mouth * shirt).any()
    hair = part_mask(parameters, "hair")
    bald = parameters.clone()
    bald[faces.NAMES.index("hair_length")] = 0.0
    assert hair[6:12, 20:28].mean() > 0.9 and not part_mask(bald, "hair")[6:12, 20:28].any()


def test_an_unknown_part_is_refused():
    assert list(PARTS) == ["mouth", "eyes", "hair", "shirt"]
    with pytest.raises(ValueError, match="choose one of mouth, eyes, hair, shirt"):
        part_mask(torch.zeros(22), "nose")
