"""Further search words for the nodes, which ComfyUI from 0.10 on searches beside their names."""

from __future__ import annotations

from collections.abc import Mapping

from comfy_api.latest import io

from . import sockets

ALIASES: Mapping[str, tuple[str, ...]] = {
    "TBSD_DemoModels": ("demo", "example model", "tiny model", "test checkpoint", "no download"),
    "TBSD_SampleMesh": ("test mesh", "example mesh", "primitive", "cube", "load sample"),
    "TBSD_PromptEncode": ("text encode", "prompt", "view dependent prompt", "front view side view", "clip encode"),
    "TBSD_TargetNegativePrompt": ("negative prompt", "tnp", "target negative", "texture prompt"),
    "TBSD_PerpNeg": ("janus", "perpendicular negative", "multi face problem", "several heads"),
    "TBSD_Zero123Prompt": ("image to 3d", "picture to 3d", "stable zero123", "novel view", "photo to 3d"),
    "TBSD_PromptsFromConditioning": ("conditioning to prompts", "use conditioning", "flux prompt", "sdxl prompt"),
    "TBSD_Guidance": ("tbsd", "target balanced score distillation", "score distillation", "multi objective", "mgda"),
    "TBSD_SDSGuidance": ("sds", "dreamfusion", "score distillation", "score distillation sampling", "magic3d"),
    "TBSD_VSDGuidance": ("vsd", "prolificdreamer", "variational score distillation", "lora distillation"),
    "TBSD_CSDGuidance": ("csd", "classifier score distillation", "perpendicular guidance"),
    "TBSD_ISMGuidance": ("ism", "luciddreamer", "interval score matching"),
    "TBSD_SDIGuidance": ("sdi", "score distillation via inversion", "ddim inversion"),
    "TBSD_NFSDGuidance": ("nfsd", "noise free score distillation"),
    "TBSD_HiFAGuidance": ("hifa", "high fidelity text to 3d"),
    "TBSD_BridgeGuidance": ("sds bridge", "bridge distillation", "schroedinger bridge"),
    "TBSD_ESDGuidance": ("esd", "entropic score distillation"),
    "TBSD_BSDGuidance": ("bsd", "balanced score distillation"),
    "TBSD_DDSGuidance": ("dds", "delta denoising score", "edit", "image editing", "instruct pix2pix"),
    "TBSD_PDSGuidance": ("pds", "posterior distillation sampling", "edit", "image editing"),
    "TBSD_SSDGuidance": ("ssd", "stable score distillation", "edit", "style edit"),
    "TBSD_EditGuidance": ("tbsd edit", "edit", "restyle", "change material", "retexture", "image editing"),
    "TBSD_DVRFGuidance": ("dvrf", "delta velocity rectified flow", "edit", "flowedit", "flux edit"),
    "TBSD_ImageScene": ("text to image", "restyle", "image to image", "optimise image", "optimize pixels", "img2img"),
    "TBSD_NeRFScene": ("nerf", "text to 3d", "radiance field", "volume", "instant ngp", "3d from text"),
    "TBSD_MeshTextureScene": (
        *("retexture", "restyle", "text to texture", "paint mesh", "texture mesh", "load mesh", "pbr", "text2tex"),
    ),
    "TBSD_GaussianScene": (
        *("gaussian splat", "gaussian splatting", "splat", "3dgs", "dreamgaussian", "refine splat", "load ply"),
    ),
    "TBSD_RegionFromView": ("inpaint 3d", "visibility mask", "projection mask", "lock", "repair back", "unseen side"),
    "TBSD_RegionFromMask": ("inpaint", "mask texture", "lock", "repaint", "paint mask", "local edit"),
    "TBSD_RegionFromPart": ("mesh part", "submesh", "connected component", "lock", "local edit"),
    "TBSD_Cameras": ("camera range", "viewpoint", "view angles", "orbit", "elevation azimuth", "fov"),
    "TBSD_CameraPreset": ("viewpoint", "view angles", "camera range", "portrait lens"),
    "TBSD_Timesteps": ("noise level", "timestep annealing", "sigma range", "denoise range"),
    "TBSD_RecommendedSettings": ("preset", "defaults", "best settings", "hyperparameters"),
    "TBSD_Optimizer3D": ("text to 3d", "score distillation", "train 3d", "generate 3d", "dreamfusion", "retexture"),
    "TBSD_OptimizeImage": ("text to image", "score distillation", "train image", "restyle", "distill"),
    "TBSD_RefineAsMesh": ("magic3d", "fantasia3d", "coarse to fine", "nerf to mesh", "dmtet", "second stage"),
    "TBSD_ViewControl": ("controlnet", "depth controlnet", "normal controlnet", "view consistency", "janus"),
    "TBSD_Compare": ("side by side", "benchmark", "ablation", "grid of methods"),
    "TBSD_RenderViews": ("turntable", "render 3d", "orbit video", "multi view", "multiview", "depth map", "normal map"),
    "TBSD_ExtractMesh": ("marching cubes", "nerf to mesh", "scene to mesh", "bake texture", "export mesh"),
    "TBSD_SaveMesh": ("export mesh", "save glb", "save obj", "save ply", "export glb", "save 3d model"),
    "TBSD_SaveSplats": ("export splat", "save ply", "save gaussian splat", "export gaussian", "3dgs"),
    "TBSD_SaveScene": ("checkpoint", "save nerf", "save run", "safetensors"),
    "TBSD_LoadScene": ("load nerf", "resume", "continue run", "open checkpoint", "safetensors"),
    "TBSD_InspectDirections": ("gradient", "visualize guidance", "noise prediction", "debug distillation"),
    "TBSD_OverTime": ("progress sheet", "time lapse", "training progress", "history"),
    "TBSD_SeedsGrid": ("seed grid", "several seeds", "batch of seeds", "diversity"),
    "TBSD_SweepShape": ("xy plot", "sweep", "parameter grid", "ablation"),
    "TBSD_ObjectivePath": ("loss path", "pareto", "trade off", "multi objective"),
    "TBSD_Metrics": ("clip score", "quality", "evaluate", "sharpness", "colourfulness", "psnr"),
}
OF_CATEGORY: Mapping[str, tuple[str, ...]] = {  # for a node that has no words of its own
    sockets.GUIDANCE: ("distillation method", "guidance method"),
    sockets.SCENE: ("what is optimised", "scene"),
    sockets.ANALYSIS: ("analysis", "compare"),
}


def with_aliases(schema: io.Schema) -> io.Schema:
    """A schema with its words, for which older hosts have no field and no use."""
    schema.search_aliases = list(ALIASES.get(schema.node_id) or OF_CATEGORY.get(schema.category, ("tbsd",)))
    return schema
