"""The local basis of a diffusion model at one noisy latent, and its file format."""

import hashlib
import json
import math
import sys
from dataclasses import dataclass, field
from pathlib import Path

import torch

from .atomic import write_atomically, write_first_free
from .linalg.jacobian import Jacobian
from .linalg.precision import without_autocast
from .linalg.svd import top_singular_triplets
from .tensor_files import FLOATS, TensorSize, read_header, read_json, read_tensors, to_bytes

FORMAT = "pullback_basis"
VERSION = 1
TENSORS = ("v", "s", "u", "residuals")
ORTHONORMAL_TOLERANCE = 1e-3
CHUNK = 2**22  # numbers that are checked at once, so that a check takes little memory
HEADER_TYPES = {
    "products": int,
    "converged": bool,
    "sigma": float,
    "timestep": float,
    "seed": int,
    "provenance": dict,
}


@dataclass(frozen=True)
class PullbackBasis:
    """Leading singular triplets of x_t -> h at one point (Park et al. 2023, section 3.1).

    v: (rank, c, h, w) orthonormal directions in network coordinates (VP or flow); s: (rank,) descending;
    u: (rank, *H) orthonormal directions in feature space, J v_i = s_i u_i;
    residuals: (rank,) ||J^T u_i - s_i v_i|| / s_1; products: Jacobian products spent.
    sigma: noise level; timestep: the same as a fraction of T, in [0, 1]; seed: of the solver.
    provenance: str -> str: "feature", "model" and "picture" (fingerprints), "prompt" (a hash), "precision" (a dtype) when known.
    space: as in `SingularTriplets`, if it was to be kept; it is not saved.
    """

    v: torch.Tensor
    s: torch.Tensor
    u: torch.Tensor
    residuals: torch.Tensor
    products: int
    converged: bool
    sigma: float
    timestep: float
    seed: int = 0
    provenance: dict = field(default_factory=dict)
    space: tuple | None = None

    @property
    def rank(self):
        return len(self.s)

    def direction(self, index):
        """Direction `index`, counted from 0: (c, h, w), unit length. Raises ValueError when there is none."""
        if not 0 <= index < self.rank:
            raise ValueError(f"This basis has directions 0 to {self.rank - 1}, got {index}.")
        return self.v[index]

    def save(self, path):
        """Write a safetensors file, whole or not at all.

        Raises ValueError, before anything is written, for a basis that `load` would refuse, and as `write_atomically` does.
        """
        write_atomically(path, self._to_bytes())

    def save_as_first_free(self, paths):
        """Write a safetensors file to the first of `paths`, in one folder, that does not exist yet. Returns that path.

        Raises as `save` does, and FileExistsError when every path exists.
        """
        return write_first_free(paths, self._to_bytes())

    def _to_bytes(self):
        tensors = {name: getattr(self, name).detach().cpu() for name in TENSORS}
        header = {name: getattr(self, name) for name in HEADER_TYPES}
        try:
            text = _header_text(header)
            _validate_sizes({name: _size_of(tensor) for name, tensor in tensors.items()})
            _validate_numbers(tensors)
            return to_bytes(tensors, {"format": FORMAT, "version": str(VERSION), "header": text})
        except ValueError as error:
            raise ValueError(f"This basis cannot be saved: {error}.") from error

    @classmethod
    def load(cls, path, device="cpu"):
        """Read and validate a file of `save`. Sizes are checked first, so that a file never takes much more memory than its own size.

        Raises FileNotFoundError, ValueError with the reason for a file that is not a sound basis, and OSError for
        one that cannot be read.
        """
        path = Path(path)
        try:
            metadata, sizes = read_header(path, "basis file")
            if metadata.get("format") != FORMAT:
                raise ValueError("it holds something else")
            if metadata.get("version") != str(VERSION):
                raise ValueError(f"its version is {metadata.get('version')}, this program reads {VERSION}")
            missing = set(TENSORS) - set(sizes)
            if missing:
                raise ValueError(f"it lacks {', '.join(sorted(missing))}")
            header = _parse_header(metadata.get("header", ""))
            _validate_sizes({name: sizes[name] for name in TENSORS})
            tensors = read_tensors(path, TENSORS)
            _validate_numbers(tensors)
        except ValueError as error:
            raise ValueError(f"{path.name!r} is not a usable pullback basis: {error}.") from error
        header |= {"sigma": float(header["sigma"]), "timestep": float(header["timestep"])}
        return cls(**{name: tensor.to(device) for name, tensor in tensors.items()}, **header)


