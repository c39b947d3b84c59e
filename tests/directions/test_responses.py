"""The responses to given vectors."""

import pytest
import torch

from pullback_core import NoisyLatent, faces, feature_jacobian
from pullback_core.directions.responses import responses


@pytest.fixture(scope="module")
def point():
    picture = faces.FacesDenoiser(faces.load_model(), feature="picture")
    sigma = picture.schedule.sigma(0.5)
    x = sigma * torch.randn(1, 27, 16, 16, generator=torch.Generator().manual_seed(0))
    return picture, NoisyLatent(x, torch.tensor([sigma, 0.0]))


def test_responses_are_those_of_the_jacobian(point):
    vectors = 3 * torch.randn(2, 27, 16, 16, generator=torch.Generator().manual_seed(1))
    basis = responses(*point, vectors)
    lengths = vectors.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
    torch.testing.assert_close(basis.v, vectors / lengths)
    expected = feature_jacobian(*point).jvp(vectors) / lengths
    torch.testing.assert_close(basis.picture_changes(), expected, rtol=1e-4, atol=1e-5)
    assert basis.kind == "given" and basis.products == 2
    torch.testing.assert_close(basis.u.flatten(1).norm(dim=1), torch.ones(2))


@pytest.mark.parametrize("vectors", [torch.zeros(1, 27, 16, 16), torch.full((1, 27, 16, 16), torch.inf)])
def test_vectors_without_a_direction_are_refused(point, vectors):
    with pytest.raises(ValueError, match="zero or not finite"):
        responses(*point, vectors)


def test_vectors_of_another_shape_are_refused(point):
    with pytest.raises(ValueError, match=r"Vectors of the shape \(k, 27, 16, 16\) are needed"):
        responses(*point, torch.ones(27, 16, 16))
