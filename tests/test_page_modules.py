"""The modules of the page without a page: their own tests by node, and their answers against Python's."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
import torch

from pullback_core import PullbackBasis
from pullback_core.directions.masks import masked_basis
from pullback_core.directions.preview import seen_sizes, unit_lengths
from pullback_core.directions.setting import unit_metric
from pullback_core.directions.strength import UNIT

PAGE = Path(__file__).parent / "page"
NODE = shutil.which("node")
SIZE = 24  # pixels: the page measures pictures of up to 64 as they are
LEVELS = 127.5  # of 255, for one unit of pictures in [-1, 1]

pytestmark = pytest.mark.skipif(NODE is None, reason="node is not installed, so no module of the page runs")


def run_node(*arguments, text=""):
    """What a program of node prints."""
    assert NODE is not None
    command = [NODE, *arguments]
    done = subprocess.run(command, input=text, capture_output=True, text=True, encoding="utf-8")
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_modules_pass_their_own_tests():
    files = [str(path) for path in sorted(PAGE.rglob("*.test.mjs"))]
    assert files
    run_node("--test", *files)


def blobs(count):
    """(count, 3, SIZE, SIZE) changes of a picture in several places, of falling size."""
    generator = torch.Generator().manual_seed(7)
    middles = SIZE * torch.rand(count, 2, generator=generator, dtype=torch.float64)
    places = torch.stack(torch.meshgrid(torch.arange(SIZE), torch.arange(SIZE), indexing="ij"), dim=-1) + 0.5
    distances = (places - middles[:, None, None]).norm(dim=-1)
    colours = torch.randn(count, 3, 1, 1, generator=generator, dtype=torch.float64)
    noise = torch.randn(count, 3, SIZE, SIZE, generator=generator, dtype=torch.float64)
    sizes = (3.0 * 0.75 ** torch.arange(count)).view(-1, 1, 1, 1)
    return sizes * (colours + 0.3 * noise) * torch.exp(-(distances[:, None] / 5).square())


def picture_basis(v, changes):
    """A basis of the feature "picture" that knows these changes of its v, rounded to what bytes can say."""
    steps = changes.flatten(1).abs().amax(dim=1).view(-1, 1, 1, 1) / 127
    changes = steps * (changes / steps).round()
    s = changes.flatten(1).norm(dim=1)
    return PullbackBasis(
        v=v,
        s=s,
        u=changes / s.view(-1, 1, 1, 1),
        residuals=torch.zeros(len(v)),
        products=0,
        converged=True,
        sigma=2.0,
        timestep=0.5,
        provenance={"model": "blobs", "feature": "picture"},
    )


def as_page_gets_it(basis):
    """What the board's node sends of a basis: changes in steps, their scales, and the metric."""
    lengths = unit_lengths(basis).view(-1, 1, 1, 1)
    levels = LEVELS * lengths * basis.picture_changes()
    scales = levels.flatten(1).abs().amax(dim=1) / 127
    steps = (levels / scales.view(-1, 1, 1, 1)).round().to(torch.int8)
    rows = [{"kind": "direction", "name": "", "scale": float(scale), "range": [1, 1]} for scale in scales]
    return {
        "width": SIZE,
        "height": SIZE,
        "rows": rows,
        "changes": steps.permute(0, 2, 3, 1).flatten(1).tolist(),
        "metric": unit_metric(basis).tolist(),
    }


@pytest.mark.parametrize("dependent", [False, True])
def test_directions_inside_a_region_span_those_of_python(dependent):
    rank = 12
    generator = torch.Generator().manual_seed(3)
    v = torch.linalg.qr(torch.randn(3 * SIZE**2, rank, generator=generator, dtype=torch.float64))[0].T
    changes = blobs(rank)
    if dependent:  # directions that are not at right angles, and one more than they span
        turn = torch.eye(rank, dtype=torch.float64) + 0.1 * torch.randn(
            rank, rank, generator=generator, dtype=torch.float64
        )
        turn = torch.cat([turn, turn[:1] + turn[1:2]])
        turn = turn / (turn @ v).norm(dim=1, keepdim=True)
        v, changes = turn @ v, torch.einsum("ij,jchw->ichw", turn, changes)
    basis = picture_basis(v.view(-1, 3, SIZE, SIZE), changes)
    mask = torch.zeros(SIZE, SIZE, dtype=torch.float64)
    mask[4:18, 6:20] = 1.0
    mask[18, 6:20] = 8 / 15  # a soft edge, in a level that the text of a mask has

    sent = as_page_gets_it(basis) | {"mask": (255 * mask).round().flatten().tolist(), "count": 4}
    found = json.loads(run_node(str(PAGE / "region_of.mjs"), text=json.dumps(sent)))

    inside = [one["inside"] for one in found]
    assert len(found) == 4 and inside == sorted(inside, reverse=True)
    weights = torch.tensor([one["weights"] for one in found], dtype=torch.float64)
    moves = (unit_lengths(basis)[:, None] * basis.v.flatten(1)).T @ weights.T
    best = masked_basis(basis, [mask], 1)
    assert inside[0] == pytest.approx(best.inside.item(), abs=1e-5)
    cosine = moves[:, 0] @ best.basis.v.double().flatten() / moves[:, 0].norm()
    assert cosine.item() == pytest.approx(1, abs=1e-6)
    span = masked_basis(basis, [mask], 4, least=0.0).basis.v.double().flatten(1)
    angles = torch.linalg.svdvals(span @ torch.linalg.qr(moves)[0])
    torch.testing.assert_close(angles, torch.ones(4).double(), rtol=0, atol=1e-5)
    sizes = torch.einsum("rk,kchw->rchw", weights * unit_lengths(basis), basis.picture_changes())
    expected_sizes = (UNIT * mask.mean().sqrt()).expand(len(found))  # one unit in the area of the mask
    torch.testing.assert_close(seen_sizes(sizes), expected_sizes, rtol=1e-5, atol=0)
