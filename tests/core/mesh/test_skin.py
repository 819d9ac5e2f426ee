"""A mesh file from outside comes back with its place, texture coordinates and PBR material after painting."""

from __future__ import annotations

import json
import struct
import zlib

import numpy as np
import pytest
import torch
import trimesh
from PIL import Image
from tbsd_pack.tbsd_core.color import linear_to_srgb
from tbsd_pack.tbsd_core.mesh import ExportConfig, texture_scene, textured_mesh, write_mesh
from tbsd_pack.tbsd_core.mesh.load import load_mesh
from tbsd_pack.tbsd_core.mesh.paint import start_from_colors
from tbsd_pack.tbsd_core.mesh.texture import sample_texture
from tbsd_pack.tbsd_core.scenes import MeshTextureConfig
from trimesh.visual.material import PBRMaterial

SMALL = MeshTextureConfig(resolutions=(5, 9), supersample=1)
PLACE = trimesh.transformations.translation_matrix((40, -3, 7)) @ np.diag((3.0, 3.0, 3.0, 1.0))
MAPS = ("metallic_roughness", "normal_map", "emissive")


def picture(seed: int, size: int = 16) -> Image.Image:
    """Smooth, so that a place a fraction of a texel away looks the same."""
    noise = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize((size, size), Image.Resampling.BICUBIC)


def material(seed: int, size: int = 16, **factors) -> PBRMaterial:
    base, packed, normal, glow = (picture(4 * seed + k, size) for k in range(4))
    given = {"metallicFactor": 0.5, "roughnessFactor": 0.75, "emissiveFactor": [1.0, 1.0, 1.0], **factors}
    return PBRMaterial(
        baseColorTexture=base, metallicRoughnessTexture=packed, normalTexture=normal, emissiveTexture=glow, **given
    )


def quad(look: PBRMaterial | None, low: float = 0.1, high: float = 0.9, **more) -> trimesh.Trimesh:
    corners = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], dtype=np.float64)
    width = more.get("u", (low, high))
    uvs = np.array([[width[0], low], [width[1], low], [width[1], high], [width[0], high]])
    visual = trimesh.visual.TextureVisuals(uv=uvs, material=look)
    return trimesh.Trimesh(corners, [[0, 1, 2], [0, 2, 3]], visual=visual, process=False)


def glb(path, *quads: trimesh.Trimesh):
    """A file as another program writes it: each quad in front of the last, all scaled and moved."""
    scene = trimesh.Scene()
    for i, mesh in enumerate(quads):
        scene.add_geometry(mesh, transform=PLACE @ trimesh.transformations.translation_matrix((0, 0, i)))
    scene.export(path, include_normals=True)
    return path


def rewritten(path, change) -> None:
    """Change the description of a GLB."""
    data = path.read_bytes()
    n = struct.unpack_from("<I", data, 12)[0]
    tree = json.loads(data[20 : 20 + n])
    change(tree)
    text = json.dumps(tree).encode()
    text += b" " * (-len(text) % 4)
    rest = data[20 + n :]
    path.write_bytes(struct.pack("<4sIII4s", b"glTF", 2, 20 + len(text) + len(rest), len(text), b"JSON") + text + rest)


def painted(path, tmp_path):
    """Load, begin to paint, export, read again."""
    given = load_mesh(path)
    scene = texture_scene(given.mesh, SMALL)
    start_from_colors(scene, given.mesh, n_steps=2)
    before = scene.albedo(torch.zeros(1, 3))
    optimizer = torch.optim.Adam(scene.parameter_groups(0.1))
    scene.albedo(torch.zeros(1, 3)).sum().backward()
    optimizer.step()
    assert not torch.equal(scene.albedo(torch.zeros(1, 3)), before), "it was painted"
    made, report = textured_mesh(scene, ExportConfig(texture=64))
    assert report["uv"] == "kept"
    return given, load_mesh(write_mesh(made, tmp_path / "out.glb"))


def pixels(image: Image.Image) -> np.ndarray:
    return np.asarray(image, np.float32) / 255


def test_one_material_comes_back_to_the_bit(tmp_path):
    look = material(1, emissiveFactor=[1.0, 0.5, 0.25], doubleSided=True)
    given, back = painted(glb(tmp_path / "a.glb", quad(look)), tmp_path)
    assert given.report == ("not watertight: 4 open edges (both sides are painted)",)
    surface = given.mesh.surface
    named = (look.metallicRoughnessTexture, look.normalTexture, look.emissiveTexture)
    for name, image in zip(MAPS, named, strict=True):
        assert image is not None
        assert np.array_equal(surface.arrays[name], pixels(image))
        assert np.array_equal(back.mesh.surface.arrays[name], surface.arrays[name])
    wanted = {"metallic_factor": 0.5, "roughness_factor": 0.75, "normal_scale": 1.0, "double_sided": True}
    assert surface.factors == wanted | {"emissive_factor": [1.0, 0.5, 0.25]} == back.mesh.surface.factors
    assert np.array_equal(back.mesh.uvs, given.mesh.uvs)
    assert np.array_equal(back.mesh.surface.normals, given.mesh.surface.normals)
    np.testing.assert_allclose(back.mesh.vertices, given.mesh.vertices, atol=1e-5)
    assert given.mesh.vertices.min(0).tolist() == [40, -3, 7] and not back.mesh.unlit


