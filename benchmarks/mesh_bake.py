"""The distance of a run's exported mesh from the renders of its scene: python -m benchmarks.mesh_bake RUN_FOLDER ...

Eight views at 15 degrees, the mesh drawn with four rays per pixel over the scene's background. RMS over pixels that the
mesh covers and whose opacity exceeds 0.9 (and, for comparison, 0.5, where the soft outline counts).
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
import torch.nn.functional as F

from tbsd_core.cameras.sampling import orbit
from tbsd_core.experiment import read_newest
from tbsd_core.mesh import Mesh, textured_mesh
from tbsd_core.mesh.glb import glb_bytes
from tbsd_core.mesh.uv import uv_overlap
from tbsd_core.renderer.rasterize import interpolate, project, rasterize
from tbsd_core.scenes import MeshTextureScene, Scene3D

VIEWS, SIZE, ELEVATION = 8, 128, 15.0


def draw(mesh: Mesh, cameras, background) -> tuple[torch.Tensor, torch.Tensor]:
    """Pictures [B, 3, SIZE, SIZE] and coverage [B, 1, SIZE, SIZE] of a textured mesh."""
    faces, side = torch.from_numpy(mesh.faces), 2 * SIZE
    fragments = rasterize(project(cameras, torch.from_numpy(mesh.vertices), side, side), faces, side, side)
    grid = interpolate(torch.from_numpy(mesh.uvs), faces, fragments) * 2 - 1
    texture = torch.from_numpy(mesh.texture).permute(2, 0, 1)[None].expand(len(cameras), -1, -1, -1)
    covered = (fragments.face >= 0)[:, None].float()
    color = F.grid_sample(texture, grid, padding_mode="border", align_corners=False)
    picture = color * covered + torch.tensor(background).view(1, 3, 1, 1) * (1 - covered)
    return F.avg_pool2d(picture, 2), F.avg_pool2d(covered, 2)


@torch.no_grad()
def main(folders: list[str]) -> None:
    for folder in folders:
        scene = read_newest(Path(folder)).scene()
        if not isinstance(scene, (Scene3D, MeshTextureScene)):
            raise SystemExit(f"{folder} holds a picture.")
        mesh, report = textured_mesh(scene)
        if mesh.texture is None:
            raise SystemExit("\n".join(report["warnings"]))
        cameras = orbit(VIEWS, ELEVATION)
        renders = [scene.render(cameras[i : i + 1], SIZE, SIZE) for i in range(VIEWS)]
        rgb, opacity = (torch.cat([getattr(r, name) for r in renders]) for name in ("rgb", "opacity"))
        picture, coverage = draw(mesh, cameras, scene.config.background)
        error = ((picture - rgb) ** 2).mean(1, keepdim=True)
        print(f"{folder}: {report['faces']:,} triangles, {len(glb_bytes(mesh)):,} bytes as GLB, {report['seconds']}")
        for edge in (0.9, 0.5):
            inside = (coverage > 0.99) & (opacity > edge)
            rms = [float(error[i][inside[i]].mean().sqrt()) for i in range(VIEWS)]
            print(f"  opacity > {edge}: RMS by view {' '.join(f'{x:.4f}' for x in rms)}; largest {max(rms):.4f}")
        both = ((coverage > 0.5) & (opacity > 0.5)).sum() / ((coverage > 0.5) | (opacity > 0.5)).sum()
        print(f"  outline IoU {float(both):.4f}, texels inside more than one triangle {uv_overlap(mesh):.4%}")


if __name__ == "__main__":
    main(sys.argv[1:])
