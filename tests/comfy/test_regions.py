"""Regions of scenes in ComfyUI: made, seen, kept through a run, and refused in one sentence."""

from __future__ import annotations

import io

import numpy as np
import pytest
import trimesh
from PIL import Image
from safetensors import safe_open

pytestmark = pytest.mark.once  # of the core

SIDE = 96
HERE = {"invert": False, "border": 2.0, "mix_with": "what was there"}


def node(kind: str, **inputs) -> dict:
    return {"class_type": kind, "inputs": inputs}


def mask(part: int, side: int) -> dict:
    """White in a square of `part` pixels at the upper left."""
    return {
        "black": node("SolidMask", value=0.0, width=side, height=side),
        "white": node("SolidMask", value=1.0, width=part, height=part),
        "mask": node("MaskComposite", destination=["black", 0], source=["white", 0], x=0, y=0, operation="add"),
    }


def models(prompt: str = "a wooden house") -> dict:
    return {
        "demo": node("TBSD_DemoModels"),
        "prompts": node("TBSD_PromptEncode", clip=["demo", 1], prompt=prompt, view_dependent=False),
        "guidance": node(
            "TBSD_SDSGuidance", model=["demo", 0], vae=["demo", 2], prompts=["prompts", 0], guidance_scale=7.5,
            weighting="sigma2",
        ),
    }  # fmt: skip


@pytest.fixture
def crate(server):
    """A large box far from the origin, each triangle with a place of its own in a noisy texture."""
    box = trimesh.creation.box((20.0, 30.0, 40.0))
    box.apply_translation((100.0, 5.0, -50.0))
    faces = np.arange(36).reshape(12, 3)
    cells = np.array([[i % 4, i // 4] for i in range(12)]) / 4
    corner = np.array([[0.05, 0.05], [0.2, 0.05], [0.05, 0.2]])
    uv = (cells[:, None] + corner).reshape(-1, 2)
    pixels = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    material = trimesh.visual.material.PBRMaterial(baseColorTexture=Image.fromarray(pixels))
    visual = trimesh.visual.TextureVisuals(uv=uv, material=material)
    made = trimesh.Trimesh(box.vertices[box.faces].reshape(-1, 3), faces, visual=visual, process=False)
    path = server.base / "input" / "crate.glb"
    path.parent.mkdir(exist_ok=True)
    made.export(path)
    return made, pixels


def crate_scene() -> dict:
    inputs = {"mesh_file": "crate.glb", "up": "y", "turn": 0.0, "detail": 17, "shading": "none", "seed": 0}
    return node("TBSD_MeshTextureScene", **inputs, keep_colors=True)


def test_what_a_camera_does_not_see_is_painted_and_the_rest_comes_back_to_the_byte(server, crate):
    mesh, pixels = crate
    graph = models() | {
        "scene": crate_scene(),
        "front": node(
            "TBSD_RegionFromView", scene=["scene", 0], azimuth=0.0, elevation=20.0, distance=3.0, fov_y=36.0,
            invert=True, border=2.0, mix_with="what is locked",
        ),
        "region": node(
            "TBSD_RegionFromPart", scene=["scene", 0], parts="0", **HERE, region=["front", 0],
            combine="overlap",
        ),
        "run": node(
            "TBSD_Optimizer3D", guidance=["guidance", 0], scene=["scene", 0], steps=3, views_per_step=2, size=32,
            lr=0.05, seed=0, region=["region", 0],
        ),
        "keep": node("TBSD_SaveScene", scene=["run", 0], filename_prefix="tbsd/region"),
        "cut": node(
            "TBSD_ExtractMesh", scene=["run", 0], resolution=32, threshold=0.0, keep_fraction=0.1, faces=0,
            texture_size=64,
        ),
        "save": node("TBSD_SaveMesh", mesh=["cut", 0], filename_prefix="tbsd/region", format="glb"),
    }  # fmt: skip
    outputs = server.run(graph)
    assert len(outputs["region"]["images"]) == 4
    out = trimesh.load(server.file(outputs["save"]["3d"][0]), force="mesh", process=False)
    painted = np.asarray(out.visual.material.baseColorTexture.convert("RGB"))
    with safe_open(str(server.base / "output" / outputs["keep"]["text"][0]), "numpy") as file:
        weight = file.get_tensor("scene.attached.kept.weight")
    assert painted.shape == pixels.shape and weight.shape == (SIDE, SIDE)
    assert 0.1 < (weight == 0).mean() < 0.8
    assert (painted[weight == 0] == pixels[weight == 0]).all()
    assert (painted[weight == 1] != pixels[weight == 1]).any(-1).mean() > 0.5
    assert np.allclose(out.bounds, mesh.bounds, rtol=1e-4) and np.allclose(out.visual.uv, mesh.visual.uv, atol=1e-5)

    # the run continues with its region, and with no other
    load = {"load": node("TBSD_LoadScene", scene_file=outputs["keep"]["text"][0])}
    again = {**graph["run"]["inputs"], "scene": ["load", 0], "steps": 4, "resume": True}
    wider = node("TBSD_RegionFromMask", scene=["load", 0], mask=["mask", 0], **HERE)
    other = models() | load | mask(40, SIDE) | {"region": wider, "run": node("TBSD_Optimizer3D", **again)}
    assert "has another region" in server.error(other)
    del again["region"]
    assert len(server.run(models() | load | {"run": node("TBSD_Optimizer3D", **again)})["run"]["images"]) == 1


def test_a_picture_changes_inside_its_mask_alone(server):
    pixels = np.random.default_rng(1).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    (server.base / "input" / "noise.png").write_bytes(buffer.getvalue())
    graph = models("a wooden house, front view") | mask(16, 32) | {
        "load": node("LoadImage", image="noise.png"),
        "scene": node("TBSD_ImageScene", size=32, n_images=1, seed=0, image=["load", 0]),
        "region": node("TBSD_RegionFromMask", scene=["scene", 0], mask=["mask", 0], **HERE),
        "run": node(
            "TBSD_OptimizeImage", guidance=["guidance", 0], scene=["scene", 0], steps=3, lr=0.05, seed=0,
            region=["region", 0],
        ),
        "save": node("SaveImage", images=["run", 0], filename_prefix="tbsd/region"),
    }  # fmt: skip
    made = np.asarray(Image.open(server.file(server.run(graph)["save"]["images"][0])).convert("RGB"))
    locked = np.ones((32, 32), bool)
    locked[:16, :16] = False
    assert (made[locked] == pixels[locked]).all() and (made[:12, :12] != pixels[:12, :12]).any(-1).mean() > 0.5

    small = graph | mask(16, 24)
    assert "The mask is 24 x 24 pixels, but the picture is 32 x 32" in server.error(small)
    assert "the mask is empty" in server.error(graph | {"mask": node("SolidMask", value=0.0, width=32, height=32)})
    nerf = node("TBSD_RegionFromView", scene=["scene", 0], azimuth=0.0, elevation=0.0, distance=3.0, fov_y=36.0,
                **HERE)  # fmt: skip
    assert "needs a Mesh Texture Scene or a Gaussian Scene" in server.error(graph | {"region": nerf})
