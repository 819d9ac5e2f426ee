"""Ways to say where: masks, what cameras see, connected parts, materials."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import trimesh
from tbsd_pack.tbsd_core.cameras.sampling import orbit
from tbsd_pack.tbsd_core.mesh import Mesh, texture_scene
from tbsd_pack.tbsd_core.mesh.load import load_mesh
from tbsd_pack.tbsd_core.mesh.paint import start_from_colors
from tbsd_pack.tbsd_core.mesh.surface import Surface
from tbsd_pack.tbsd_core.mesh.uv import triangle_charts
from tbsd_pack.tbsd_core.regions import (
    COMBINE,
    Region,
    inverted,
    mask_region,
    material_region,
    part_region,
    parts,
    pixel_region,
    preview,
    seen_region,
    seen_splats,
)
from tbsd_pack.tbsd_core.regions.preview import TINT
from tbsd_pack.tbsd_core.regions.texels import texels
from tbsd_pack.tbsd_core.scenes import GaussianConfig, GaussianScene, ImageConfig, ImageScene, MeshTextureConfig
from tbsd_pack.tbsd_core.scenes.stored import copy_scene

SIDE = 64
SMALL = MeshTextureConfig(resolutions=(5, 9), supersample=1, shading="none")


def boxes() -> Mesh:
    """A large box at x = 0 in front of a small one at z = -2, and a small one at x = 2."""
    made = [trimesh.creation.box((s, s, s)) for s in (1.0, 0.5, 0.6)]
    made[1].apply_translation((0, 0, -2))
    made[2].apply_translation((2, 0, 0))
    both = trimesh.util.concatenate(made)
    flat, _ = triangle_charts(Mesh(both.vertices.astype(np.float32), both.faces.astype(np.int64)), SIDE)
    return replace(flat, texture=np.full((SIDE, SIDE, 3), 0.5, np.float32))


@pytest.fixture(scope="module")
def scene():
    mesh = boxes()
    made = texture_scene(mesh, SMALL)
    start_from_colors(made, mesh, n_steps=2, n_points=64)
    return made


def test_the_front_view_sees_front_faces_that_nothing_hides(scene):
    at = texels(scene)
    free = seen_region(scene, orbit(1, 0.0)).free[at.known]
    facing = at.normals[:, 2] > 0.9
    centre = scene.vertices.mean(0)
    hidden = facing & (at.points[:, 2] < at.points[:, 2].min() + 0.35 * (at.points[:, 2].max() - at.points[:, 2].min()))
    assert hidden.any() and centre.isfinite().all()
    assert not free[hidden].any()  # the box behind lies in the shadow of the large one
    assert free[facing & ~hidden].float().mean() > 0.97
    assert not free[at.normals[:, 2] < -0.1].any()


def test_a_view_and_its_inverse_are_all_and_views_add_up(scene):
    front, back = (seen_region(scene, orbit(1, 0.0, start=a)) for a in (0.0, 180.0))
    both = seen_region(scene, orbit(2, 0.0))
    assert torch.equal(COMBINE["add"](front, back).free, both.free)
    assert not COMBINE["overlap"](front, back).free.any()
    assert torch.equal(COMBINE["subtract"](both, back).free, front.free)
    assert torch.equal(inverted(front).free, ~front.free)


def test_a_mask_of_the_view_cuts_it(scene):
    right = torch.zeros(48, 48)
    right[:, 24:] = 1
    at = texels(scene)
    whole, half = (seen_region(scene, orbit(1, 0.0), m).free[at.known] for m in (torch.ones(48, 48), right))
    assert torch.equal(half, whole & (at.points[:, 0] > 0) & half) and 0 < half.sum() < whole.sum()


def test_parts_are_ordered_by_surface_and_seams_do_not_divide_them(scene):
    part = parts(scene)
    assert part.unique().tolist() == [0, 1, 2]
    corner = scene.vertices[scene.faces]
    x = corner.mean(1)[:, 0]
    assert (x[part == 1] > x[part == 0].max()).all()
    at = texels(scene)
    assert torch.equal(part_region(scene, [0, 2]).free[at.known], part[at.face] != 1)
    with pytest.raises(ValueError, match=r"3 connected part\(s\), 0 to 2 .* got no part 3"):
        part_region(scene, [3])
    with pytest.raises(ValueError, match="got no number"):
        part_region(scene, [])
    with pytest.raises(ValueError, match="has one material, as far as is known: only a GLB"):
        material_region(scene, ["0"])


def test_materials_are_those_of_the_file_by_name_or_number(tmp_path):
    """Three boxes above each other; two are of one material, the second of which has the number 1 for a name."""
    scene = trimesh.Scene()
    looks = [
        trimesh.visual.material.PBRMaterial(name=name, baseColorFactor=[9, 9, 9, 255]) for name in ("Roof, old", "0")
    ]
    for height, look in enumerate((looks[0], looks[1], looks[0])):
        box = trimesh.creation.box()
        uv = 0.1 + 0.25 * np.random.default_rng(height).random((len(box.vertices), 2))
        box.visual = trimesh.visual.TextureVisuals(uv=uv, material=look)
        scene.add_geometry(box, transform=trimesh.transformations.translation_matrix((0, 2 * height, 0)))
    scene.export(tmp_path / "boxes.glb")
    given = load_mesh(tmp_path / "boxes.glb").mesh
    flat, _ = triangle_charts(given, SIDE)  # faces in the same order
    told = {"materials": given.surface.materials, "material_names": given.surface.material_names}
    made = copy_scene(texture_scene(replace(flat, surface=Surface(**told)), SMALL))
    at, names = texels(made), made.config.surface.material_names
    y = at.points[:, 1]
    is_middle = (y - y.mean()).abs() < 0.25 * (y.max() - y.min()) / 2
    assert names == ("Roof, old", "0"), "as the file numbers them"
    assert torch.equal(material_region(made, ["0"]).free[at.known], is_middle), "a name counts before a number"
    assert torch.equal(material_region(made, ["1"]).free[at.known], is_middle)
    assert torch.equal(material_region(made, ["Roof, old"]).free[at.known], ~is_middle)
    assert material_region(made, ["1", "Roof, old"]).free.all()
    with pytest.raises(ValueError, match="the materials 0 .*, 1 .*, got 'Door'. Name one of them or give its number"):
        material_region(made, ["0", "Door"])
    with pytest.raises(ValueError, match="got no name"):
        material_region(made, [])


def test_texels_beside_the_surface_follow_the_nearest(scene):
    at = texels(scene)
    free = part_region(scene, [1]).free
    assert (free & ~at.known).any()
    beside, known = (~at.known).nonzero().float(), at.known.nonzero().float()
    distance = torch.cdist(beside, known)
    on_free = free[at.known]
    nearest_free = torch.where(on_free, distance, torch.inf).amin(1)
    nearest_locked = torch.where(on_free, torch.inf, distance).amin(1)
    assert (free[~at.known] == (nearest_free < nearest_locked))[nearest_free != nearest_locked].all()


def test_masks_of_another_size_and_empty_ones_are_one_sentence(scene):
    with pytest.raises(ValueError, match="The mask is 16 x 32 pixels, but the mesh's texture is 64 x 64"):
        mask_region(scene, torch.ones(32, 16))
    with pytest.raises(ValueError, match="Nothing may change: the mask is empty"):
        mask_region(scene, torch.zeros(SIDE, SIDE))
    with pytest.raises(ValueError, match="not finite"):
        mask_region(scene, torch.full((SIDE, SIDE), torch.nan))
    with pytest.raises(ValueError, match="The mask is 4 x 4 pixels, but the picture is 8 x 8"):
        pixel_region(ImageScene(ImageConfig(size=8)), torch.ones(4, 4))
    with pytest.raises(ValueError, match="shows nothing of the object"):
        corner = torch.zeros(32, 32)
        corner[0, 0] = 1
        seen_region(scene, orbit(1, 0.0), corner)
    with pytest.raises(ValueError, match="cannot be combined: one has 8 x 8 pixels, the other 64 x 64 texels"):
        COMBINE["add"](pixel_region(ImageScene(ImageConfig(size=8)), torch.ones(8, 8)), part_region(scene, [0]))


def test_a_mesh_whose_texture_coordinates_do_not_do_is_refused():
    mesh = boxes()
    bare = texture_scene(replace(mesh, uvs=None, texture=None), SMALL)
    with pytest.raises(ValueError, match="the mesh has no texture coordinates"):
        seen_region(bare, orbit(1))
    stacked = mesh.uvs[mesh.faces[:2].reshape(-1)]
    doubled = replace(mesh, uvs=np.tile(stacked, (len(mesh.uvs) // 6, 1)), texture=None)
    with pytest.raises(ValueError, match="shows several places at once"):
        seen_region(texture_scene(doubled, SMALL), orbit(1))


def test_a_camera_sees_the_splats_that_are_before_the_others():
    scene = GaussianScene(GaussianConfig(n_gaussians=400, init_opacity=0.9))
    free = seen_splats(scene, orbit(1, 0.0)).free
    depth = scene.means[:, 2].detach()
    assert 0.02 < free.float().mean() < 0.5
    assert depth[free].mean() > depth[~free].mean() + 0.2


@pytest.mark.parametrize("kind", ["texels", "pixels", "Gaussians"])
def test_a_preview_tints_what_is_free(scene, kind):
    if kind == "texels":
        region, shown = seen_region(scene, orbit(1, 0.0)), scene
    elif kind == "pixels":
        shown = ImageScene(ImageConfig(size=8))
        mask = torch.zeros(8, 8)
        mask[2:5, 2:5] = 1
        region = pixel_region(shown, mask)
    else:
        shown = GaussianScene(GaussianConfig(n_gaussians=400, init_opacity=0.9))
        region = seen_splats(shown, orbit(1, 0.0))
    before = {name: value.clone() for name, value in shown.state_dict().items()}
    pictures = preview(shown, region, orbit(2 if shown.uses_cameras else 1, 0.0), 32)
    tint = torch.tensor(TINT).view(3, 1, 1)
    redness = (pictures * (tint - tint.mean())).sum(1)
    if kind == "pixels":
        assert redness[0][2:5, 2:5].min() > redness[0][0].max()
    else:
        assert (redness[0] > 0.15).float().mean() > 4 * (redness[1] > 0.15).float().mean()
    assert all(torch.equal(value, before[name]) for name, value in shown.state_dict().items())


def test_a_border_must_be_a_width():
    with pytest.raises(ValueError, match="border must be 0 or more"):
        Region("pixels", torch.ones(2, 2, dtype=torch.bool), -1.0)


def test_both_sides_of_a_surface_are_seen_but_not_through_a_thin_wall():
    ball = trimesh.creation.icosphere(2)
    free = []
    for faces in (ball.faces, ball.faces[:, ::-1]):
        flat, _ = triangle_charts(Mesh(ball.vertices.astype(np.float32), np.ascontiguousarray(faces)), 256)
        made = texture_scene(flat, SMALL)
        free.append(float(seen_region(made, orbit(1, 0.0)).free[texels(made).known].float().mean()))
    assert free[1] == pytest.approx(free[0], abs=0.01) and free[0] > 0.2
    thin = trimesh.creation.box((1, 1, 0.002))
    wall, _ = triangle_charts(Mesh(thin.vertices.astype(np.float32), thin.faces.astype(np.int64)), 64)
    made = texture_scene(wall, SMALL)
    at = texels(made)
    front = seen_region(made, orbit(1, 0.0)).free[at.known]
    assert front[at.normals[:, 2] > 0.9].float().mean() > 0.95 and not front[at.normals[:, 2] < -0.9].any()
