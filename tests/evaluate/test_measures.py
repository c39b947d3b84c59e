"""The measures of an edit, on changes and pictures whose values are known."""

import pytest
import torch

from pullback_core import faces
from pullback_core.evaluate import measures


def test_a_change_of_one_attribute_is_concentrated():
    change = torch.tensor([[0.0, -2.0, 0.0], [1.0, 1.0, 2.0]])
    torch.testing.assert_close(measures.concentration(change), torch.tensor([1.0, 0.5]))
    assert measures.distinct_attributes(change) == 2
    assert measures.distinct_attributes(change[:1].repeat(3, 1)) == 1


def test_success_is_the_cosine_of_two_changes():
    wanted = torch.tensor([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]])
    change = torch.tensor([[3.0, 0.0], [0.0, 2.0], [-1.0, 0.0]])
    torch.testing.assert_close(measures.success(change, wanted), torch.tensor([1.0, 0.0, -1.0]))


def test_the_share_inside_a_mask():
    difference = torch.zeros(1, 3, 4, 4)
    difference[:, :, 0], difference[:, :, 3] = 1.0, 1.0
    mask = torch.zeros(4, 4)
    mask[0], mask[3] = 1.0, 0.5
    assert measures.share_inside(difference, mask).item() == pytest.approx(0.75)


def test_colours_and_forms_are_all_attributes():
    assert len(measures.COLOURS) == 9
    assert sorted(measures.COLOURS + measures.FORMS) == list(range(len(faces.NAMES)))


def test_the_regressor_sees_a_smile_and_a_drawing_is_nearer_to_a_face_than_noise():
    regressor = faces.load_regressor()
    parameters = faces.example_parameters([3]).repeat(2, 1)
    smile = faces.NAMES.index("smile")
    parameters[:, smile] = torch.tensor([0.0, 1.0])
    frown, grin = faces.draw_faces(parameters).split(1)
    change = measures.attribute_change(regressor, grin, frown)
    assert change.argmax() == smile and change[0, smile] > 1
    noise = torch.randn(grin.shape, generator=torch.Generator().manual_seed(0)).clamp(-1, 1)
    assert measures.off_face(regressor, grin) < 0.5 * measures.off_face(regressor, noise)
