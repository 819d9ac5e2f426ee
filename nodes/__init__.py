"""The pack's nodes. A node is a class in a file of its subject and one line in NODES; ids never change."""

from __future__ import annotations

from comfy_api.latest import ComfyExtension, io

from .analysis.inspect import InspectDirections
from .analysis.overtime import OverTime
from .analysis.path import ObjectivePathNode
from .analysis.seeds import SeedsGrid
from .analysis.vary import VarySetting
from .bridge.compat import require_host
from .bridge.routes import register_routes
from .cameras import CameraPresetNode, CamerasNode
from .compare import Compare
from .demo import DemoModels, SampleMesh
from .export import ExtractMesh, LoadScene, SaveMesh, SaveScene
from .guidance import (
    BridgeGuidance,
    BSDGuidance,
    CSDGuidance,
    ESDGuidance,
    HiFAGuidance,
    ISMGuidance,
    NFSDGuidance,
    SDIGuidance,
    SDSGuidance,
    TBSDGuidance,
    VSDGuidance,
)
from .metrics import Metrics
from .optimize import OptimizeImage, Optimizer3D
from .presets import RecommendedSettings
from .prompts import PerpNeg, PromptEncode, PromptsFromConditioning, TargetNegativePrompt
from .render import RenderViews
from .scene import ImageSceneNode, NeRFSceneNode
from .splats import GaussianSceneNode, SaveSplats
from .texture import MeshTextureSceneNode
from .timesteps import TimestepsNode

NODES: list[type[io.ComfyNode]] = [
    DemoModels,
    SampleMesh,
    PromptEncode,
    TargetNegativePrompt,
    PromptsFromConditioning,
    PerpNeg,
    TBSDGuidance,
    SDSGuidance,
    CSDGuidance,
    BridgeGuidance,
    VSDGuidance,
    ESDGuidance,
    NFSDGuidance,
    BSDGuidance,
    ISMGuidance,
    SDIGuidance,
    HiFAGuidance,
    ImageSceneNode,
    NeRFSceneNode,
    MeshTextureSceneNode,
    GaussianSceneNode,
    CamerasNode,
    CameraPresetNode,
    TimestepsNode,
    RecommendedSettings,
    Optimizer3D,
    OptimizeImage,
    Compare,
    RenderViews,
    ExtractMesh,
    SaveMesh,
    SaveSplats,
    SaveScene,
    LoadScene,
    InspectDirections,
    OverTime,
    SeedsGrid,
    VarySetting,
    ObjectivePathNode,
    Metrics,
]


class TBSDExtension(ComfyExtension):
    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        require_host()
        register_routes()
        return NODES
