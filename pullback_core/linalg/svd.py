"""The leading singular triplets of a linear operator from its products alone.

>>> J = Jacobian(f, x)
>>> v, s, u, *_ = top_singular_triplets(J, rank=8)
"""

import math
from typing import NamedTuple

import torch

from .precision import without_autocast

METHODS = ("krylov", "subspace")
# The chance to overlook a larger singular value that one check of a result may leave. The first check is as short as is sound.
# An operator with repeated values needs one check for each repetition, so after a find all further checks are stricter.
DOUBT, DOUBT_AFTER_A_FIND = 0.02, 1e-3
OVERFLOW = "The Jacobian products are not finite: the model overflows at this input or precision."
ROUNDING = 100  # units of the precision: what products differ by without any meaning


class SearchSpace(NamedTuple):
    """What the products of a search said: J q = images * scale and J^T J q = returns * scale^2.

    q: (k, n) orthonormal rows; images: (k, m); returns: (k, n); scale: a power of two near the largest singular value.
    """

    q: torch.Tensor
    images: torch.Tensor
    returns: torch.Tensor
    scale: float


class SingularTriplets(NamedTuple):
    """J v_i = s_i u_i, largest s first.

    v: (rank, *in_shape) orthonormal; s: (rank,) descending; u: (rank, *out_shape) orthonormal;
    residuals: (rank,) of ||J^T u_i - s_i v_i|| / s_1, from products that were computed;
    products: how many J v and J^T u that took; converged: whether every residual is within tolerance, and a check found no
    singular value that is larger than one of these by more than the tolerance times s_1.
    space: a `SearchSpace` to go on from; None for "subspace".
    The sign of a pair (v_i, u_i) is free: the largest entry of v_i is made positive.
    """

    v: torch.Tensor
    s: torch.Tensor
    u: torch.Tensor
    residuals: torch.Tensor
    products: int
    converged: bool
    space: SearchSpace | None = None


