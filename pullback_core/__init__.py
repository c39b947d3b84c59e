"""Meaningful directions of diffusion models, from the pullback metric of their bottleneck features.

Implements Park, Kwon, Choi, Jo, Uh, "Understanding the Latent Space of Diffusion Models through the
Lens of Riemannian Geometry", NeurIPS 2023 (arXiv 2307.12868), on plain torch tensors. The way of the data:

    image -> x_0 --ddim.invert--> x_t --local_basis--> PullbackBasis
          -> x_space_guidance (or parallel_transport first) -> x_t' --ddim.generate--> x_0' -> image
"""

from . import console

if console.runs_the_command():
    console.prepare_command()  # before torch is imported, which takes its time

from . import ddim, geometry
from .basis import PullbackBasis, local_bases, local_basis
from .denoiser import Denoiser
from .differentiable import Differentiable
from .explain import FeatureReport, explain_features, explain_table
from .guidance import edit_grid, x_space_guidance
from .jacobian import Jacobian, adjoint_error
from .mean import global_basis
from .over_time import Moment, bases_over_time
from .schedule import FlowSchedule, NoiseSchedule, VPSchedule
from .svd import SingularTriplets, top_singular_triplets
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
    "geometry",
    "global_basis",
    "local_bases",
    "local_basis",
    "parallel_transport",
    "top_singular_triplets",
    "transported_basis",
    "x_space_guidance",
]
