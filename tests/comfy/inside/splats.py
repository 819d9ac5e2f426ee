"""Our splats drawn by the host and the host's by us, through SPLAT and through files. Prints how alike they are, and
writes both pictures of each to the folder that is the third argument."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import numpy as np
from pack import load_pack

load = load_pack()

import torch  # noqa: E402
from PIL import Image  # noqa: E402

interop, cameras = load("nodes.bridge.interop.splats"), load("nodes.bridge.interop.cameras")
compat, color = load("nodes.bridge.compat"), load("tbsd_core.color")
scenes, sample = load("tbsd_core.scenes"), load("tbsd_core.sample_meshes").sample_mesh
place = load("tbsd_core.placement").SplatPlacementConfig
Splats = load("tbsd_core.renderer.splatting").Splats
OUT, SIZE = Path(sys.argv[3]), 128
CAMERA = cameras.Camera(azimuth=35.0, elevation=20.0, distance=3.0, fov_y=36.0)


def house(n: int = 12000) -> Splats:
    """Flat opaque splats on the surface of a house, in a colour that changes with height and side."""
    mesh, generator = sample("house", 32), torch.Generator().manual_seed(0)
    corner = torch.from_numpy(mesh.vertices)[torch.from_numpy(mesh.faces)].float()
    cross = torch.linalg.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
    face = torch.multinomial(cross.norm(dim=-1), n, replacement=True, generator=generator)
    u, v = torch.rand(2, n, 1, generator=generator)
    u = u.sqrt()
    means = (corner[face] * torch.stack([1 - u, u * (1 - v), u * v], 1)).sum(1)
    normal = torch.nn.functional.normalize(cross[face], dim=-1)
    # the shortest turn from +z to the normal
    quats = torch.stack([1 + normal[:, 2], -normal[:, 1], normal[:, 0], torch.zeros(n)], -1)
    quats[normal[:, 2] < -0.999] = torch.tensor([0.0, 1, 0, 0])
    scales = torch.tensor([0.02, 0.02, 0.003]).expand(n, 3).clone()
    colors = torch.where(means[:, 1:2] > 0.1, torch.tensor([0.7, 0.25, 0.2]), torch.tensor([0.5, 0.5, 0.5]))
    colors[means[:, 0] > 0.2] += torch.tensor([0.0, 0.2, 0.1])
    return Splats(means, quats, scales, torch.full((n,), 0.95), colors)


def drawn_here(scene) -> tuple[np.ndarray, np.ndarray]:
    """Colours on black and opacity."""
    with torch.no_grad():
        view = scene.render(CAMERA.batch(), SIZE, SIZE)
    backdrop = torch.tensor(scene.config.background)[:, None, None]
    rgb = view.rgb[0] - (1 - view.opacity[0]) * backdrop
    return rgb.movedim(0, -1).numpy(), view.opacity[0, 0].numpy()


def drawn_there(splat, info: dict) -> tuple[np.ndarray, np.ndarray]:
    import comfy_extras.nodes_gaussian_splat as host

    given = {"width": SIZE, "height": SIZE, "frames": 1, "splat_scale": 1.0, "sharpen": 1.0, "headlight_shading": 0.0}
    given |= {"opacity_threshold": 0.0, "background": "#000000", "render_style": "color"}
    image, mask = host.RenderSplat.execute(splat, camera_info=info, **given).args
    return image[0].numpy(), mask[0].numpy()


def compared(name: str, a: tuple[np.ndarray, np.ndarray], b: tuple[np.ndarray, np.ndarray]) -> dict[str, float]:
    """Of two pictures: overlap of the outlines, also upside down, and the difference of the mean colours in 1/255."""
    Image.fromarray((np.concatenate([a[0], b[0]], 1) * 255).round().clip(0, 255).astype(np.uint8)).save(
        OUT / f"{name}.png"
    )
    (rgb_a, in_a), (rgb_b, in_b) = ((rgb, mask > 0.5) for rgb, mask in (a, b))

    def iou(x: np.ndarray, y: np.ndarray) -> float:
        return float((x & y).sum() / max((x | y).sum(), 1))

    inside = in_a & in_b
    gap = np.abs(rgb_a[inside].mean(0) - rgb_b[inside].mean(0)).max() * 255
    halves = [np.abs(rgb_a[part].mean(0) - rgb_b[part].mean(0)).max() * 255 for part in _halves(inside)]
    return {"iou": iou(in_a, in_b), "flipped": iou(in_a, in_b[::-1]), "gap": float(gap), "halves": float(max(halves))}


def _halves(inside: np.ndarray) -> list[np.ndarray]:
    rows = np.flatnonzero(inside.any(1))
    middle = int((rows[0] + rows[-1]) / 2)
    upper = inside.copy()
    upper[middle:] = False
    return [upper, inside & ~upper]


report: dict[str, object] = {"has": compat.has("Types.SPLAT")}
start = load("tbsd_core.scenes.splat_start")
ours, _ = start.scene_of_splats(house(), place=place(up="y", radius=None))
splat = interop.to_splat(start.file_splats(ours))
back, _ = interop.gaussian_scene(ours.config, place(radius=None), splat=splat)
report["back"] = float((back.means - ours.means).detach().abs().max())
if compat.has("Types.SPLAT"):
    from comfy_api.latest import Types
    from comfy_extras.nodes_gaussian_splat import File3DToSplat, SplatToFile3D

    info = cameras.to_info(CAMERA)
    report["type"] = isinstance(splat, Types.SPLAT)
    report["ours there"] = compared("ours_there", drawn_here(ours), drawn_there(splat, info))
    path = OUT / "house.ply"
    interop.save(ours, path)
    read = File3DToSplat.execute(compat.file_value(path)).args[0]
    report["file there"] = compared("file_there", drawn_here(ours), drawn_there(read, info))

    # the host's: degree 1, padded to a batch, elsewhere and of another size than a scene's
    moved = Types.SPLAT(
        torch.cat([read.positions * 3 + torch.tensor([5.0, -2.0, 1.0]), torch.zeros(1, 7, 3)], 1),
        torch.cat([read.scales * 3, torch.zeros(1, 7, 3)], 1),
        torch.cat([read.rotations, torch.zeros(1, 7, 4)], 1),
        torch.cat([read.opacities, torch.zeros(1, 7, 1)], 1),
        torch.cat([torch.cat([read.sh, torch.zeros(1, 7, 1, 3)], 1), torch.zeros(1, 12007, 3, 3)], 2),
        torch.tensor([12000]),
    )
    taken, notes = interop.gaussian_scene(scenes.GaussianConfig(), place(), splat=moved)
    report["notes"] = notes
    matrix = np.array(taken.config.place).reshape(3, 4)
    scale = np.cbrt(np.linalg.det(matrix[:, :3]))
    eye = np.linalg.solve(matrix[:, :3], np.array([*info["position"].values()]) - matrix[:, 3])
    target = np.linalg.solve(matrix[:, :3], -matrix[:, 3])
    theirs = info | {key: dict(zip("xyz", at, strict=True)) for key, at in (("position", eye), ("target", target))}
    report["theirs here"] = compared("theirs_here", drawn_here(taken), drawn_there(moved, theirs))
    again = interop.to_splat(start.file_splats(taken))
    report["own place"] = float((again.positions - moved.positions[:, :12000]).abs().max())
    report["scale"] = float(scale)

    files = {}
    for kind in ("ply", "ksplat", "spz"):
        file = SplatToFile3D.execute(read, kind).args[0]
        try:
            scene, _ = interop.gaussian_scene(scenes.GaussianConfig(), place(radius=None), file=file)
            files[kind] = float((scene.means - ours.means).abs().max())
        except ValueError as error:
            files[kind] = str(error)
    report["files"] = files
    records = np.zeros(12000, load("tbsd_core.scenes.splat_read").RECORD)
    records["xyz"], records["scale"] = read.positions[0], read.scales[0]
    rgb = color.sh_to_colors(read.sh[0, :, 0]).clamp(0, 1)
    records["rgba"] = (torch.cat([rgb, read.opacities[0]], -1) * 255).round().numpy()
    records["quat"] = (read.rotations[0] * 128 + 128).round().clamp(0, 255).numpy()
    web = Types.File3D(io.BytesIO(records.tobytes()), "splat")
    scene, _ = interop.gaussian_scene(scenes.GaussianConfig(), place(radius=None), file=web)
    theirs = File3DToSplat.execute(web).args[0]
    report["web there"] = compared("web", drawn_here(scene), drawn_there(theirs, info))
print(json.dumps(report))