@without_autocast()
def top_singular_triplets(
    operator,
    rank,
    *,
    tolerance=1e-2,
    max_products=None,
    seed=0,
    method="krylov",
    block_size=None,
    start=None,
    progress=None,
    space=None,
):
    """Find the `rank` largest singular values of an operator and their vectors.

    operator: anything with `jvp`, `vjp`, `in_shape`, `out_shape` (see `Jacobian`).
    tolerance: stop when every residual ||J^T u_i - s_i v_i|| / s_1 is at most this, and a check has found nothing larger.
        The check is a second search, from a random vector, in what the first has not seen: residuals alone show that the values
        are singular values, but not that no other is larger, nor how often each is repeated.
    max_products: stop there at the latest, converged or not; None is 200 for each triplet. Measuring singular values
        that turn out to be zero comes on top.
    method: "krylov", block Krylov iteration with full reorthogonalisation and Rayleigh-Ritz
        (Golub, Luk, Overton, "A Block Lanczos Method for Computing the Singular Values and
        Corresponding Singular Vectors of a Matrix", ACM TOMS 7, 1981), or "subspace", Algorithm 1
        of Park et al. 2023, which keeps only the newest block.
    block_size: vectors that go through the operator together; None is `rank` ("subspace") or 1 ("krylov"), which takes the
        fewest products. Where many values are repeated or nearly so, a block of `rank` finds them at once, and fewer checks do.
    start: (k, *in_shape), vectors near the ones that are sought, such as the v of a neighbouring timestep ("krylov" only).
        The first block is then random mixtures of them with as much noise, so a poor start costs little and excludes nothing.
    progress: called as progress(products, largest residual) after every block; an exception it
        raises ends the work.
    space: of an earlier result for the same operator ("krylov" only), to go on where that one ended, with a larger rank or a smaller
        tolerance. One product tells whether the operator is the same; if not, the search begins as without it.

    Each step multiplies one block by J and the result by J^T. Everything the products say is kept, so
    a residual costs no further product; only for singular values that are zero in floating point is
    J^T u computed once more, to measure it.

    Returns `SingularTriplets`, in the dtype of the operator's x but at least float32: half precision is for products only.
    Small problems are solved in float64 on the CPU, whatever the operator's device.
    Raises ValueError for a rank, tolerance or method that makes no sense, and for products that are not finite.
    """
    search = _Search(operator, seed, progress)
    n, m = search.n, search.m
    if not 1 <= rank <= min(n, m):
        raise ValueError(f"The rank must be from 1 to {min(n, m)} for a Jacobian of {m} x {n}, got {rank}.")
    if not 0 < tolerance < math.inf:
        raise ValueError(f"The tolerance must be positive and finite, got {tolerance}.")
    if method not in METHODS:
        raise ValueError(f"There is no method {method!r}; choose one of {', '.join(METHODS)}.")
    krylov = method == "krylov"
    if block_size is None:
        block_size = 1 if krylov else rank
    if not 1 <= block_size <= min(n, m) or (not krylov and block_size < rank):
        raise ValueError(f"A block of {block_size} does not suit rank {rank} of a Jacobian of {m} x {n}.")
    if start is not None and (not krylov or not len(start) or start.shape[1:] != tuple(operator.in_shape)):
        raise ValueError(
            f"A start is for the method 'krylov', with vectors of shape {tuple(operator.in_shape)}, "
            f"got {tuple(start.shape)} for {method!r}."
        )
    if space is not None and (not krylov or [rows.shape[1:] for rows in space[:3]] != [(n,), (m,), (n,)]):
        raise ValueError(
            f"A space is for the method 'krylov' and an operator of the same shape, here {m} x {n}, got one for {method!r}."
        )
    least = 2 * min(n, block_size * -(-rank // block_size))
    if max_products is None:
        max_products = max(200 * rank, least)
    if max_products < least:
        raise ValueError(
            f"max_products must be at least {least} for rank {rank} in blocks of {block_size}, got {max_products}."
        )

    search.rank, search.tolerance, search.max_products = rank, tolerance, max_products
    if method == "subspace":
        return search.triplets(*_subspace(search, block_size))
    checked = False
    if space is None or not search.resume(space):
        if rank == block_size == 1 and start is None:
            checked = _check(
                search, DOUBT
            )  # for one value, which no repetition can displace, the check is the search
        else:
            search.extend(search.first_block(block_size, start))
    return search.triplets(*_krylov(search, block_size, checked))._replace(space=search.space())


def _krylov(search, block_size, checked):
    """(`_Ritz`, whether a check found nothing larger). Every vector is kept; the largest residuals are multiplied next."""
    doubt = DOUBT
    while True:
        found = _settle(search, block_size)
        if search.complete:
            return found, True
        if checked or found.worst > search.tolerance:
            return found, checked
        checked = _check(search, doubt)
        if checked is None:
            return search.ritz(), False
        doubt = DOUBT_AFTER_A_FIND


def _settle(search, block_size):
    """Multiply vectors until every residual is within the tolerance, or there is no room for more. Returns `_Ritz`."""
    while len(search.q) < search.rank:
        if len(search.q):
            search.report(math.inf)
        search.extend(search.returns[-block_size:])
    while True:
        found = search.ritz()
        search.report(found.worst)
        if search.complete or found.worst <= search.tolerance or not search.has_room(block_size):
            return found
        search.extend(found.unsettled(search.tolerance)[:block_size])


def _subspace(search, block_size):
    """As `_krylov`, but only the newest block is kept."""
    block, doubt = search.first_block(block_size), DOUBT
    while True:
        search.keep_nothing()
        search.extend(block)
        found = search.ritz()
        search.report(found.worst)
        if search.complete:
            return found, True
        if found.worst <= search.tolerance:
            checked = _check(search, doubt)
            found = search.ritz()
            if checked and found.worst <= search.tolerance:
                return found, True
            if checked is False:
                doubt = DOUBT_AFTER_A_FIND
        if not search.has_room(block_size):
            return found, False
        block = search.leading_returns(block_size)


def _check(search, doubt):
    """Look for larger singular values in what the search has not seen, by Lanczos iteration from a random vector.

    Whatever the search has not seen has its share in a random vector, also a repetition of a value that was found.
    Returns True when the chance that one is left is at most `doubt`, False when one was found, None when there is no room.
    """
    before = search.ritz() if len(search.q) >= search.rank else None
    unseen = _Unseen(search)
    while search.has_room(1):
        unseen.extend()
        found = search.ritz()
        search.report(found.worst)
        if search.complete:
            return True
        if before is not None and unseen.largest() > search.threshold(before):
            return False
        if unseen.chance_of_more_than(search.threshold(found)) <= doubt:
            return True
    return None


class _Unseen:
    """C = P J^T J P, where P leaves out what a search has seen: its Lanczos iteration, from a random vector.

    The iteration is part of the search, so its products serve there as well.
    """

    def __init__(self, search):
        self._search = search
        self._dimensions = search.n - len(search.q)
        self._next = search.random(1)
        self._diagonal, self._beside = [], []  # of the tridiagonal matrix that represents C

    def extend(self):
        search = self._search
        search.extend(self._next)
        image = search.images[-1]
        rest = _project_out(_project_out(search.returns[-1], search.q), search.q)
        length, onward = image.norm().item(), rest.norm().item()
        if onward <= ROUNDING * search.eps * length * search.norm():
            onward = 0.0  # the random vector has nothing left to tell
        self._diagonal.append(length**2)
        self._beside.append(onward)
        self._next = rest[None]

    def largest(self):
        """A lower bound of the largest eigenvalue of C, near it after a few steps."""
        beside = torch.tensor(self._beside[:-1], dtype=torch.float64)
        matrix = (
            torch.diag(torch.tensor(self._diagonal, dtype=torch.float64))
            + torch.diag(beside, 1)
            + torch.diag(beside, -1)
        )
        return torch.linalg.eigvalsh(matrix)[-1].item()

    def chance_of_more_than(self, value):
        """The chance that C has an eigenvalue above `value`, which the random vector does not show.

        The share w = <g, h>^2 of an eigenvector h in the random vector g is at most 1 / sum_j p_j(value)^2, where p_j are the
        polynomials that are orthonormal for the iteration (the Christoffel function of its measure). For a random direction
        of N dimensions the chance of a share below w is at most sqrt(2 N w / pi).
        """
        if self.largest() >= value and self._beside[-1] > 0:
            return 1.0
        before, newest, total = 0.0, 1.0, 1.0
        for index, (diagonal, onward) in enumerate(zip(self._diagonal, self._beside)):
            if onward == 0 or total > 1e100:
                return 0.0
            came = self._beside[index - 1] if index else 0.0
            before, newest = newest, ((value - diagonal) * newest - came * before) / onward
            total += newest**2
        return math.sqrt(2 * self._dimensions / (math.pi * total))


class _Ritz(NamedTuple):
    """The best triplets within a search space, of an operator divided by the search's scale.

    x: (rank, j), what u is made of; s: (rank,) float64 on the CPU; v: (rank, n); rests: (rank, n) of J^T u - s v;
    residuals: (rank,) of their norms / s_1; null: (rank,) on the CPU, where s is zero in floating point and the rest is not known
    yet, so it counts as 0.
    """

    x: torch.Tensor
    s: torch.Tensor
    v: torch.Tensor
    rests: torch.Tensor
    residuals: torch.Tensor
    null: torch.Tensor

    @property
    def worst(self):
        return self.residuals.max().item()

    def unsettled(self, tolerance):
        """The (j, n) rests beyond the tolerance, largest first."""
        order = self.residuals.argsort(descending=True)
        return self.rests[order[self.residuals[order] > tolerance]]


class _Search:
    """The vectors that went through an operator, and what came back. Rows are vectors.

    q: (k, n) orthonormal; images: (k, m) of J q; returns: (k, n) of J^T J q; both for J divided by `scale`, a power of two, as squares
    of a tiny or huge J would leave the range of its precision. images = factors @ p, with p (., m) orthonormal.
    """

    rank, tolerance, max_products = 1, 1.0, 0

    def __init__(self, operator, seed, progress):
        self._operator, self._progress = operator, progress
        self._generator = torch.Generator().manual_seed(seed)
        self.n, self.m = _size(operator.in_shape), _size(operator.out_shape)
        like = getattr(operator, "x", torch.empty(0))  # of the dtype and device of the products
        self._dtype = like.dtype
        self.like = like.new_empty(0, dtype=torch.promote_types(like.dtype, torch.float32))
        self.eps = torch.finfo(self.like.dtype).eps
        self._largest_exponent = int(math.log2(torch.finfo(self.like.dtype).max)) - 8
        self.products, self._reported, self.scale = 0, 0, None
        self.keep_nothing()

    def keep_nothing(self):
        self.q, self.images, self.returns = (
            self.like.new_empty(0, size) for size in (self.n, self.m, self.n)
        )
        self._p, self._factors = self.like.new_empty(0, self.m), torch.zeros(0, 0, dtype=torch.float64)

    @property
    def complete(self):
        return len(self.q) == self.n

    def has_room(self, count):
        return self.products + 2 * count <= self.max_products

    def report(self, residual):
        if self._progress and self.products > self._reported:
            self._reported = self.products
            self._progress(self.products, residual)

    def random(self, count):
        return _random(count, self.n, self._generator, self.like)

    def first_block(self, count, start=None):
        """Random vectors; with a start, mixtures of its vectors with as much that is random, so that nothing is excluded."""
        block = _orthonormal(self.random(count), None, self._generator)
        if start is None:
            return block
        mixtures = _random(count, len(start), self._generator, self.like) @ start.flatten(1).to(self.like)
        return block + mixtures / mixtures.norm(dim=1, keepdim=True)

    def extend(self, block):
        """Take in the (b, n) vectors, made orthonormal; what is seen already is replaced at random."""
        block = _orthonormal(block[: self.n - len(self.q)], self.q, self._generator)
        images, returns = self._multiply(block)
        self.q, self.images, self.returns = (
            torch.cat(pair) for pair in ((self.q, block), (self.images, images), (self.returns, returns))
        )
        for image in images:
            self._factorise(image)

    def _multiply(self, block):
        images = self._product(self._operator.jvp, block, self._operator.in_shape)
        lengths = self._powers_of_two(images)
        if self.scale is None and images.any():
            self.scale = lengths.max().item()
        scale = self.scale or 1.0
        # What goes back is of length near 1, as is what goes forth: a tiny or huge image would leave the range on the way.
        returns = self._product(self._operator.vjp, images / lengths, self._operator.out_shape)
        return images / scale, returns / scale * (lengths / scale)

    def _powers_of_two(self, rows):
        """(b, 1) powers of two near the lengths of rows, whose squares may be out of range; 1 for a row of zeros."""
        largest = self._power_of_two(rows.abs().amax(dim=1, keepdim=True))
        return largest * self._power_of_two((rows / largest).norm(dim=1, keepdim=True))

    def _power_of_two(self, values):
        limit = self._largest_exponent
        exponents = [math.frexp(value)[1] if value else 0 for value in values.flatten().tolist()]
        return self.like.new_tensor([2.0 ** max(-limit, min(exponent, limit)) for exponent in exponents])[
            :, None
        ]

    def _product(self, product, rows, shape):
        result = product(rows.view(-1, *shape).to(self._dtype)).flatten(1).to(self.like.dtype)
        self.products += len(rows)
        if not torch.isfinite(result).all():
            raise ValueError(OVERFLOW)
        return result

    def _factorise(self, image):
        """Take one more image into images = factors @ p."""
        count = len(self._p)
        coefficients, rest = self.like.new_zeros(count), image
        for _ in range(2):
            part = self._p @ rest
            coefficients, rest = coefficients + part, rest - part @ self._p
        grown = torch.zeros(len(self._factors) + 1, min(count + 1, self.m), dtype=torch.float64)
        grown[:-1, :count] = self._factors
        grown[-1, :count] = coefficients.cpu().double()
        if count < self.m:
            unit = _orthonormal(rest[None], self._p, self._generator)
            grown[-1, count] = (unit[0] @ rest).item()
            self._p = torch.cat([self._p, unit])
        self._factors = grown

    def norm(self):
        """A lower bound of the largest singular value, near it after a few steps."""
        return torch.linalg.matrix_norm(self._factors, 2).item()

    def threshold(self, found):
        """The square of the least singular value that, had it been overlooked, would make one of `found` wrong."""
        return (found.s[-1] + self.tolerance * found.s[0]).item() ** 2

    def ritz(self):
        """The best triplets within the search space: a small singular value problem is solved, on the CPU, and lifted back."""
        left, s, right = torch.linalg.svd(self._factors, full_matrices=False)
        y, s, x = self._lifting(left.T[: self.rank]), s[: self.rank], self._lifting(right[: self.rank])
        null = s <= ROUNDING * self.eps * s[0]
        v, safe = y @ self.q, self._lifting(torch.where(null, 1, s))[:, None]
        rests = torch.where(null.to(v.device)[:, None], 0, y @ self.returns / safe - safe * v)
        residuals = rests.norm(dim=1) / (s[0].item() or 1.0)
        return _Ritz(x, s, v, rests, residuals, null)

    def leading_returns(self, count):
        """(count, n) of J^T J v for the best v within the search space."""
        left = torch.linalg.svd(self._factors, full_matrices=False)[0]
        return self._lifting(left.T[:count]) @ self.returns

    def _lifting(self, small):
        """A small matrix of the CPU as one that multiplies rows: not every device has float64."""
        return small.to(self.like.dtype).to(self.like.device)

    def triplets(self, found, checked):
        """`SingularTriplets` of `_Ritz`, of the operator itself."""
        v, u, null = found.v, found.x @ self._p, found.null.to(self.like.device)
        residuals = found.residuals
        if null.any():
            back = self._product(self._operator.vjp, u[null], self._operator.out_shape) / (self.scale or 1.0)
            missing = (back - self._lifting(found.s)[null, None] * v[null]).norm(dim=1)
            residuals = residuals.masked_scatter(
                null, missing / (found.s[0].item() or torch.finfo(v.dtype).tiny)
            )
        s = self._lifting(found.s) * (self.scale or 1.0)
        if not torch.isfinite(s).all():
            raise ValueError(OVERFLOW)
        sign = torch.gather(v, 1, v.abs().argmax(dim=1, keepdim=True)).sign()
        return SingularTriplets(
            (v * sign).view(-1, *self._operator.in_shape),
            s,
            (u * sign).view(-1, *self._operator.out_shape),
            residuals,
            self.products,
            checked and residuals.max().item() <= self.tolerance,
        )

    def space(self):
        return SearchSpace(self.q, self.images, self.returns, self.scale or 1.0)

    def resume(self, space):
        """Take over a `SearchSpace`, if one product says that it is of this operator. Returns whether it is."""
        if len(space.q) >= self.n:
            return False
        q, images, returns = (rows.to(self.like.dtype).to(self.like.device) for rows in space[:3])
        signs = _random(1, len(q), torch.Generator().manual_seed(0), self.like).sign()
        probe, expected = signs @ q, signs @ images  # of a sum of all of q, in which every difference shows
        image = self._product(self._operator.jvp, probe, self._operator.in_shape) / space.scale
        difference = (image - expected).norm() / expected.norm()
        if not difference <= max(self.tolerance / 10, 8 * torch.finfo(self._dtype).eps):
            return False
        self.q, self.images, self.returns, self.scale = q, images, returns, space.scale
        for row in images:
            self._factorise(row)
        return True


def _orthonormal(block, against, generator):
    """Orthonormal rows that span those of `block` without `against`.

    What vanishes is replaced at random, so that the search goes on in what has not been seen yet.
    """
    threshold = 1e3 * torch.finfo(block.dtype).eps
    known = block[:0] if against is None else against
    for row in block:
        projected = _project_out(_unit(row), known)
        while not projected.norm() > threshold:
            projected = _project_out(_unit(_random(1, len(row), generator, row)[0]), known)
        known = torch.cat([known, _unit(_project_out(_unit(projected), known))[None]])
    return known[len(known) - len(block) :]


def _unit(row):
    """A row of length 1, or of zeros. Its entries are brought near 1 first: their squares may be out of range."""
    row = row / row.abs().max().clamp(min=torch.finfo(row.dtype).tiny)
    return row / row.norm().clamp(min=torch.finfo(row.dtype).tiny)


def _project_out(row, basis):
    return row - (basis @ row) @ basis


def _random(count, size, generator, like):
    """On the CPU whatever the device, so that a seed means the same vectors everywhere."""
    return torch.randn(count, size, generator=generator, dtype=torch.float64).to(like.dtype).to(like.device)


def _size(shape):
    return int(torch.tensor(shape).prod())
