"""Our meshes drawn and written by the host, and the host's by us: colours, PBR and files. Prints what came of it, and
writes pictures to the folder that is the third argument."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
from pack import load_pack

load = load_pack()

import torch  # noqa: E402
from PIL import Image  # noqa: E402

interop, texture = load("nodes.bridge.interop.mesh"), load("nodes.bridge.texture")
cameras, compat = load("nodes.bridge.interop.cameras"), load("nodes.bridge.compat")
core, scenes, io = load("tbsd_core.mesh"), load("tbsd_core.scenes"), load("tbsd_core.mesh.io")
load_mesh, sample = load("tbsd_core.mesh.load").load_mesh, load("tbsd_core.sample_meshes").sample_mesh
OUT, SIZE = Path(sys.argv[3]), 160
CAMERA = cameras.Camera(azimuth=35.0, elevation=20.0, distance=3.0, fov_y=36.0)
report: dict[str, object] = {"has": compat.has("MESH.normal_map")}


def colored(grey: bool = False):
    """A house with a smooth colour at every vertex, neither dark nor saturated."""
    house = sample("house", 40)
    colors = np.full_like(house.vertices, 0.5) if grey else (0.6 + 0.25 * np.sin(3 * house.vertices))
    return core.Mesh(house.vertices, house.faces, colors.astype(np.float32))


def drawn_here(mesh) -> tuple[np.ndarray, np.ndarray]:
    """The colours that the mesh has, unlit, on black, and where it is."""
    config = scenes.MeshTextureConfig(resolutions=(33, 129), shading="none", supersample=1, background=(0.0, 0.0, 0.0))
    place = core.PlacementConfig(radius=None)
    scene = texture.scene_of_mesh(mesh, config, place, True, lambda done: None)
    with torch.no_grad():
        view = scene.render(CAMERA.batch(), SIZE, SIZE)
    return view.rgb[0].movedim(0, -1).numpy(), view.opacity[0, 0].numpy()


def drawn_there(mesh, mode: str = "auto") -> tuple[np.ndarray, np.ndarray]:
    from comfy_extras.nodes_mesh_postprocess import RenderMesh

    info = cameras.to_info(CAMERA)
    image, mask = RenderMesh.execute(mesh, mode, SIZE, SIZE, "#000000", camera_info=info).args
    return image[0].numpy(), mask[0].numpy()


def compared(name: str, a: tuple[np.ndarray, np.ndarray], b: tuple[np.ndarray, np.ndarray]) -> dict[str, float]:
    """Overlap of the outlines, also upside down; differences of colours in 1/255, of the mean and of most pixels."""
    sheet = (np.concatenate([a[0], b[0]], 1) * 255).round().clip(0, 255).astype(np.uint8)
    Image.fromarray(sheet).save(OUT / f"{name}.png")
    in_a, in_b = a[1] > 0.5, b[1] > 0.5
    both = in_a & in_b
    gap = np.abs(a[0][both].mean(0) - b[0][both].mean(0)).max() * 255
    most = np.quantile(np.abs(a[0][both] - b[0][both]), 0.95) * 255

    def iou(x: np.ndarray, y: np.ndarray) -> float:
        return float((x & y).sum() / max((x | y).sum(), 1))

    return {"iou": iou(in_a, in_b), "flipped": iou(in_a, in_b[::-1]), "gap": float(gap), "most": float(most)}


mesh = colored()
socket = interop.to_mesh(mesh)
back = interop.from_mesh(socket)
report["back"] = float(np.abs(back.colors - mesh.colors).max())
report["grey"] = float(interop.to_mesh(colored(grey=True)).vertex_colors.mean())
if report["has"]:
    from comfy_extras.nodes_save_3d import mesh_item_to_glb_bytes

    report["ours there"] = compared("ours_there", drawn_here(mesh), drawn_there(socket))
    # as the host's own nodes colour vertices (paint_mesh_with_voxels)
    theirs = interop.to_mesh(core.Mesh(mesh.vertices, mesh.faces))
    theirs.vertex_colors = torch.from_numpy(mesh.colors)[None].pow(2.2)
    report["theirs here"] = compared("theirs_here", drawn_here(interop.from_mesh(theirs)), drawn_there(theirs))
    (OUT / "theirs.glb").write_bytes(mesh_item_to_glb_bytes(socket, 0))
    report["their file here"] = float(np.abs(load_mesh(OUT / "theirs.glb").mesh.colors - mesh.colors).max())
print(json.dumps(report))