def looked_up(mesh, name: str, u: float, v: float, z: float) -> np.ndarray:
    """The value of a map where a quad is, by its place in space alone."""
    values = mesh.texture if name == "base_color" else mesh.surface.arrays[name]
    corner = mesh.vertices[mesh.faces].astype(np.float64)
    at = (np.array([u, v, z, 1.0]) @ PLACE.T)[:3]
    for k, triangle in enumerate(corner):
        if abs(triangle[:, 2] - at[2]).max() > 1e-3:
            continue
        weights = np.linalg.solve(np.vstack([triangle[:, :2].T, np.ones(3)]), [*at[:2], 1.0])
        if (weights > -1e-6).all():
            return sample_texture(values, (mesh.uvs[mesh.faces[k]] * weights[:, None]).sum(0))
    raise AssertionError("no face is there")


PLACES = [(0.03, 0.04), (0.5, 0.3), (0.9, 0.77), (0.97, 0.98)]


def in_file(look, key: str, u: float, v: float, low=0.1, high=0.9) -> np.ndarray:
    """The value that a picture of the file has there; trimesh counts v from below."""
    uv = np.array([low + u * (high - low), 1 - (low + v * (high - low))])
    return sample_texture(pixels(getattr(look, key)), uv)


@pytest.mark.parametrize("sizes", [(16, 16), (16, 32)])
def test_two_materials_are_put_into_one_texture(tmp_path, sizes):
    looks = [
        material(2, sizes[0]),
        material(3, sizes[1], metallicFactor=1.0, roughnessFactor=0.5, emissiveFactor=[0.5, 0.5, 0.5]),
    ]
    given, back = painted(glb(tmp_path / "a.glb", *map(quad, looks)), tmp_path)
    side = max(sizes) + 8
    assert f"2 materials put into one texture of {2 * side} x {side}" in given.report
    np.testing.assert_array_equal(back.mesh.uvs, given.mesh.uvs)
    np.testing.assert_allclose(back.mesh.vertices, given.mesh.vertices, atol=1e-5)
    close = 2 / 255 if sizes[0] == sizes[1] else 12 / 255  # one is enlarged, by its nearest texels
    for z, look in enumerate(looks):
        for u, v in PLACES:
            base, packed, normal = (
                in_file(look, key, u, v) for key in ("baseColorTexture", "metallicRoughnessTexture", "normalTexture")
            )
            np.testing.assert_allclose(looked_up(given.mesh, "base_color", u, v, z), base, atol=close)
            np.testing.assert_allclose(looked_up(given.mesh, "normal_map", u, v, z), normal, atol=close)
            scaled = packed[1:] * [look.roughnessFactor, look.metallicFactor]
            found = looked_up(given.mesh, "metallic_roughness", u, v, z)[1:]
            np.testing.assert_allclose(found, scaled, atol=close)
    for name in MAPS:
        assert np.array_equal(back.mesh.surface.arrays[name], given.mesh.surface.arrays[name])
    assert given.mesh.surface.factors["normal_scale"] == 1.0 and "metallic_factor" not in given.mesh.surface.factors
    assert back.mesh.surface.factors | {"metallic_factor": 1.0, "roughness_factor": 1.0} == back.mesh.surface.factors


def test_the_glow_of_two_materials_is_relative_to_the_brighter(tmp_path):
    dark = PBRMaterial(baseColorTexture=picture(9), metallicFactor=0.0)
    path = glb(tmp_path / "a.glb", quad(material(4)), quad(dark))

    def brighten(tree: dict) -> None:
        for look in tree["materials"]:
            if "emissiveTexture" in look:
                look["extensions"] = {"KHR_materials_emissive_strength": {"emissiveStrength": 4.0}}

    rewritten(path, brighten)
    mesh = load_mesh(path).mesh
    assert mesh.surface.factors["emissive_strength"] == 4.0
    assert looked_up(mesh, "emissive", 0.5, 0.5, 0).max() > 0.1
    assert looked_up(mesh, "emissive", 0.5, 0.5, 1).max() == 0.0
    np.testing.assert_allclose(looked_up(mesh, "normal_map", 0.5, 0.5, 1), [128 / 255, 128 / 255, 1])


