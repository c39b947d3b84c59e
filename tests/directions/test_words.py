"""Directions of words: of a basis whose responses are known, and of the bundled model."""

import pytest
import torch

from pullback_core import NoisyLatent, PullbackBasis, faces, feature_jacobian, local_basis
from pullback_core.directions.responses import responses
from pullback_core.directions.shifts import strongest_part, where_it_shows
from pullback_core.directions.words import (
    TIMES,
    listening_points,
    predicted_mean,
    word_direction,
    word_shift,
)

RANK, SHAPE = 4, (2, 3, 4)


def rows(seed, count=RANK):
    generator = torch.Generator().manual_seed(seed)
    matrix = torch.randn(24, 24, generator=generator, dtype=torch.float64)
    return torch.linalg.qr(matrix)[0].T.reshape(24, *SHAPE)[:count]


def basis(**changes):
    options = {
        "products": 9,
        "converged": True,
        "sigma": 1.0,
        "timestep": 0.5,
        "provenance": {"feature": "picture"},
        **changes,
    }
    s = torch.tensor([4.0, 3.0, 2.0, 1.0], dtype=torch.float64)
    return PullbackBasis(v=rows(0), s=s, u=rows(1), residuals=torch.zeros(RANK), **options)


def cosine(one, other):
    return torch.cosine_similarity(one.flatten(), other.flatten(), dim=0).item()


@pytest.fixture(scope="module")
def face():
    """The bundled model without a prompt, one face at 0.5 T, and a basis of its picture."""
    model = faces.load_model()
    picture = faces.FacesDenoiser(model, feature="picture")
    x0 = faces.encode_image(faces.example_faces([3]))
    sigma = picture.schedule.sigma(0.5)
    noise = torch.randn(x0.shape, generator=torch.Generator().manual_seed(0))
    noisy = NoisyLatent(x0 + sigma * noise, torch.tensor([sigma, 0.0]))
    return model, picture, x0, noisy, local_basis(picture, noisy, 6, tolerance=0.1, keep_space=True)


def test_the_direction_makes_the_shift_by_a_short_move():
    shift = 2 * rows(1)[0] - rows(1)[3]
    found = word_direction(basis(), shift, name="smiling")
    assert cosine(found.basis.u[0], shift) > 0.99 and found.explained == pytest.approx(1)
    assert found.basis.kind == "word" and found.basis.names == ["smiling"] and found.basis.rank == 1
    exact = 2 / 4 * rows(0)[0] - rows(0)[3]
    assert cosine(found.basis.v[0], exact) > 0.99
    assert found.basis.s[0] > shift.norm() / exact.norm(), "the same change takes a shorter move"


def test_the_response_to_the_shift_is_the_direction_itself():
    own = basis(kind="given").select([2])
    found = word_direction(basis(), rows(1)[0] + rows(1)[2], own=own, name="old")
    torch.testing.assert_close((found.basis.v, found.basis.u, found.basis.s), (own.v, own.u, own.s))
    assert found.basis.kind == "word" and found.basis.products == 18


def test_the_share_that_the_basis_explains():
    outside = rows(1, 10)[RANK]  # orthogonal to all u
    shift = 3 * rows(1)[0] + 4 * outside
    assert word_direction(basis(), shift).explained == pytest.approx(9 / 25)


def test_the_share_does_not_need_orthogonal_directions():
    shift = rows(1)[0] + rows(1)[1]
    skewed = torch.stack([rows(1)[0], (rows(1)[0] + 0.1 * rows(1)[1]) / 1.01**0.5, *rows(1)[2:]])
    found = word_direction(PullbackBasis(**{**vars(basis(kind="given")), "u": skewed}), shift)
    assert found.explained == pytest.approx(1)


def test_kept_words_do_not_change():
    smile, hat = rows(1)[0] + rows(1)[1], rows(1)[0] + rows(1)[3]
    free, kept = (word_direction(basis(), smile, keep).basis for keep in ((), (hat,)))
    assert cosine(free.u[0], hat) > 0.4 and abs(cosine(kept.u[0], hat)) < 1e-9
    assert cosine(kept.u[0], smile) > 0.7


def test_kept_words_are_taken_out_of_the_shift_itself():
    outside = rows(1, 10)[RANK]  # orthogonal to all u
    v = (rows(0)[0] + rows(0, 10)[RANK]) / 2**0.5
    own = PullbackBasis(**{**vars(basis(kind="given").select([0])), "v": v[None]})
    kept = word_direction(basis(), rows(1)[0] + outside, [rows(1)[0] + rows(1)[1]], own=own).basis
    assert abs(cosine(kept.u[0], rows(1)[0] + rows(1)[1])) < 1e-9
    assert cosine(kept.v[0], v) > 0.6


def test_a_word_that_is_kept_leaves_nothing():
    with pytest.raises(ValueError, match="Nothing is left of the word"):
        word_direction(basis(), rows(1)[0], [rows(1)[0]])


@pytest.mark.parametrize("changes", [{"sigma": 2.0}, {"provenance": {"feature": "middle"}}])
def test_a_response_of_another_place_is_refused(changes):
    with pytest.raises(
        ValueError, match=r"The bases differ in their feature|The response to the word must be"
    ):
        word_direction(basis(), rows(1)[0], own=basis(**changes).select([0]))


