"""The pack's nodes: each reads its inputs, calls the core through the host adapter, and wraps the result."""

from comfy_api.latest import ComfyExtension

from .basis_compare import BasisCompare
from .basis_over_time import BasisOverTime
from .basis_visualizer import BasisVisualizer
from .ddim_invert import DDIMInvert
from .example_face import ExampleFace
from .explain_features import ExplainFeatures
from .faces_prompt import FacesPrompt
from .global_basis import GlobalBasis
from .guidance_edit import GuidanceEdit
from .load_basis import LoadBasis
from .load_faces_model import LoadFacesModel
from .parallel_transport import ParallelTransport
from .pullback_basis import PullbackBasisNode
from .quality_boost import QualityBoost
from .save_basis import SaveBasis


class PullbackExtension(ComfyExtension):
    async def get_node_list(self):
        return [
            DDIMInvert,
            PullbackBasisNode,
            GuidanceEdit,
            ParallelTransport,
            BasisVisualizer,
            QualityBoost,
            SaveBasis,
            LoadBasis,
            LoadFacesModel,
            FacesPrompt,
            ExampleFace,
            BasisOverTime,
            BasisCompare,
            GlobalBasis,
            ExplainFeatures,
        ]
