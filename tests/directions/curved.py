"""A denoiser whose predicted picture is a curved map of z that is known in closed form."""

import torch

from pullback_core import Denoiser, NoisyLatent, PullbackBasis, VPSchedule

SHAPE, SIGMA = (2, 3, 4), 1.5
SLOPES = torch.linspace(0.5, 2.0, 24, dtype=torch.float64)


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


class Curved(Denoiser):
    """x0(z) = SLOPES z + bend z^2, entry by entry."""

    schedule, provenance = VPSchedule.scaled_linear(0.00085, 0.012), {"feature": "picture"}

    def __init__(self, bend=0.1):
        self.bend, self.evaluations = bend, 0

    def denoise(self, x, sigma):
        self.evaluations += len(x)
        z = x / self.schedule.scale(sigma)
        return SLOPES.view(SHAPE) * z + self.bend * z.square()

    def encode(self, x, sigma):
        return self.denoise(x, sigma)

    def slopes(self, z):
        """The derivative of x0, which is diagonal, at z (c, h, w)."""
        return SLOPES.view(SHAPE) + 2 * self.bend * z


def noisy_at(z):
    """z (c, h, w) or (b, c, h, w) in network coordinates as a noisy latent."""
    x = Curved.schedule.from_network(z.view(-1, *SHAPE), SIGMA)
    return NoisyLatent(x, torch.tensor([SIGMA, 0.5, 0.0], dtype=torch.float64))


def basis_at(denoiser, z, rank=3, *, known=True):
    """Orthonormal directions at z, and what they do to the picture; without it if it is not to be known."""
    v = torch.linalg.qr(draw(24, rank, seed=3))[0].T.contiguous().view(-1, *SHAPE)
    changes = denoiser.slopes(z) * v
    s = changes.flatten(1).norm(dim=1)
    return PullbackBasis(
        v=v,
        s=s,
        u=changes / s.view(-1, 1, 1, 1),
        residuals=torch.zeros(rank),
        products=2 * rank,
        converged=True,
        sigma=SIGMA,
        timestep=denoiser.schedule.fraction(SIGMA),
        provenance={"feature": "picture" if known else "middle"},
    )
