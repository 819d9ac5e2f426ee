"""A textured GLB from outside through every task: place, texture coordinates and PBR come back as they were."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from tbsd_pack.tbsd_core.mesh.load import load_mesh

ROOT = Path(__file__).resolve().parents[2]
LOCKING = ("Repaint here", "Repair the unseen side")
KEEPING = (*LOCKING, "Sharpen a blurry texture")  # their texture is as large as it was
TASKS = (*KEEPING, "Restyle my mesh")
SHORT = {"steps": 2, "views_per_step": 1, "size": 48, "detail": 17, "n_views": 1, "texture_size": 64}


def graph_of(template: str) -> dict:
    """The template in API format, short, on the file in the input folder."""
    graph = json.loads((ROOT / "tests" / "workflows" / f"{template}.json").read_text(encoding="utf-8"))
    for node in graph.values():
        node["inputs"].update({name: value for name, value in SHORT.items() if name in node["inputs"]})
        if node["class_type"] == "TBSD_MeshTextureScene":
            del node["inputs"]["mesh"]
            node["inputs"]["mesh_file"] = "outside.glb"
    return {key: node for key, node in graph.items() if node["class_type"] != "TBSD_SampleMesh"}


@pytest.mark.once
def test_a_file_from_outside_comes_back_with_its_place_its_uvs_and_its_pbr(server, outside_glb):
    shutil.copy(outside_glb, server.base / "input" / "outside.glb")
    given = load_mesh(outside_glb).mesh
    assert given.surface.material_names == ("Wood", "Steel") and given.surface.has_maps
    graphs = {name: graph_of(name) for name in TASKS}
    steel = graph_of("Restyle my mesh")
    steel["8"]["inputs"]["region"] = ["region", 0]
    where = {"scene": ["7", 0], "parts": "0", "invert": False, "border": 0.0, "mix_with": "what was there"}
    steel["region"] = {"class_type": "TBSD_RegionFromPart", "inputs": {**where, "materials": "Steel"}}
    graphs["the material alone"] = steel
    for name, graph in graphs.items():
        outputs = server.run(graph)
        (saved,) = (key for key, node in graph.items() if node["class_type"] == "TBSD_SaveMesh")
        made = load_mesh(server.file(outputs[saved]["3d"][0])).mesh
        np.testing.assert_allclose(made.vertices, given.vertices, atol=1e-4, err_msg=name)
        assert np.array_equal(made.faces, given.faces) and np.array_equal(made.uvs, given.uvs), name
        for kind, array in given.surface.arrays.items():
            if kind != "materials":  # it has one texture now
                assert np.array_equal(made.surface.arrays[kind], array), (name, kind)
        assert made.surface.factors == given.surface.factors, name
        changed = None if made.texture.shape != given.texture.shape else (made.texture != given.texture).any(-1)
        assert (changed is not None) == (name != "Restyle my mesh"), name
        if changed is None:
            continue
        assert changed.any(), name
        if name in LOCKING:
            assert not changed.all(), name
    wood = given.uvs[given.faces[given.surface.materials == 0]][..., 0] * changed.shape[1]
    columns = slice(int(wood.min()), int(wood.max()))
    rest = np.delete(changed, np.arange(columns.start, columns.stop), axis=1)
    assert not changed[:, columns].any() and rest.any(), "Wood is locked"
