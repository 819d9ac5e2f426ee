"""Painting a mesh: from a socket and from a file, back to a file in its own coordinates."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh


def node(kind: str, **inputs) -> dict:
    return {"class_type": kind, "inputs": inputs}


def scene_node(**changes) -> dict:
    inputs = {
        "mesh_file": "",
        "up": "y",
        "turn": 0.0,
        "detail": 17,
        "shading": "soft",
        "keep_colors": False,
        "seed": 0,
    }
    return node("TBSD_MeshTextureScene", **(inputs | changes))


def saved(scene: dict, **others) -> dict:
    """The scene's mesh as a file; `others` are more nodes."""
    return {
        "scene": scene,
        "cut": node(
            "TBSD_ExtractMesh",
            scene=["scene", 0],
            resolution=32,
            threshold=0.0,
            keep_fraction=0.1,
            faces=0,
            texture_size=64,
        ),
        "save": node("TBSD_SaveMesh", mesh=["cut", 0], filename_prefix="tbsd/painted", format="glb"),
    } | others


@pytest.fixture
def chair(server):
    """A coloured box far from the origin, in the input folder."""
    box = trimesh.creation.box((2.0, 3.0, 4.0))
    box.apply_translation((10.0, 0.0, -5.0))
    box.visual.vertex_colors = [200, 40, 40, 255]
    path = server.base / "input" / "chair.glb"
    path.parent.mkdir(exist_ok=True)
    box.export(path)
    return box


def load(server, outputs: dict):
    return trimesh.load(server.file(outputs["save"]["3d"][0]), force="mesh", process=False)


def test_a_connected_mesh_comes_back_with_a_texture(server):
    graph = saved(scene_node(mesh=["sample", 0]), sample=node("TBSD_SampleMesh", shape="cube", resolution=24))
    mesh = load(server, server.run(graph))
    assert mesh.visual.uv is not None and mesh.visual.material.baseColorTexture.size == (64, 64)
    assert np.abs(np.abs(mesh.bounds) - 0.47).max() < 0.05


def test_a_file_keeps_its_place_and_its_colours(server, chair):
    outputs = server.run(saved(scene_node(mesh_file="chair.glb", keep_colors=True, up="z", turn=30.0)))
    mesh = load(server, outputs)
    assert np.abs(mesh.bounds - chair.bounds).max() < 1e-3
    texture = np.asarray(mesh.visual.material.baseColorTexture.convert("RGB")).reshape(-1, 3)
    assert np.abs(np.median(texture, 0) - [200, 40, 40]).max() < 25
    assert "12 triangles" in outputs["scene"]["text"][0]


def test_a_painted_mesh_renders_saves_and_loads(server):
    graph = {
        "sample": node("TBSD_SampleMesh", shape="torus", resolution=24),
        "scene": scene_node(mesh=["sample", 0]),
        "keep": node("TBSD_SaveScene", scene=["scene", 0], filename_prefix="tbsd/painted_scene"),
    }
    name = server.run(graph)["keep"]["text"][0]
    views = node("TBSD_RenderViews", scene=["load", 0], n_views=2, size=32, elevation=15.0, distance=3.0, fov_y=36.0)
    graph = {
        "load": node("TBSD_LoadScene", scene_file=name),
        "views": views,
        "show": node("PreviewImage", images=["views", 0]),
    }
    assert len(server.run(graph)["show"]["images"]) == 2


def test_mistakes_are_explained(server, chair):
    assert "got none" in server.error(saved(scene_node()))
    both = saved(
        scene_node(mesh_file="chair.glb", mesh=["sample", 0]),
        sample=node("TBSD_SampleMesh", shape="cube", resolution=16),
    )
    assert "both a file and a connected one" in server.error(both)
    with pytest.raises(Exception) as caught:  # a file name is checked before anything runs
        server.run(saved(scene_node(mesh_file="../../../etc/passwd")))
    assert "output or input folder" in str(caught.value.details)
    with pytest.raises(Exception) as caught:
        server.run(saved(scene_node(mesh_file="nothing.glb")))
    assert "nothing.glb" in str(caught.value.details)
    plain = node("TBSD_SampleMesh", shape="cube", resolution=16)
    assert "neither a texture nor" in server.error(saved(scene_node(mesh=["m", 0], keep_colors=True), m=plain))


@pytest.mark.parametrize("prefix", ["../../escaped", "/tmp/escaped", "a/../../escaped", "linked/escaped"])
@pytest.mark.parametrize("kind", ["obj", "glb"])
def test_no_part_of_a_mesh_leaves_the_output_folder(server, kind, prefix, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside")
    link = server.base / "output" / "linked"
    if not link.exists():
        link.symlink_to(outside, target_is_directory=True)
    before = {p for p in server.base.parent.rglob("escaped*")} | set(outside.iterdir())
    graph = {
        "sample": node("TBSD_SampleMesh", shape="cube", resolution=16),
        "save": node("TBSD_SaveMesh", mesh=["sample", 0], filename_prefix=prefix, format=kind),
    }
    assert "output folder" in server.error(graph)
    assert {p for p in server.base.parent.rglob("escaped*")} | set(outside.iterdir()) == before


def test_an_obj_has_its_companions_beside_it(server):
    graph = saved(scene_node(mesh=["sample", 0]), sample=node("TBSD_SampleMesh", shape="cube", resolution=16))
    graph["save"]["inputs"] |= {"format": "obj", "filename_prefix": "tbsd/box with spaces"}
    path = server.file(server.run(graph)["save"]["3d"][0])
    beside = {p.suffix for p in path.parent.iterdir() if p.stem.startswith(path.stem[:3])}
    assert {".obj", ".mtl", ".png"} <= beside
    mesh = trimesh.load(path, force="mesh", process=False)
    assert mesh.visual.uv is not None and mesh.visual.material.image.size == (64, 64)