def test_materials_of_an_atlas_keep_their_texture_coordinates(tmp_path):
    """Both have one base colour, and lie side by side in it."""
    shared = picture(5)
    looks = [PBRMaterial(baseColorTexture=shared, metallicFactor=m, roughnessFactor=0.5) for m in (0.25, 1.0)]
    left, right = quad(looks[0], u=(0.05, 0.4)), quad(looks[1], u=(0.6, 0.95))
    given, back = painted(glb(tmp_path / "a.glb", left, right), tmp_path)
    u = given.mesh.uvs[:, 0]
    np.testing.assert_allclose([u.min(), u.max()], [0.05, 0.95], atol=1e-6)
    assert np.array_equal(given.mesh.texture, pixels(shared))
    for z, metal in enumerate((0.25, 1.0)):
        for place in PLACES:
            np.testing.assert_allclose(
                looked_up(back.mesh, "metallic_roughness", *place, z)[1:], [0.5, metal], atol=1 / 255
            )
    # where they overlap there is no telling them apart, and the file is read all the same
    loaded = load_mesh(glb(tmp_path / "b.glb", left, quad(looks[1], u=(0.05, 0.4))))
    assert any("metallic_factor, in which its materials differ" in line for line in loaded.report)
    assert np.array_equal(loaded.mesh.texture, pixels(shared)) and not loaded.mesh.surface.has_maps


def test_pictures_that_repeat_are_refused_as_before_or_left_out(tmp_path):
    path = glb(tmp_path / "a.glb", quad(material(6), u=(0.0, 3.0)), quad(material(7)))
    with pytest.raises(ValueError, match="do not share one texture"):
        load_mesh(path)
    loaded = load_mesh(path, colors=False)
    assert loaded.mesh.uvs is None and not loaded.mesh.surface.has_maps
    assert any("repeat" in line for line in loaded.report)
    moved = load_mesh(glb(tmp_path / "b.glb", quad(material(6), u=(2.1, 2.9)), quad(material(7)))).mesh
    assert moved.uvs.min() > 0 and moved.uvs.max() < 1


def change_occlusion(tree: dict) -> None:
    look = tree["materials"][0]
    look["occlusionTexture"] = {**look["pbrMetallicRoughness"]["metallicRoughnessTexture"], "strength": 0.5}


def test_occlusion_in_the_same_picture_and_the_unlit_flag(tmp_path):
    path = glb(tmp_path / "a.glb", quad(material(8)))
    rewritten(path, change_occlusion)
    _, back = painted(path, tmp_path)
    assert back.mesh.surface.has_occlusion and back.mesh.surface.factors["occlusion_strength"] == 0.5
    rewritten(path, lambda tree: tree["materials"][0].update(extensions={"KHR_materials_unlit": {}}))
    assert load_mesh(path).mesh.unlit and not painted(path, tmp_path)[1].mesh.unlit, "it is painted in light"


def no_image(tree: dict) -> None:
    tree["materials"][0]["normalTexture"] = {"index": 99}


def no_number(tree: dict) -> None:
    tree["materials"][0]["pbrMetallicRoughness"]["roughnessFactor"] = "rough"


def no_bytes(tree: dict) -> None:
    used = tree["textures"][tree["materials"][0]["normalTexture"]["index"]]["source"]
    tree["bufferViews"][tree["images"][used]["bufferView"]]["byteLength"] = 9


def other_place(tree: dict) -> None:
    tree["materials"][0]["normalTexture"]["texCoord"] = 1


def see_through(tree: dict) -> None:
    tree["materials"][0] |= {"alphaMode": "BLEND", "extensions": {"KHR_materials_clearcoat": {}}}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (no_image, "its normal map (the file does not have it)"),
        (no_number, "its roughnessFactor (it is not a number)"),
        (no_bytes, "its normal map is not kept: it cannot be read"),
        (other_place, "its normal map (it has texture coordinates of its own)"),
        (see_through, "its KHR_materials_clearcoat, its transparency"),
    ],
)
def test_what_is_wrong_beside_the_base_colour_is_left_out_and_named(tmp_path, change, said):
    path = glb(tmp_path / "a.glb", quad(material(10)))
    rewritten(path, change)
    loaded = load_mesh(path)
    assert any(said in line for line in loaded.report), loaded.report
    assert np.array_equal(loaded.mesh.texture, pixels(picture(40)))
    assert loaded.mesh.surface.metallic_roughness is not None


