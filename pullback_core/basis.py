"""The local basis of a diffusion model at one noisy latent, and its file format."""

import hashlib
import json
import math
import sys
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from .files import write_atomically
from .jacobian import Jacobian
from .svd import top_singular_triplets

FORMAT = "pullback_basis"
VERSION = 1
TENSORS = ("v", "s", "u", "residuals")
DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
ORTHONORMAL_TOLERANCE = 1e-3


@dataclass(frozen=True)
class PullbackBasis:
    """Leading singular triplets of x_t -> h at one point (Park et al. 2023, section 3.1).

    v: (rank, c, h, w) orthonormal directions in network coordinates (VP or flow); s: (rank,) descending;
    u: (rank, *H) orthonormal directions in feature space, J v_i = s_i u_i;
    residuals: (rank,) ||J^T u_i - s_i v_i|| / s_1; products: Jacobian products spent.
    sigma: noise level; timestep: the same as a fraction of T, in [0, 1]; seed: of the solver.
    provenance: str -> str: "feature", "model" (a fingerprint), "prompt" (a hash) and "precision" (a dtype) when known.
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
        """Write a safetensors file, whole or not at all."""
        tensors = {name: getattr(self, name).detach().cpu().contiguous() for name in TENSORS}
        header = {
            "products": self.products, "converged": self.converged, "sigma": self.sigma,
            "timestep": self.timestep, "seed": self.seed, "provenance": self.provenance,
        }
        metadata = {"format": FORMAT, "version": str(VERSION), "header": json.dumps(header)}
        write_atomically(path, save(tensors, metadata))

    @classmethod
    def load(cls, path, device="cpu"):
        """Read and validate a file of `save`.

        Raises FileNotFoundError, or ValueError with the reason for a file that is not a sound basis.
        """
        path = Path(path)
        if not path.is_file():
            raise FileNotFoundError(f"There is no basis file {str(path)!r}.")
        try:
            with safe_open(path, "pt", device=str(device)) as file:
                metadata = file.metadata() or {}
                if metadata.get("format") != FORMAT:
                    raise ValueError("it holds something else")
                if metadata.get("version") != str(VERSION):
                    raise ValueError(f"its version is {metadata.get('version')}, this program reads {VERSION}")
                missing = set(TENSORS) - set(file.keys())
                if missing:
                    raise ValueError(f"it lacks {', '.join(sorted(missing))}")
                tensors = {name: file.get_tensor(name) for name in TENSORS}
            header = _read_header(metadata.get("header", ""))
            _validate(tensors)
        except (SafetensorError, ValueError) as error:
            raise ValueError(f"{path.name!r} is not a usable pullback basis: {error}.") from error
        header |= {"sigma": float(header["sigma"]), "timestep": float(header["timestep"])}
        return cls(**tensors, **header)


def _read_header(text):
    fields = {"products": int, "converged": bool, "sigma": float, "timestep": float, "seed": int, "provenance": dict}
    try:
        header = json.loads(text)
    except (json.JSONDecodeError, RecursionError):
        raise ValueError("its header is not JSON") from None
    if not isinstance(header, dict) or set(header) != set(fields):
        raise ValueError(f"its header must have exactly the entries {', '.join(fields)}")
    for name, kind in fields.items():
        if type(header[name]) is not kind and not (kind is float and type(header[name]) is int):
            raise ValueError(f"its {name} is not of type {kind.__name__}")
    if not all(type(value) is str for value in header["provenance"].values()):
        raise ValueError("its provenance holds something other than text")
    if not (0 < header["sigma"] <= sys.float_info.max and 0 <= header["timestep"] <= 1):
        raise ValueError("its noise level is impossible")
    if header["products"] < 0:
        raise ValueError("its count of products is negative")
    return header


def _validate(tensors):
    v, s, u, residuals = (tensors[name] for name in TENSORS)
    if s.ndim != 1 or not len(s) or v.ndim != 4 or u.ndim < 2 or residuals.shape != s.shape:
        raise ValueError(f"its shapes are v {tuple(v.shape)}, s {tuple(s.shape)}, u {tuple(u.shape)}")
    if not len(v) == len(u) == len(s):
        raise ValueError(f"it has {len(v)} directions in x, {len(u)} in h and {len(s)} singular values")
    for name, tensor in tensors.items():
        if tensor.dtype not in DTYPES:
            raise ValueError(f"its {name} is of type {str(tensor.dtype).removeprefix('torch.')}")
        if not torch.isfinite(tensor).all():
            raise ValueError(f"its {name} holds numbers that are not finite")
    if (s < 0).any() or (s.diff() > 0).any():
        raise ValueError("its singular values do not descend")
    if (residuals < 0).any():
        raise ValueError("its residuals are negative")
    for name in ("v", "u"):
        rows = tensors[name].flatten(1).double()
        if (rows @ rows.T - torch.eye(len(rows), dtype=rows.dtype, device=rows.device)).abs().max() > ORTHONORMAL_TOLERANCE:
            raise ValueError(f"its directions {name} are not orthonormal")


def require_one_origin(one, other):
    """Raise ValueError for two bases that are known to be of different models or features."""
    for name in ("model", "feature"):
        first, second = one.provenance.get(name), other.provenance.get(name)
        if first != second and None not in (first, second):
            raise ValueError(f"The bases differ in their {name} ({first} and {second}); compute them with the same one.")


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
        raise ValueError("The noisy latent is all zeros or not finite; add noise to it or invert a picture first.")
    return z


def local_basis(
    denoiser, z, sigma, rank, *, tolerance=1e-2, max_products=None, seed=0, method="krylov", start=None, batch_size=None, progress=None,
    keep_space=False, offload=False,
):
    """The leading directions of x_t -> h at one noisy latent.

    z: (c, h, w) or (1, c, h, w) in network coordinates (VP or flow) at noise level sigma.
    start: a `PullbackBasis` near the one that is sought, say of a neighbouring timestep, to begin the search with.
        One of this very point that kept its space is extended: a larger rank or a smaller tolerance costs the difference.
    batch_size: products that run at once (memory); offload: keep activations in main memory, as in `Jacobian`.
    progress: called as progress(products, largest residual so far) after each batch of products and each block;
        an exception it raises ends the work. The rest as in `top_singular_triplets`.
    keep_space: let the basis keep its search space, which takes several times its own memory, for a later `start`.
    Returns a `PullbackBasis`. For a batch of samples see `local_bases`.
    Raises ValueError for more than one sample, or an input at which the map is undefined.
    """
    z = require_latent(z)
    residual = math.inf

    def after_block(products, newest):
        nonlocal residual
        residual = newest
        if progress:
            progress(products, residual)

    jacobian = Jacobian(
        lambda points: denoiser.encode(points, sigma), z, batch_size=batch_size, offload=offload,
        progress=progress and (lambda products: progress(products, residual)),
    )
    provenance = dict(denoiser.provenance)
    goes_on = start is not None and (start.sigma, start.provenance) == (float(sigma), provenance)  # z: the solver finds out
    triplets = top_singular_triplets(
        jacobian, rank, tolerance=tolerance, max_products=max_products, seed=seed, method=method, progress=after_block,
        start=None if start is None else start.v.to(z), space=start.space if goes_on else None,
    )
    if not keep_space:
        triplets = triplets._replace(space=None)
    return PullbackBasis(
        **triplets._asdict(), sigma=float(sigma), timestep=denoiser.schedule.fraction(sigma), seed=seed, provenance=provenance,
    )


def local_bases(denoiser, z, sigma, rank, **options):
    """One basis for each sample of a batch z (b, c, h, w), as a list; options as in `local_basis`."""
    return [local_basis(denoiser, sample, sigma, rank, **options) for sample in z]