def _size_of(tensor):
    return TensorSize(str(tensor.dtype).removeprefix("torch."), tuple(tensor.shape))


def _header_text(header):
    """The fields of a basis that are no tensors, as JSON that `_parse_header` takes and gives back unchanged."""
    try:
        text = json.dumps(header)
    except (TypeError, RecursionError) as error:
        raise ValueError(f"its header holds something that a file cannot ({error})") from None
    if _parse_header(text) != header:
        raise ValueError("its provenance holds something other than text")
    return text


def _parse_header(text):
    """The fields of a basis that are no tensors, from JSON. Comparisons are written so that NaN fails."""
    header = read_json(text, "its header")
    if not isinstance(header, dict) or set(header) != set(HEADER_TYPES):
        raise ValueError(f"its header must have exactly the entries {', '.join(HEADER_TYPES)}")
    for name, kind in HEADER_TYPES.items():
        if type(header[name]) is not kind and not (kind is float and type(header[name]) is int):
            raise ValueError(f"its {name} is not of type {kind.__name__}")
    if not all(type(value) is str for value in header["provenance"].values()):
        raise ValueError("its provenance holds something other than text")
    if not (0 < header["sigma"] <= sys.float_info.max and 0 <= header["timestep"] <= 1):
        raise ValueError("its noise level is impossible")
    if not 0 <= header["products"] < 2**63:
        raise ValueError(
            "its count of products is impossible"
            if header["products"] > 0
            else "its count of products is negative"
        )
    if not -(2**63) <= header["seed"] < 2**64:
        raise ValueError("its seed has more than 64 bits")
    return header


def _validate_sizes(sizes):
    """Check types and shapes, before anything of their size is allocated. sizes: name -> `TensorSize`."""
    v, s, u, residuals = (sizes[name].shape for name in TENSORS)
    if len(s) != 1 or not s[0] or len(v) != 4 or len(u) < 2 or residuals != s:
        raise ValueError(f"its shapes are v {v}, s {s}, u {u}, residuals {residuals}")
    rank = s[0]
    if not v[0] == u[0] == rank:
        raise ValueError(f"it has {v[0]} directions in x, {u[0]} in h and {rank} singular values")
    for name in ("v", "u"):
        if sizes[name].numel < rank * rank:
            raise ValueError(
                f"it has {rank} directions {name} of {sizes[name].numel // rank} numbers, which cannot be orthonormal"
            )
    for name in TENSORS:
        if sizes[name].dtype not in FLOATS:
            raise ValueError(f"its {name} is of type {sizes[name].dtype}")


def _validate_numbers(tensors):
    """Check the numbers of tensors on the CPU whose sizes are right. Comparisons are written so that NaN fails."""
    for name, tensor in tensors.items():
        if not all(torch.isfinite(part).all() for part in tensor.flatten().split(CHUNK)):
            raise ValueError(f"its {name} holds numbers that are not finite")
    s, residuals = tensors["s"], tensors["residuals"]
    if not ((s >= 0).all() and (s.diff() <= 0).all()):
        raise ValueError("its singular values do not descend")
    if not (residuals >= 0).all():
        raise ValueError("its residuals are negative")
    for name in ("v", "u"):
        if not _are_orthonormal(tensors[name].flatten(1)):
            raise ValueError(f"its directions {name} are not orthonormal")