def test_a_map_that_declares_too_much_is_not_unpacked(tmp_path):
    path = glb(tmp_path / "a.glb", quad(material(11)), quad(material(11), u=(0.2, 0.8)))
    data = bytearray(path.read_bytes())

    def enlarge(tree: dict) -> None:
        for look in tree["materials"]:
            image = tree["images"][tree["textures"][look["normalTexture"]["index"]]["source"]]
            at = len(data) - tree["buffers"][0]["byteLength"] + tree["bufferViews"][image["bufferView"]]["byteOffset"]
            assert data[at : at + 4] == b"\x89PNG"
            struct.pack_into(">II", data, at + 16, 60_000, 60_000)
            crc = zlib.crc32(data[at + 12 : at + 29])
            struct.pack_into(">I", data, at + 29, crc)

    enlarge(json.loads(data[20 : 20 + struct.unpack_from("<I", data, 12)[0]]))
    path.write_bytes(data)
    loaded = load_mesh(path)
    assert any("normal map is not kept: it has 60,000 x 60,000 pixels" in line for line in loaded.report)
    assert loaded.mesh.surface.normal_map is None and loaded.mesh.surface.emissive is not None


def test_directions_turn_with_their_object_and_change_hands_in_a_mirror(tmp_path):
    turn = trimesh.transformations.rotation_matrix(0.5, (1, 2, 3)) @ np.diag((-2.0, 1.0, 0.5, 1.0))
    ball = trimesh.creation.icosphere(2)
    tangents = np.cross(ball.vertex_normals, [0.31, 0.52, 0.79])
    tangents /= np.linalg.norm(tangents, axis=1, keepdims=True)
    ball.vertex_attributes["TANGENT"] = np.concatenate([tangents, np.ones((len(tangents), 1))], 1).astype(np.float32)
    scene = trimesh.Scene()
    scene.add_geometry(ball, transform=turn)
    scene.export(tmp_path / "a.glb", include_normals=True)
    rewritten(tmp_path / "a.glb", _tangents_named)
    mesh = load_mesh(tmp_path / "a.glb").mesh
    normals, found = mesh.surface.normals, mesh.surface.tangents
    assert normals is not None and found is not None
    direct = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
    assert ((direct.face_normals[:, None] * normals[mesh.faces]).sum(-1) > 0.7).all(), "outward"
    assert abs((normals * found[:, :3]).sum(-1)).max() < 1e-5, "in the surface"
    np.testing.assert_allclose(np.linalg.norm(found[:, :3], axis=1), 1, atol=1e-5)
    assert (found[:, 3] == -1).all()


def _tangents_named(tree: dict) -> None:
    attributes = tree["meshes"][0]["primitives"][0]["attributes"]
    name = next(key for key in attributes if key.upper().endswith("TANGENT"))
    attributes["TANGENT"] = attributes.pop(name)


def test_materials_that_differ_in_their_colour_alone_give_it_to_their_vertices(tmp_path):
    looks = [PBRMaterial(baseColorFactor=color) for color in ([255, 0, 0, 255], [0, 128, 0, 255])]
    given = load_mesh(glb(tmp_path / "two.glb", *(quad(look) for look in looks)))
    assert not any("base_color_factor" in line for line in given.report), given.report
    colors = given.mesh.colors[np.argsort(given.mesh.vertices[:, 2], kind="stable")]  # the first quad is behind
    assert colors[0] == pytest.approx([1, 0, 0], abs=1e-3) and colors[-1][0] == 0
    assert colors[-1][1] == pytest.approx(float(linear_to_srgb(np.array(128 / 255))), abs=2e-3)
    assert "base_color_factor" not in given.mesh.surface.factors
    scene = texture_scene(given.mesh, SMALL)
    assert start_from_colors(scene, given.mesh, n_steps=2) > 0


def test_a_part_without_colours_is_white_beside_those_that_have_them(tmp_path):
    red, bare = quad(None), quad(None)
    red.visual = trimesh.visual.ColorVisuals(vertex_colors=np.tile([255, 0, 0, 255], (4, 1)))
    bare.visual = trimesh.visual.ColorVisuals()
    mesh = load_mesh(glb(tmp_path / "two.glb", red, bare)).mesh
    colors = mesh.colors[np.argsort(mesh.vertices[:, 2], kind="stable")]
    assert colors[:4] == pytest.approx(np.tile([1, 0, 0], (4, 1))) and (colors[4:] == 1).all()


def test_a_texture_in_a_format_that_is_not_read_is_said(tmp_path):
    path = glb(tmp_path / "a.glb", quad(material(0)))

    def change(tree: dict) -> None:
        for texture in tree["textures"]:
            texture["extensions"] = {"KHR_texture_basisu": {"source": texture.pop("source")}}

    rewritten(path, change)
    with pytest.raises(ValueError, match="KHR_texture_basisu.* PNG or JPEG"):
        load_mesh(path)
    assert any("KHR_texture_basisu" in line for line in load_mesh(path, colors=False).report)
