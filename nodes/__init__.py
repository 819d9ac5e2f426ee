"""The pack's nodes. A node is a class in a file of its subject and one line in NODES; ids never change."""

from __future__ import annotations

from comfy_api.latest import ComfyExtension, io

from .cameras import CamerasNode
from .compare import Compare
from .demo import DemoModels
from .export import ExtractMesh, LoadScene, SaveMesh, SaveScene
from .guidance import BridgeGuidance, CSDGuidance, ESDGuidance, SDSGuidance, TBSDGuidance, VSDGuidance
from .metrics import Metrics
from .optimize import OptimizeImage, Optimizer3D
from .presets import RecommendedSettings
from .prompts import PromptEncode, PromptsFromConditioning, TargetNegativePrompt
from .render import RenderViews
from .scene import ImageSceneNode, NeRFSceneNode

NODES: list[type[io.ComfyNode]] = [
    DemoModels,
    PromptEncode,
    TargetNegativePrompt,
    PromptsFromConditioning,
    TBSDGuidance,
    SDSGuidance,
    CSDGuidance,
    BridgeGuidance,
    VSDGuidance,
    ESDGuidance,
    ImageSceneNode,
    NeRFSceneNode,
    CamerasNode,
    RecommendedSettings,
    Optimizer3D,
    OptimizeImage,
    Compare,
    RenderViews,
    ExtractMesh,
    SaveMesh,
    SaveScene,
    LoadScene,
    Metrics,
]


class TBSDExtension(ComfyExtension):
    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        return NODES
