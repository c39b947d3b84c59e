"""Meaningful directions of diffusion models, from the pullback metric of what the network computes.

Implements Park, Kwon, Choi, Jo, Uh, "Understanding the Latent Space of Diffusion Models through the
Lens of Riemannian Geometry", NeurIPS 2023 (arXiv 2307.12868), on plain torch tensors. The paper reads the
bottleneck of a UNet. Here any block can be read, and also the predicted picture. The way of the data:

    picture -> x_0 --ddim.invert--> NoisyLatent --local_basis--> PullbackBasis
          --rotated_basis, masked_basis, ...--> PullbackBasis
          --edit_by, or edit--> NoisyLatent --ddim.generate--> x_0' -> picture
"""

from .cli import console

if console.runs_the_command():
    console.prepare_command()  # before torch is imported, which takes its time

from . import ddim, spectra
from .basis import PullbackBasis
from .compare_bases import BasisComparison, compare_bases
from .compare_features import FeatureReport, compare_features, feature_table
from .directions.alignment import describe_alignment
from .directions.apply import apply_direction
from .directions.averaging import averaged_basis, renoised
from .directions.linear_range import linear_range
from .directions.masked_search import search_within
from .directions.masks import masked_basis
from .directions.mixing import mix
from .directions.moves import move
from .directions.naming import named_basis
from .directions.pictures import with_pictures
from .directions.preview import preview_by
from .directions.responses import responses
from .directions.rotation import rotated_basis
from .directions.setting import mix_setting
from .directions.shifts import strongest_part
from .directions.strength import calibrated_lengths, edit_by
from .directions.sums import sums_of_known, weighted_sums
from .directions.widening import wide_basis
from .directions.words import listening_points, word_direction, word_shift
from .global_basis import global_basis
from .guidance import edit, edit_grid
from .linalg import subspaces
from .linalg.check import adjoint_error
from .linalg.jacobian import Jacobian
from .linalg.svd import SingularTriplets, top_singular_triplets
from .local_basis import feature_jacobian, local_bases, local_basis
from .models.denoiser import Denoiser
from .models.schedule import FlowSchedule, NoiseSchedule, VPSchedule
from .noisy import NoisyLatent
from .over_time import BasisAtTimestep, bases_over_time
from .rules.mode import Differentiable
from .transport import Transported, parallel_transport, transported_basis

__all__ = [
    "BasisAtTimestep",
    "BasisComparison",
    "Denoiser",
    "Differentiable",
    "FeatureReport",
    "FlowSchedule",
    "Jacobian",
    "NoiseSchedule",
    "NoisyLatent",
    "PullbackBasis",
    "SingularTriplets",
    "Transported",
    "VPSchedule",
    "adjoint_error",
    "apply_direction",
    "averaged_basis",
    "bases_over_time",
    "calibrated_lengths",
    "compare_bases",
    "compare_features",
    "ddim",
    "describe_alignment",
    "edit",
    "edit_by",
    "edit_grid",
    "feature_jacobian",
    "feature_table",
    "global_basis",
    "linear_range",
    "listening_points",
    "local_bases",
    "local_basis",
    "masked_basis",
    "mix",
    "mix_setting",
    "move",
    "named_basis",
    "parallel_transport",
    "preview_by",
    "renoised",
    "responses",
    "rotated_basis",
    "search_within",
    "spectra",
    "strongest_part",
    "subspaces",
    "sums_of_known",
    "top_singular_triplets",
    "transported_basis",
    "weighted_sums",
    "wide_basis",
    "with_pictures",
    "word_direction",
    "word_shift",
]
