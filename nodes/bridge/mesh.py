"""The surface of a scene, cut out for ComfyUI's nodes."""

from __future__ import annotations

import logging

import comfy.model_management
import comfy.utils

from ...tbsd_core.mesh import ExportConfig, Mesh, textured_mesh
from ...tbsd_core.scenes import MeshTextureScene, Scene, Scene3D
from .autograd import optimization_mode
from .interop.mesh import to_mesh
from .render import device_copy

logger = logging.getLogger(__name__)


def extract(scene: Scene, config: ExportConfig, node_id: str | None = None):
    """MESH of a 3D scene, and a sentence or more on how it was made. Raises ValueError for a picture."""
    mesh, text = cut(scene, config, node_id, "Extract Mesh")
    return to_mesh(mesh), text


def cut(scene: Scene, config: ExportConfig, node_id: str | None, node: str) -> tuple[Mesh, str]:
    """The same as the core's mesh; `node` is the name that errors give the node."""
    if not scene.uses_cameras:
        raise ValueError(f"{node} needs a 3D scene; a picture has no surface.")
    if not isinstance(scene, (Scene3D, MeshTextureScene)):
        raise ValueError(
            f"{node} needs a scene with a surface, got {type(scene).__name__}: splats have none. "
            "Connect a NeRF Scene, or use Save Splats."
        )
    bar = comfy.utils.ProgressBar(100, node_id=node_id)

    def on_progress(stage: str, done: float) -> None:
        comfy.model_management.throw_exception_if_processing_interrupted()
        bar.update_absolute(round(100 * done), 100)

    with optimization_mode():
        mesh, report = textured_mesh(device_copy(scene), config, on_progress)
    for warning in report["warnings"]:
        logger.warning(warning)
    kind = "vertex colours" if mesh.texture is None else "texture {1} x {0}".format(*mesh.texture.shape)
    return mesh, "\n".join([f"{report['faces']:,} triangles, {kind}", *report["warnings"]])
