"""The search space of the solver: all vectors that went through the operator, and what came back."""

from dataclasses import dataclass
from typing import NamedTuple

import torch

from .orthonormal import orthonormal_rows, random_rows
from .scaled_operator import ScaledOperator

ROUNDING = 100  # in units of the precision: products differ by this much without any meaning


@dataclass(frozen=True)
class SearchOptions:
    """What a search is for, and how many vectors go through the operator together.

    Attributes:
        rank: How many triplets are sought.
        tolerance: How large their residuals ||J^T u - s v|| / s_1 may be.
        block_size: How many vectors are multiplied together.
    """

    rank: int
    tolerance: float
    block_size: int


class SearchSpace(NamedTuple):
    """A search space to go on from: J q = images * scale, and J^T J q = returns * scale^2.

    Attributes:
        q: (k, n) orthonormal rows.
        images: (k, m).
        returns: (k, n).
        scale: A power of two near the largest singular value.
    """

    q: torch.Tensor
    images: torch.Tensor
    returns: torch.Tensor
    scale: float


class RitzTriplets(NamedTuple):
    """The best triplets within a search space (Rayleigh-Ritz), of the operator divided by its scale.

    Attributes:
        v: (rank, n) orthonormal.
        s: (rank,) descending, in float64 on the CPU.
        mixtures: (rank, j), the coordinates of u; `Search.left_vectors` multiplies them out.
        rests: (rank, n), J^T u - s v.
        residuals: (rank,), the lengths of the rests divided by s_1.
        null: (rank,) on the CPU, whether s is zero in floating point. Such a rest is not known and counts as
            0.
    """

    v: torch.Tensor
    s: torch.Tensor
    mixtures: torch.Tensor
    rests: torch.Tensor
    residuals: torch.Tensor
    null: torch.Tensor

    @property
    def largest_residual(self) -> float:
        """The largest of the residuals."""
        return self.residuals.max().item()

    def unsettled(self, tolerance: float) -> torch.Tensor:
        """The (j, n) rests that are larger than the tolerance, largest first."""
        order = self.residuals.argsort(descending=True)
        return self.rests[order[self.residuals[order] > tolerance]]


