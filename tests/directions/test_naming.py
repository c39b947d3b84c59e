"""Names of directions: of a basis whose directions are known, and of the bundled model's."""

import pytest
import torch

from pullback_core import NoisyLatent, PullbackBasis, faces, local_basis
from pullback_core.directions.naming import named_basis, word_cosines
from pullback_core.directions.rotation import rotated_basis
from pullback_core.directions.words import listening_points, word_shift

RANK, SHAPE = 4, (2, 3, 4)


def rows(seed, count=RANK):
    generator = torch.Generator().manual_seed(seed)
    matrix = torch.randn(24, 24, generator=generator, dtype=torch.float64)
    return torch.linalg.qr(matrix)[0].T.reshape(24, *SHAPE)[:count]


def basis(feature="picture", **changes):
    options = {"products": 9, "converged": True, "sigma": 1.0, "timestep": 0.5, **changes}
    return PullbackBasis(
        v=rows(0),
        s=torch.tensor([4.0, 3.0, 2.0, 1.0], dtype=torch.float64),
        u=rows(1),
        residuals=torch.zeros(RANK),
        provenance={"feature": feature},
        **options,
    )


def test_directions_are_named_after_the_words_that_do_the_same():
    directions = basis()
    others = rows(2, 10)
    shifts = {"smiling": 3 * directions.u[2], "hat": -directions.u[0], "old": directions.u[3]}
    shifts |= {f"other {index}": others[index] for index in range(3)}
    named = named_basis(directions, shifts)
    assert named.names[0] == "less hat" and named.names[2:] == ["smiling", "old"]
    assert torch.equal(named.v, directions.v) and named.kind == directions.kind


def test_what_no_word_does_has_no_name():
    directions = basis()
    rest = rows(1, 10)[RANK:]  # orthogonal to all u
    assert named_basis(directions, {"one": rest[0], "two": rest[1]}).names == [""] * RANK


def test_what_all_words_have_in_common_names_nothing():
    directions, common = basis(), 5 * rows(1)[0]
    others = rows(1, 10)[RANK:]
    shifts = {"smiling": common + directions.u[1], "hat": common + others[0], "old": common + others[1]}
    assert word_cosines(directions, shifts)[0].abs().max() < 0.02
    assert named_basis(directions, {**shifts, "hat": common}).names[0] == ""


def test_a_basis_of_the_bottleneck_is_named_by_its_pictures():
    directions = basis("middle", pictures=2 * rows(3))
    shifts = {"smiling": rows(3)[1], "hat": rows(3)[0]}
    assert named_basis(directions, shifts).names[:2] == ["hat", "smiling"]
    with pytest.raises(ValueError, match="does not know what its directions do"):
        named_basis(basis("middle"), shifts)


@pytest.mark.parametrize("shift", [torch.zeros(SHAPE), torch.full(SHAPE, torch.nan), torch.ones(3, 4)])
def test_shifts_that_are_none_are_refused(shift):
    with pytest.raises(ValueError, match="The shift of 'hat' must be a change of the picture"):
        named_basis(basis(), {"smiling": rows(3)[0], "hat": shift})


def test_one_word_names_nothing():
    with pytest.raises(ValueError, match="at least two words"):
        named_basis(basis(), {"smiling": rows(3)[0]})


def test_directions_of_a_face_get_the_words_of_what_they_change():
    model = faces.load_model()
    plain, picture = faces.FacesDenoiser(model), faces.FacesDenoiser(model, feature="picture")
    x0 = faces.encode_image(faces.example_faces([3]))
    sigma = plain.schedule.sigma(0.5)
    noise = torch.randn(x0.shape, generator=torch.Generator().manual_seed(0))
    noisy = NoisyLatent(x0 + sigma * noise, torch.tensor([sigma, 0.0]))
    directions = rotated_basis(local_basis(picture, noisy, 8, tolerance=0.1))
    points = listening_points(x0, plain.schedule, noisy)
    words = ("dark skin", "pale skin", "blond hair", "black hair", "red background", "smiling", "hat")
    shifts = {word: word_shift(plain, faces.FacesDenoiser(model, word), points) for word in words}
    named = named_basis(directions, shifts)
    assert any(name.endswith("hair") for name in named.names)
    assert any(name.endswith("skin") or name.endswith("background") for name in named.names)
