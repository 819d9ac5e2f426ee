"""Colours that a run starts from are those that a viewer shows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from tbsd_pack.tbsd_core.color import linear_to_srgb
from tbsd_pack.tbsd_core.experiment import MeshInput, default_config
from tbsd_pack.tbsd_core.experiment.start import make_scene
from tbsd_pack.tbsd_core.mesh import Mesh, write_mesh
from tbsd_pack.tbsd_core.mesh.paint import painted_mesh
from tbsd_pack.tbsd_core.mesh.surface import Surface
from tbsd_pack.tbsd_core.mesh.tint import tinted

CORNERS = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], dtype=np.float32)
FACES = np.array([[0, 1, 2], [0, 2, 3]])
UVS = CORNERS[:, :2]
FACTOR = [1.0, 0.25, 0.0, 1.0]
SEEN = [1.0, float(linear_to_srgb(np.float32(0.25))), 0.0]


def quad(**given) -> Mesh:
    return replace(Mesh(CORNERS, FACES, surface=Surface(factors={"base_color_factor": FACTOR})), **given)


def test_a_factor_goes_into_what_colours_there_are_in_linear_light():
    white = np.ones((4, 4, 3), dtype=np.float32)
    for mesh in (quad(uvs=UVS, texture=white), quad(colors=np.ones((4, 3), dtype=np.float32)), quad()):
        found = tinted(mesh)
        assert "base_color_factor" not in found.surface.factors
        shown = found.colors if mesh.texture is None else found.texture
        np.testing.assert_allclose(shown.reshape(-1, 3), np.tile(SEEN, (shown.size // 3, 1)), atol=1e-6)
    plain = replace(quad(uvs=UVS, texture=white), surface=Surface())
    assert tinted(plain) is plain


@pytest.mark.parametrize("keeps", [True, False])
def test_a_run_on_a_file_with_a_factor_begins_and_ends_with_the_colours_it_shows(tmp_path, keeps):
    write_mesh(quad(uvs=UVS, texture=np.ones((16, 16, 3), dtype=np.float32)), tmp_path / "red.glb")
    mesh = MeshInput(file=str(tmp_path / "red.glb"), keep_colors=keeps)
    scene = make_scene(default_config("a brick cube", "mesh_texture", mesh=mesh))
    with torch.no_grad():
        middle = scene.albedo(scene.vertices.mean(0, keepdim=True))[0]
    painted, _ = painted_mesh(scene)
    assert "base_color_factor" not in painted.surface.factors
    wanted = SEEN if keeps else [0.5] * 3
    np.testing.assert_allclose(middle.numpy(), wanted, atol=0.06)
    np.testing.assert_allclose(painted.texture.mean((0, 1)), wanted, atol=0.06)