def _are_orthonormal(rows):
    """Whether finite rows (n, d) are orthonormal, computed in blocks and in float64, which all CPUs have."""
    tolerance = max(
        ORTHONORMAL_TOLERANCE, torch.finfo(rows.dtype).eps
    )  # bfloat16 cannot hold them more exactly
    blocks = rows.split(max(1, CHUNK // rows.shape[1]))
    for (
        block
    ) in blocks:  # norms come first: products of entries above 1e154 would overflow, and inf - inf is NaN
        if not ((block.double().square().sum(dim=1) - 1).abs() <= tolerance).all():
            return False
    for index, block in enumerate(blocks):
        block = block.double()
        for other_index, other in enumerate(blocks[: index + 1]):
            products = block @ other.double().T
            if index == other_index:
                products -= torch.eye(len(block), dtype=products.dtype)
            if not (products.abs() <= tolerance).all():
                return False
    return True


def require_one_origin(one, other):
    """Raise ValueError for two bases that are known to be of different models or features."""
    for name in ("model", "feature"):
        first, second = one.provenance.get(name), other.provenance.get(name)
        if first != second and None not in (first, second):
            raise ValueError(
                f"The bases differ in their {name} ({first} and {second}); compute them with the same one."
            )


def hash_weights(digest, weights):
    """Update a hashlib digest with named tensors. Reads a few numbers of each, which tells models apart and takes no time."""
    for name, weight in weights.items():
        digest.update(f"{name} {tuple(weight.shape)} {weight.flatten()[:4].float().tolist()}".encode())


def prompt_hash(prompt):
    """A short fingerprint of a prompt, so that a shared basis does not give its words away."""
    return hashlib.sha256(prompt.encode()).hexdigest()[:16]


def require_latent(z):
    """One noisy latent, (c, h, w) or (1, c, h, w), as (c, h, w). Raises ValueError for several, and where the map is undefined."""
    if z.ndim == 4 and len(z) == 1:
        z = z[0]
    if z.ndim != 3:
        raise ValueError(f"A basis belongs to one latent (c, h, w), got shape {tuple(z.shape)}.")
    if not torch.isfinite(z).all() or not z.any():
        raise ValueError(
            "The noisy latent is all zeros or not finite; add noise to it or invert a picture first."
        )
    return z


@without_autocast()
def local_basis(
    denoiser,
    z,
    sigma,
    rank,
    *,
    tolerance=1e-2,
    max_products=None,
    seed=0,
    method="krylov",
    start=None,
    batch_size=None,
    progress=None,
    keep_space=False,
    offload=False,
    block_size=None,
):
    """The leading directions of x_t -> h at one noisy latent.

    z: (c, h, w) or (1, c, h, w) in network coordinates (VP or flow) at noise level sigma.
    start: a `PullbackBasis` near the one that is sought, say of a neighbouring timestep, to begin the search with.
        One of this very point that kept its space is extended: a larger rank or a smaller tolerance costs the difference
        and the check of the result.
    batch_size: products of one block that run at once (memory); offload: keep activations in main memory, as in `Jacobian`.
    progress: called as progress(products, largest residual so far) after each batch of products and each block;
        an exception it raises ends the work. The rest as in `top_singular_triplets`.
    keep_space: let the basis keep its search space, which takes several times its own memory, for a later `start`.
    Returns a `PullbackBasis`. For a batch of samples see `local_bases`.
    Raises ValueError for more than one sample, a noise level that the model does not have, or an input at which the map is
    undefined.
    """
    sigma = denoiser.schedule.require_level(sigma)
    z = require_latent(z)
    residual = math.inf

    def after_block(products, newest):
        nonlocal residual
        residual = newest
        if progress:
            progress(products, residual)

    jacobian = Jacobian(
        lambda points: denoiser.encode(points, sigma),
        z,
        batch_size=batch_size,
        offload=offload,
        progress=progress and (lambda products: progress(products, residual)),
    )
    provenance = dict(denoiser.provenance)
    goes_on = start is not None and (start.sigma, start.provenance) == (
        float(sigma),
        provenance,
    )  # z: the solver finds out
    triplets = top_singular_triplets(
        jacobian,
        rank,
        tolerance=tolerance,
        max_products=max_products,
        seed=seed,
        method=method,
        block_size=block_size,
        progress=after_block,
        start=None if start is None else start.v.to(z),
        space=start.space if goes_on else None,
    )
    if not keep_space:
        triplets = triplets._replace(space=None)
    return PullbackBasis(
        **triplets._asdict(),
        sigma=float(sigma),
        timestep=denoiser.schedule.fraction(sigma),
        seed=seed,
        provenance=provenance,
    )


def local_bases(denoiser, z, sigma, rank, **options):
    """One basis for each sample of a batch z (b, c, h, w), as a list; options as in `local_basis`."""
    return [local_basis(denoiser, sample, sigma, rank, **options) for sample in z]