class Search:
    """A search space that grows, what the operator does to it, and the best triplets within it.

    Everything that products said is kept, so a residual costs no further product.

    Attributes:
        operator: The `ScaledOperator`; images and returns are those of J / scale.
        q: (k, n) orthonormal rows, the search space.
        images: (k, m), J q.
        returns: (k, n), J^T J q.
    """

    def __init__(self, operator: ScaledOperator, seed: int) -> None:
        self.operator = operator
        self._generator = torch.Generator().manual_seed(seed)
        self.clear()

    def clear(self) -> None:
        """Forget all vectors."""
        like, n, m = self.operator.like, self.operator.n, self.operator.m
        self.q, self.images, self.returns = (like.new_empty(0, size) for size in (n, m, n))
        # images = factors @ p: p (j, m) has orthonormal rows; factors (k, j) is small, in float64 on the CPU.
        self._p, self._factors = like.new_empty(0, m), torch.zeros(0, 0, dtype=torch.float64)

    @property
    def complete(self) -> bool:
        """Whether the search space is the whole space."""
        return len(self.q) == self.operator.n

    def random(self, count: int) -> torch.Tensor:
        """(count, n) random vectors."""
        return random_rows(count, self.operator.n, self._generator, self.operator.like)

    def first_block(self, count: int, start: torch.Tensor | None = None) -> torch.Tensor:
        """Make vectors to begin with.

        They are random. With a start they are random mixtures of its vectors with as much noise, so a poor
        start excludes nothing.

        Args:
            count: The number of vectors.
            start: (k, *in_shape) vectors that are near the answer, or None.

        Returns:
            (count, n) vectors.
        """
        block = orthonormal_rows(self.random(count), self.q, self._generator)
        if start is None:
            return block
        like = self.operator.like
        mixtures = random_rows(count, len(start), self._generator, like) @ start.flatten(1).to(like)
        return block + mixtures / mixtures.norm(dim=1, keepdim=True)

    def extend(self, block: torch.Tensor) -> None:
        """Orthonormalise the vectors (b, n), multiply them and add them to the search space.

        Vectors that the search space has already are replaced by random ones.

        Args:
            block: (b, n) vectors.
        """
        block = orthonormal_rows(block[: self.operator.n - len(self.q)], self.q, self._generator)
        images, returns = self.operator.images_and_returns(block)
        self.q = torch.cat([self.q, block])
        self.images = torch.cat([self.images, images])
        self.returns = torch.cat([self.returns, returns])
        self._factorise(images)

    def ritz(self, rank: int) -> RitzTriplets:
        """The best `rank` triplets within the search space (Rayleigh-Ritz).

        A small singular value decomposition is computed in float64 on the CPU, and multiplied out.

        Args:
            rank: The number of triplets.

        Returns:
            The triplets, largest first.
        """
        lift = self.operator.to_rows_dtype
        left, s, right = torch.linalg.svd(self._factors, full_matrices=False)
        y, s, mixtures = lift(left.T[:rank]), s[:rank], lift(right[:rank])
        null = s <= ROUNDING * self.operator.eps * s[0]
        v, divisors = y @ self.q, lift(torch.where(null, 1, s))[:, None]
        rests = torch.where(null.to(v.device)[:, None], 0, y @ self.returns / divisors - divisors * v)
        residuals = rests.norm(dim=1) / (s[0].item() or 1.0)
        return RitzTriplets(v, s, mixtures, rests, residuals, null)

    def left_vectors(self, found: RitzTriplets) -> torch.Tensor:
        """The u of the newest triplets: (rank, m)."""
        return found.mixtures @ self._p

    def leading_returns(self, count: int) -> torch.Tensor:
        """J^T J v of the best `count` vectors v within the search space: (count, n)."""
        left = torch.linalg.svd(self._factors, full_matrices=False)[0]
        return self.operator.to_rows_dtype(left.T[:count]) @ self.returns

    def norm(self) -> float:
        """A lower bound of the largest singular value. It is near that value after a few steps."""
        return torch.linalg.matrix_norm(self._factors, 2).item()

    def saved(self) -> SearchSpace:
        """The search space as a value, to go on from later."""
        return SearchSpace(self.q, self.images, self.returns, self.operator.scale or 1.0)

    def resume(self, saved: SearchSpace, tolerance: float) -> bool:
        """Begin with a saved search space, if it is of this operator.

        One product tells: that of a sum of all vectors, so that every difference between two operators shows
        in it.

        Args:
            saved: A search space.
            tolerance: How far the product may be from the saved one, relative to it.

        Returns:
            Whether the search space is of this operator and is used.
        """
        if len(saved.q) >= self.operator.n:
            return False
        like = self.operator.like
        q, images, returns = (rows.to(like.dtype).to(like.device) for rows in saved[:3])
        signs = random_rows(1, len(q), torch.Generator().manual_seed(0), like).sign()
        probe, expected = signs @ q, signs @ images
        difference = (self.operator.jvp(probe) / saved.scale - expected).norm() / expected.norm()
        if not difference <= max(tolerance / 10, 8 * torch.finfo(self.operator.dtype).eps):
            return False
        self.q, self.images, self.returns, self.operator.scale = q, images, returns, saved.scale
        self._factorise(images)
        return True

    def _factorise(self, images: torch.Tensor) -> None:
        """Add newest images to images = factors @ p, one by one, by the Gram-Schmidt method."""
        for image in images:
            count = len(self._p)
            coefficients, rest = self.operator.like.new_zeros(count), image
            for _ in range(2):  # again, because rounding leaves a part the first time
                part = self._p @ rest
                coefficients, rest = coefficients + part, rest - part @ self._p
            grown = torch.zeros(len(self._factors) + 1, min(count + 1, self.operator.m), dtype=torch.float64)
            grown[:-1, :count] = self._factors
            grown[-1, :count] = coefficients.cpu().double()
            if count < self.operator.m:
                unit = orthonormal_rows(rest[None], self._p, self._generator)
                grown[-1, count] = (unit[0] @ rest).item()
                self._p = torch.cat([self._p, unit])
            self._factors = grown
