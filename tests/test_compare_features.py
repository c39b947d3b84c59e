"""Features compared: against dense singular values of small maps whose curvature is known."""

import itertools
import math
from types import SimpleNamespace

import pytest
import torch

from pullback_core import (
    Denoiser,
    FlowSchedule,
    NoisyLatent,
    compare_features,
    feature_table,
    figures,
    spectra,
)
from pullback_core.compare_features import evenly_spread

SHAPE, SIGMA = (2, 3, 3), 0.6


class Analytic(Denoiser):
    """h = A z + bend * (v_1 . z)^2 u_1, with v_1 and u_1 of A, which has known singular values."""

    schedule = FlowSchedule()

    def __init__(self, name, values, bend=0.0):
        generator = torch.Generator().manual_seed(len(name))
        u, v = (torch.linalg.qr(torch.randn(18, 18, generator=generator))[0] for _ in range(2))
        self.matrix, self.u, self.v, self.bend = u @ torch.diag(values) @ v.T, u[:, 0], v[:, 0], bend
        self.provenance = {"feature": name}

    def encode(self, x, sigma):
        flat = x.flatten(1)  # of a flow model, x and z are the same
        return (flat @ self.matrix.T + self.bend * (flat @ self.v)[:, None] ** 2 * self.u).unflatten(
            1, (18, 1, 1)
        )

    def denoise(self, x, sigma):
        return 0.5 * x


def decay(rate):
    return 3 * rate ** torch.arange(18.0)


@pytest.fixture(scope="module")
def noisy():
    x = torch.randn(1, *SHAPE, generator=torch.Generator().manual_seed(1))
    return NoisyLatent(x, torch.tensor([SIGMA, 0.0]))


def test_every_report_has_the_dense_singular_values(noisy):
    denoisers = [Analytic("steep", decay(0.4)), Analytic("flat", decay(0.95), bend=0.3)]
    reports = compare_features(denoisers, noisy, 4, tolerance=1e-3)
    assert [one.feature for one in reports] == ["steep", "flat"]
    for one, denoiser in zip(reports, denoisers):
        dense = torch.func.jacrev(lambda point, map=denoiser: map.encode(point[None], SIGMA)[0])(
            noisy.x[0]
        ).reshape(18, 18)
        torch.testing.assert_close(one.s, torch.linalg.svdvals(dense)[:4], rtol=1e-3, atol=1e-3)
        assert one.converged and one.residual <= 1e-3 and one.products >= 8 and one.shape == (18, 1, 1)
        assert one.effective_rank == pytest.approx(spectra.effective_rank(one.s))
        assert min(one.seconds_jvp, one.seconds_vjp, one.seconds_denoise) > 0
    assert reports[0].seconds_denoise == reports[1].seconds_denoise
    assert reports[0].effective_rank < reports[1].effective_rank


def test_the_bend_of_a_parabola_is_its_own(noisy):
    """Along v_1 the map is linear plus bend * a^2, so that it is bend * a / s_1 off."""
    assert compare_features([Analytic("a", decay(0.4))], noisy, 2)[0].bend < 1e-4
    curved = Analytic("a", decay(0.4), bend=0.01)
    [report] = compare_features([curved], noisy, 2, tolerance=1e-5)
    step = 0.1 * curved.encode(noisy.x, SIGMA).norm() / report.s[0]
    assert report.reach == pytest.approx((step / noisy.x.norm()).item(), rel=1e-4)
    assert report.bend == pytest.approx((0.01 * step / report.s[0]).item(), rel=0.01)


def test_a_search_that_ends_early_says_so(noisy):
    reports = compare_features(
        [Analytic("a", decay(0.4)), Analytic("flat", decay(0.99))],
        noisy,
        4,
        tolerance=1e-6,
        max_products=8,
    )
    assert [one.products for one in reports] == [8, 8] and not reports[1].converged
    assert "8*" in feature_table(reports) and "ended early" in feature_table(reports)


def test_progress_names_the_feature_and_may_cancel(noisy):
    seen = []
    denoisers = [Analytic("a", decay(0.4)), Analytic("b", decay(0.4))]
    compare_features(denoisers, noisy, 2, progress=lambda index, products, residual: seen.append(index))
    assert seen == sorted(seen) and set(seen) == {0, 1}

    def cancel(index, products, residual):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compare_features(denoisers, noisy, 2, progress=cancel)


@pytest.mark.parametrize(
    "values, shape, message",
    [
        (decay(0.4), (2, *SHAPE), "one noisy latent"),
        (0 * decay(0.4), (1, *SHAPE), "'still' does not depend"),
    ],
)
def test_wrong_requests_are_refused(values, shape, message):
    with pytest.raises(ValueError, match=message):
        noisy = NoisyLatent(torch.ones(shape), torch.tensor([SIGMA, 0.0]))
        compare_features([Analytic("still", values)], noisy, 2)


def test_the_table_has_a_line_for_each_feature_and_columns_of_one_width(noisy):
    table = feature_table(
        compare_features([Analytic("short", decay(0.4)), Analytic("a_longer_one", decay(0.4))], noisy, 3)
    )
    heading, *lines = table.split("\n\n")[0].splitlines()
    assert [line.split()[0] for line in lines] == ["short", "a_longer_one"] and {
        len(line) for line in lines
    } == {len(heading)}
    assert "s_3/s_1" in heading and "18x1x1" in table and "ended early" not in table


@pytest.mark.parametrize("number, kept", [(3, 1), (8, 0), (9, 4), (57, 28), (57, 0), (57, 56), (13, 6)])
def test_a_spread_goes_from_the_first_to_the_last_and_keeps_one(number, kept):
    names = [f"block_{index}" for index in range(number)]
    chosen = evenly_spread(names, names[kept])
    assert len(chosen) == min(8, number) and names[kept] in chosen
    assert chosen == sorted(chosen, key=names.index)
    assert abs(names.index(chosen[0])) <= 1 and names.index(chosen[-1]) >= number - 2
    assert max(names.index(b) - names.index(a) for a, b in itertools.pairwise(chosen)) <= max(
        1, math.ceil(2 * number / 8)
    )


def test_the_decay_is_drawn_for_any_number_of_features():
    one = SimpleNamespace(s=torch.tensor([3.0, 2.0, 1.0]))
    for count in (1, 8, 30):
        picture = figures.decay_plot([(f"block_{index}", one.s) for index in range(count)])
        assert picture.mode == "RGB" and picture.size == (720, 432)
