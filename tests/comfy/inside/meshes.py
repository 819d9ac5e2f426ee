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
OUT, SIZE = Path(sys.argv[3]), 96
CAMERA = cameras.Camera(azimuth=35.0, elevation=20.0, distance=3.0, fov_y=36.0)
report: dict[str, object] = {"has": compat.HOST >= (0, 33)}  # nodes and a MESH for it all


def colored(grey: bool = False):
    """A house with a smooth colour at every vertex, neither dark nor saturated."""
    house = sample("house", 24)
    colors = np.full_like(house.vertices, 0.5) if grey else (0.6 + 0.25 * np.sin(3 * house.vertices))
    return core.Mesh(house.vertices, house.faces, colors.astype(np.float32))


def drawn_here(mesh) -> tuple[np.ndarray, np.ndarray]:
    """The colours that the mesh has, unlit, on black, and where it is."""
    config = scenes.MeshTextureConfig(resolutions=(17, 65), shading="none", supersample=1, background=(0.0, 0.0, 0.0))
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


def with_surface():
    """A textured box as the host's generators give it: all maps, padded to a batch of two."""
    from comfy_api.latest import Types

    box = load("tbsd_core.mesh.uv").unwrap(core.Mesh(*cube()), load("tbsd_core.mesh.uv").UVConfig(size=64))
    n, m = len(box.vertices), len(box.faces)
    generator = torch.Generator().manual_seed(0)

    def padded(rows: torch.Tensor, more: int) -> torch.Tensor:
        return torch.cat([rows, rows.new_zeros(more, rows.shape[1])])[None].expand(2, -1, -1).clone()

    def picture(size: int) -> torch.Tensor:
        return torch.rand(2, size, size, 3, generator=generator)

    uvs, x = torch.from_numpy(box.uvs), torch.linspace(0.2, 0.8, 48)
    ramp = torch.stack([x.expand(48, 48), x[:, None].expand(48, 48), torch.full((48, 48), 0.4)], -1)
    return Types.MESH(
        padded(torch.from_numpy(box.vertices), 5),
        padded(torch.from_numpy(box.faces), 3),
        uvs=padded(uvs, 5),
        vertex_colors=padded(torch.rand(n, 4, generator=generator), 5),
        texture=ramp[None].expand(2, -1, -1, -1).clone(),
        metallic_roughness=picture(32),
        vertex_counts=torch.tensor([n, n + 5]),
        face_counts=torch.tensor([m, m + 3]),
        normals=padded(torch.nn.functional.normalize(torch.from_numpy(box.vertices), dim=-1), 5),
        tangents=padded(torch.rand(n, 4, generator=generator), 5),
        normal_map=picture(16),
        emissive=picture(8),
        occlusion_in_mr=True,
        material={"roughness_factor": 0.5, "metallic_factor": -1.0, "emissive_factor": (0.1, 0.2, 0.3)},
    )


def cube() -> tuple[np.ndarray, np.ndarray]:
    import trimesh

    box = trimesh.creation.box((1.0, 1.2, 0.8))
    return np.asarray(box.vertices, np.float32), np.asarray(box.faces, np.int64)


if report["has"]:
    from comfy_api.latest import Types

    given = with_surface()
    n = int(given.vertex_counts[0])
    first = interop.from_mesh(given)
    config, place = scenes.MeshTextureConfig(resolutions=(17,), shading="none"), core.PlacementConfig()
    scene = texture.scene_of_mesh(first, config, place, True, lambda done: None)
    out, text = load("nodes.bridge.mesh").extract(scene, core.ExportConfig(texture=64))
    names = {"normals": n, "tangents": n, "uvs": n, "metallic_roughness": None, "normal_map": None, "emissive": None}
    report["equal"] = {k: torch.equal(getattr(out, k)[0], getattr(given, k)[0][:length]) for k, length in names.items()}
    report["alike"] = {
        "type": isinstance(out, Types.MESH),
        "faces": torch.equal(out.faces[0], given.faces[0][: int(given.face_counts[0])]),
        "vertices": bool((out.vertices[0] - given.vertices[0][:n]).abs().max() < 1e-5),
        "flags": (out.unlit, out.occlusion_in_mr) == (False, True),
        "material": {k: tuple(v) if isinstance(v, list) else v for k, v in out.material.items()} == given.material,
        "painted": out.texture.shape == (1, 64, 64, 3) and out.vertex_colors is None,
        "second": np.array_equal(interop.from_mesh(given, 1).vertices, given.vertices[1][: n + 5].numpy()),
        "its texture": interop.from_mesh(given, 1).texture.shape == (48, 48, 3),
        "told": interop.several(given),
    }
    # the host's writer takes it, and ours writes the same material
    theirs, ours = OUT / "host.glb", OUT / "ours.glb"
    theirs.write_bytes(mesh_item_to_glb_bytes(out, 0))
    core.write_mesh(interop.from_mesh(out), ours)

    def material(path: Path) -> dict:
        data = path.read_bytes()
        tree = json.loads(data[20 : 20 + int.from_bytes(data[12:16], "little")])
        return {key: value for key, value in tree["materials"][0].items()}, sorted(
            tree["meshes"][0]["primitives"][0]["attributes"]
        )

    def numbers(value):
        """Without where textures are kept."""
        if isinstance(value, dict):
            return {k: numbers(v) for k, v in value.items() if k not in ("index", "texCoord", "baseColorFactor")}
        return value

    (a, has_a), (b, has_b) = material(theirs), material(ours)
    report["written"] = {"host": [numbers(a), has_a], "ours": [numbers(b), has_b]}
    plain, _ = load("nodes.bridge.mesh").extract(scene, core.ExportConfig(texture=0))
    report["vertices"] = plain.texture is None and plain.vertex_colors.shape == (1, n, 3)
    report["textured there"] = compared("textured_there", drawn_here(interop.from_mesh(out)), drawn_there(out))
print(json.dumps(report))
