"""An OBJ's surface beside its colour, compared with trimesh's reading of the same files."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh
from PIL import Image

from tbsd_core.mesh.load import load_mesh

LINES = "Kd 0.8 0.8 0.8\nKe 0.5 2 1\nPr 0.3\nPm 0.7\n"
MAPS = "map_Kd color.png\nmap_Pr -imfchan r rough.png\nmap_Pm metal.png\nnorm -bm 0.5 normal.png\nmap_Ke glow.png\n"


def obj_of(folder, *materials: str):
    """A square, half of it of the first material and half of the last."""
    text = "".join(f"newmtl m{i}\n{lines}\n" for i, lines in enumerate(materials))
    (folder / "a.mtl").write_text(text)
    (folder / "a.obj").write_text(
        "mtllib a.mtl\nv 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nvt 0 0\nvt 1 0\nvt 1 1\nvt 0 1\n"
        f"usemtl m0\nf 1/1 2/2 3/3\nusemtl m{len(materials) - 1}\nf 1/1 3/3 4/4\n"
    )
    return folder / "a.obj"


def picture(folder, name: str, color, size=(8, 8)) -> None:
    Image.new("RGB", size, color).save(folder / name)


@pytest.fixture
def folder(tmp_path):
    picture(tmp_path, "color.png", (200, 100, 50))
    picture(tmp_path, "rough.png", (60, 70, 80))
    picture(tmp_path, "metal.png", (10, 10, 10), (4, 4))
    picture(tmp_path, "normal.png", (128, 140, 250))
    picture(tmp_path, "glow.png", (0, 30, 0))
    return tmp_path


def theirs(path) -> dict:
    """The same material as trimesh reads it: words by key."""
    return trimesh.load(path, force="mesh", process=False).visual.material.kwargs


def test_numbers_are_those_that_trimesh_reads(folder):
    path = obj_of(folder, LINES)
    factors, read = load_mesh(path).mesh.surface.factors, theirs(path)
    assert [factors["roughness_factor"]] == [float(x) for x in read["pr"]] == [0.3]
    assert [factors["metallic_factor"]] == [float(x) for x in read["pm"]] == [0.7]
    glow = np.array(factors["emissive_factor"]) * factors["emissive_strength"]
    np.testing.assert_allclose(glow, [float(x) for x in read["ke"]])


def test_pictures_are_those_that_trimesh_names(folder):
    path = obj_of(folder, LINES + MAPS)
    loaded, read = load_mesh(path), theirs(path)
    surface = loaded.mesh.surface

    def named(key: str) -> np.ndarray:
        return np.asarray(Image.open(folder / read[key][-1]).convert("RGB")) / 255

    rough_and_metal = surface.metallic_roughness
    np.testing.assert_allclose(rough_and_metal[..., 1], named("map_pr")[..., 0], atol=1e-6)  # -imfchan r
    np.testing.assert_allclose(rough_and_metal[..., 2], named("map_pm")[0, 0, 2], atol=1e-6)  # in the larger size
    np.testing.assert_allclose(surface.normal_map, named("norm"), atol=1e-6)
    np.testing.assert_allclose(surface.emissive, named("map_ke"), atol=1e-6)
    ones = {"roughness_factor": 1.0, "metallic_factor": 1.0, "emissive_factor": [1.0] * 3}
    assert surface.factors == {**ones, "normal_scale": 0.5}, "a picture stands for its number"
    assert loaded.report == ("not watertight: 4 open edges (both sides are painted)",)


def test_without_pbr_nothing_is_said_of_the_surface(folder):
    surface = load_mesh(obj_of(folder, "Kd 1 1 1\nNs 200\nmap_Kd color.png")).mesh.surface
    assert not surface.is_lit


def test_one_picture_of_both_is_read_as_gltf_has_it(folder):
    surface = load_mesh(obj_of(folder, "map_Pr rough.png\nmap_Pm rough.png\nmap_Kd color.png")).mesh.surface
    np.testing.assert_allclose(surface.metallic_roughness[0, 0, 1:] * 255, [70, 80], atol=1e-3)


@pytest.mark.parametrize(("name", "is_normal"), [("normal.png", True), ("rough.png", False)])
def test_a_bump_map_is_one_of_normals_where_it_is_blue(folder, name, is_normal):
    loaded = load_mesh(obj_of(folder, f"map_Kd color.png\nmap_Bump -bm 0.25 {name}"))
    assert (loaded.mesh.surface.normal_map is not None) == is_normal
    assert any("bump map" in line for line in loaded.report) != is_normal


def test_materials_that_differ_keep_their_colour_alone(folder):
    loaded = load_mesh(obj_of(folder, "map_Kd color.png\nPr 0.2", "map_Kd color.png\nPr 0.9"))
    assert loaded.mesh.texture is not None and not loaded.mesh.surface.is_lit
    assert "not kept: roughness, metal, normals and emission, in which its materials differ" in loaded.report


def test_maps_outside_the_folder_are_not_read(folder):
    inside = folder / "inside"
    inside.mkdir()
    (inside / "linked.png").symlink_to(folder / "glow.png")
    outside = f"map_Pr ../rough.png\nmap_Pm {folder}/metal.png\nnorm ..\\normal.png\nmap_Ke linked.png"
    loaded = load_mesh(obj_of(inside, outside), colors=False)
    assert not loaded.mesh.surface.has_maps
    said = [line for line in loaded.report if "is not in the folder of the mesh" in line]
    assert len(said) == 4, loaded.report


@pytest.mark.parametrize("line", ["Pr rough", "Ke 1 2", "Pm nan", "Pm -1", "Ke", "map_Pr -imfchan", "norm -bm x y.png"])
def test_damaged_lines_are_left_out(folder, line):
    surface = load_mesh(obj_of(folder, f"map_Kd color.png\n{line}")).mesh.surface
    assert not surface.has_maps and np.isfinite(list(surface.factors.values()) or [0]).all()


def test_one_colour_of_all_materials_is_kept_and_several_are_said(tmp_path):
    faces = "v 0 0 0\nv 1 0 0\nv 0 1 0\nv 1 1 0\nmtllib a.mtl\nusemtl one\nf 1 2 3\nusemtl two\nf 2 4 3\n"
    (tmp_path / "a.obj").write_text(faces)
    (tmp_path / "a.mtl").write_text("newmtl one\nKd 0.5 0.25 1\nnewmtl two\nKd 0.5 0.25 1\n")
    mesh = load_mesh(tmp_path / "a.obj").mesh
    assert mesh.surface.factors["base_color_factor"] == [0.5, 0.25, 1.0, 1.0] and not mesh.surface.is_lit
    (tmp_path / "a.mtl").write_text("newmtl one\nKd 1 0 0\nnewmtl two\nKd 0 1 0\n")
    with pytest.raises(ValueError, match="Kd.* GLB"):
        load_mesh(tmp_path / "a.obj")
    assert any("Kd" in line for line in load_mesh(tmp_path / "a.obj", colors=False).report)


def moved(folder, *materials: str) -> tuple[np.ndarray, list[str]]:
    """Texture coordinates of the corners (v from below), and the report."""
    loaded = load_mesh(obj_of(folder, *materials))
    uvs = loaded.mesh.uvs[loaded.mesh.faces.reshape(-1)] * [1, -1] + [0, 1]
    places = loaded.mesh.vertices[loaded.mesh.faces.reshape(-1), :2]
    return np.concatenate([places, uvs], -1), list(loaded.report)


@pytest.mark.parametrize(
    ("options", "scale", "offset"),
    [
        ("-s 4 2 1", (4, 2), (0, 0)),
        ("-o 0.5 0.25 0 -s 4 4 1", (4, 4), (0.5, 0.25)),
        ("-s 2", (2, 1), (0, 0)),
        ("-o -0.5 -clamp off -S 2 3", (2, 3), (-0.5, 0)),
        ("-s 1 1 1 -o 0 0 0 -t 0 0 0", (1, 1), (0, 0)),
    ],
)
@pytest.mark.parametrize("name", ["color.png", "my color.png"])
def test_texture_coordinates_are_moved_as_the_options_of_a_picture_say(folder, options, scale, offset, name):
    picture(folder, name, (200, 100, 50))
    found, report = moved(folder, f"map_Kd {options} {name}")
    np.testing.assert_allclose(found[:, 2:], found[:, :2] * scale + offset, atol=1e-6)
    assert len(report) == 1, "the open edges"


def test_options_that_cannot_be_kept_are_said(folder):
    found, report = moved(folder, "map_Kd -s 2 2 2 color.png", "map_Kd -s 3 3 3 color.png")
    np.testing.assert_allclose(found[:, 2:], found[:, :2], atol=1e-6)
    assert any("-s) of its pictures, in which its materials differ" in line for line in report)
    found, report = moved(folder, "map_Kd -s 2 2 2 -t 1 color.png\nnorm normal.png")
    np.testing.assert_allclose(found[:, 2:], found[:, :2] * 2, atol=1e-6)
    assert any("-s) of its pictures, as its texture has others" in line for line in report)
    assert any("turbulence" in line for line in report)


def test_texture_coordinates_stay_where_no_picture_is_there(folder):
    mesh = load_mesh(obj_of(folder, "map_Kd -s 4 4 4 missing.png"), colors=False).mesh
    assert mesh.uvs.max() == 1


@pytest.mark.parametrize("name", ["a.png", "my picture.png", "brick #2.png"])
@pytest.mark.parametrize(
    "line", ["{}", '"{}"', "{} # of the wall", '"{}" # a/b', "-unknown 1 2 {}", "C:\\art\\{}", "  {}\t"]
)
def test_names_may_have_spaces_quotes_and_comments(folder, name, line):
    picture(folder, name, (0, 0, 255))
    mesh = load_mesh(obj_of(folder, f"map_Kd {line.format(name)}")).mesh
    assert (mesh.texture == [0, 0, 1]).all()


@pytest.mark.parametrize(
    "libraries",
    [
        "mtllib other.mtl\nmtllib a.mtl",
        "mtllib a.mtl other.mtl",
        "mtllib missing.mtl a.mtl # two",
        "mtllib missing.mtl\nmtllib a.mtl",
        'mtllib "a.mtl"',
        'mtllib "missing one.mtl" "a.mtl"',
        "mtllib a.mtl # of the house",
        "mtllib other.mtl\n\tmtllib\ta.mtl  ",
    ],
)
def test_materials_are_found_in_any_library(folder, libraries):
    path = obj_of(folder, "map_Kd color.png")
    (folder / "other.mtl").write_text("newmtl m0 other\nKd 1 0 0\n")
    path.write_text(path.read_text().replace("mtllib a.mtl", libraries))
    assert load_mesh(path).mesh.texture is not None


def test_a_library_with_spaces_comes_before_several(folder):
    path = obj_of(folder, "map_Kd color.png")
    (folder / "a b.mtl").write_text("newmtl m0\nmap_Kd glow.png\n")
    path.write_text(path.read_text().replace("mtllib a.mtl", "mtllib a b.mtl"))
    np.testing.assert_allclose(load_mesh(path).mesh.texture[0, 0], [0, 30 / 255, 0], atol=1e-6)


@pytest.mark.parametrize("first", ["{}newmtl m0", "newmtl m0 # a wall", 'newmtl "m0"', "{}newmtl\tm0  "])
def test_materials_are_found_by_their_names(folder, first):
    path = obj_of(folder, "map_Kd color.png")
    text = first.format("\ufeff") + "\rmap_Kd color.png # c\r\n"
    (folder / "a.mtl").write_bytes(text.encode())
    path.write_bytes(path.read_bytes().replace(b"usemtl m0\n", b"usemtl m0 # here\n").replace(b"\n", b"\r"))
    assert load_mesh(path).mesh.texture is not None


def test_names_with_colons_are_refused(folder):
    picture(folder, "C:secret.png", (0, 0, 255))  # on Windows in the current folder of another drive
    with pytest.raises(ValueError, match="'C:secret.png' is not in the folder of the mesh"):
        load_mesh(obj_of(folder, "map_Kd C:secret.png"))


def test_a_line_of_many_words_does_not_hang(folder):
    path = obj_of(folder, "map_Kd -unknown " + "a " * 500_000 + "color.png\nnorm -s " + "1 " * 500_000)
    path.write_text("mtllib " + '" ' * 100_001 + "\n" + path.read_text())
    assert load_mesh(path, colors=False).mesh.texture is None
