"""Meaningful directions of diffusion models, from the pullback metric of their bottleneck features.

Implements Park, Kwon, Choi, Jo, Uh, "Understanding the Latent Space of Diffusion Models through the
Lens of Riemannian Geometry", NeurIPS 2023 (arXiv 2307.12868), on plain torch tensors. The way of the data:

    image -> x_0 --ddim.invert--> x_t --local_basis--> PullbackBasis
          -> x_space_guidance (or parallel_transport first) -> x_t' --ddim.generate--> x_0' -> image
"""

from .cli import console

if console.runs_the_command():
    console.prepare_command()  # before torch is imported, which takes its time

from . import ddim, spectra
from .basis import PullbackBasis, local_bases, local_basis
from .compare_features import FeatureReport, explain_features, explain_table
from .global_basis import global_basis
from .guidance import edit_grid, x_space_guidance
from .linalg import subspaces
from .linalg.jacobian import Jacobian, adjoint_error
from .linalg.svd import SingularTriplets, top_singular_triplets
from .models.denoiser import Denoiser
from .models.schedule import FlowSchedule, NoiseSchedule, VPSchedule
from .over_time import Moment, bases_over_time
from .rules.mode import Differentiable
from .transport import Transported, parallel_transport, transported_basis

__all__ = [
    "Denoiser",
    "Differentiable",
    "FeatureReport",
    "FlowSchedule",
    "Jacobian",
    "Moment",
    "NoiseSchedule",
    "PullbackBasis",
    "SingularTriplets",
    "Transported",
    "VPSchedule",
    "adjoint_error",
    "bases_over_time",
    "ddim",
    "edit_grid",
    "explain_features",
    "explain_table",
    "global_basis",
    "local_bases",
    "local_basis",
    "parallel_transport",
    "spectra",
    "subspaces",
    "top_singular_triplets",
    "transported_basis",
    "x_space_guidance",
]