def test_the_strongest_part_of_a_shift():
    shift = torch.zeros(2, 2, 2)
    shift[:, 0, 0] = torch.tensor([3.0, 4.0])  # of size 5
    shift[0, 0, 1], shift[1, 1, 1] = 2.0, 1.0
    part = strongest_part(shift, 0.3)
    expected = torch.zeros(2, 2, 2)
    expected[:, 0, 0], expected[0, 0, 1] = 0.7 * shift[:, 0, 0], 0.5
    torch.testing.assert_close(part, expected)
    torch.testing.assert_close(strongest_part(shift, 0.0), shift)


def test_a_basis_of_the_bottleneck_finds_words_by_its_pictures():
    hidden = basis(provenance={"feature": "middle"}, pictures=2 * rows(3))
    found = word_direction(hidden, rows(3)[1]).basis
    assert cosine(found.v[0], rows(0)[1]) > 1 - 1e-9
    assert found.provenance["feature"] == "picture" and found.s[0] == pytest.approx(2)
    with pytest.raises(ValueError, match="does not know what its directions do"):
        word_direction(basis(provenance={"feature": "middle"}), rows(3)[1])


def test_a_mask_of_where_a_word_shows():
    shift = torch.zeros(2, 2, 2)
    shift[:, 0, 0] = torch.tensor([3.0, 4.0])  # of size 5
    shift[0, 0, 1], shift[1, 1, 1], shift[0, 1, 0] = 1.75, 1.0, -2.5
    torch.testing.assert_close(where_it_shows(shift), torch.tensor([[1.0, 0.5], [1.0, 0.0]]))


@pytest.mark.parametrize("shift", [torch.zeros(SHAPE), torch.full(SHAPE, torch.nan)])
def test_shifts_that_are_none_are_refused(shift):
    with pytest.raises(ValueError, match="changes nothing"):
        word_direction(basis(), shift)
    with pytest.raises(ValueError, match="changes nothing"):
        word_direction(basis(), rows(1)[0], [shift])
    with pytest.raises(ValueError, match="changes nothing"):
        strongest_part(shift)
    with pytest.raises(ValueError, match="changes nothing"):
        where_it_shows(shift)


def test_shifts_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"has the shape of the latent, \(2, 3, 4\), got \(3, 4\)"):
        word_direction(basis(), torch.ones(3, 4))


def test_listening_points_are_the_latent_and_the_picture_under_more_noise(face):
    _, picture, x0, noisy, _ = face
    points = listening_points(x0, picture.schedule, noisy, seed=5)
    assert points[0].noisy is noisy and points[0].weight == pytest.approx(sum(p.weight for p in points[1:]))
    others = [point.noisy for point in points[1:]]
    assert [other.sigma for other in others] == pytest.approx([picture.schedule.sigma(t) for t in TIMES])
    noises = [(other.x - x0) / other.sigma for other in others]
    for noise in noises:
        assert noise.std() == pytest.approx(1, abs=0.05)
    assert abs(cosine(noises[0], noises[1])) < 0.1
    again = listening_points(x0[0], picture.schedule, seed=5)
    assert torch.equal(again[0].noisy.x, others[0].x) and len(again) == len(others)


def test_several_pictures_are_refused(face):
    with pytest.raises(ValueError, match="listens at one picture"):
        listening_points(face[2].expand(2, -1, -1, -1), face[1].schedule)
    with pytest.raises(ValueError, match="listens at one noisy latent"):
        listening_points(face[2], face[1].schedule, face[3].with_x(face[3].x[:, :3]))


def test_the_shift_is_the_mean_difference_of_two_predictions(face):
    model, picture, x0, noisy, _ = face
    word = faces.FacesDenoiser(model, "glasses")
    points = listening_points(x0, picture.schedule, noisy)
    shift = word_shift(picture, word, points)
    with torch.no_grad():
        parts = []
        for point, weight in points:
            change = word.denoise(point.x, point.sigma) - picture.denoise(point.x, point.sigma)
            parts.append(weight * change[0])
    torch.testing.assert_close(shift, sum(parts) / 2, rtol=1e-3, atol=1e-4)
    other_way = word_shift(word, picture, points)
    torch.testing.assert_close(other_way, -shift)
    torch.testing.assert_close(predicted_mean(word, points) - predicted_mean(picture, points), shift)
    torch.testing.assert_close(word_shift(picture, word, noisy), 2 * parts[0] / 2, rtol=1e-3, atol=1e-4)


def test_a_word_that_changes_nothing_is_refused(face):
    with pytest.raises(ValueError, match="changes nothing"):
        word_shift(face[1], face[1], face[3])


def test_denoisers_of_two_models_are_refused(face):
    other = faces.FacesDenoiser(face[0])
    other.provenance = {**other.provenance, "model": "another"}
    with pytest.raises(ValueError, match="one model with two prompts"):
        word_shift(face[1], other, face[3])


def test_the_direction_of_a_word_does_what_it_says(face):
    """Its response is that of the model itself, and it goes towards the word."""
    model, picture, x0, noisy, directions = face
    points = listening_points(x0, picture.schedule, noisy)
    shift = word_shift(picture, faces.FacesDenoiser(model, "green background"), points)
    own = responses(picture, noisy, strongest_part(shift)[None])
    for found in (word_direction(directions, shift, own=own), word_direction(directions, shift)):
        changed = feature_jacobian(picture, noisy).jvp(found.basis.v)[0]
        torch.testing.assert_close(found.basis.s[0] * found.basis.u[0], changed, rtol=1e-2, atol=1e-3)
        assert cosine(changed, shift) > 0.5 and 0.2 < found.explained < 1
