"""Faces of an OBJ as programs write them: polygons, relative numbers, comments, and texture coordinates apart."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from tbsd_core.mesh.load import load_mesh
from tbsd_core.mesh.mesh import Mesh

QUAD = "v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\n"
PLACES = "vt 0 0\nvt 1 0\nvt 1 1\nvt 0 1\n"
L = "v 0 0 0\nv 2 0 0\nv 2 1 0\nv 1 1 0\nv 1 2 0\nv 0 2 0\n"


@pytest.fixture
def read(tmp_path):
    def read(text: str | bytes, **how) -> Mesh:
        (tmp_path / "a.obj").write_bytes(text.encode() if isinstance(text, str) else text)
        return load_mesh(tmp_path / "a.obj", **how).mesh

    return read


def heights(mesh: Mesh) -> np.ndarray:
    """Twice the area of each triangle, seen from above."""
    a, b, c = (mesh.vertices[mesh.faces[:, k]].astype(np.float64) for k in range(3))
    return np.cross(b - a, c - a)[:, 2]


def test_relative_numbers_count_back_from_their_line(read):
    square = (
        "v 0 0 {0}\nv 1 0 {0}\nv 1 1 {0}\nv 0 1 {0}\nvt 0 {0}\nvt 1 {0}\nvt 1 0\nvt 0 0\nf -4/-4 -3/-3 -2/-2 -1/-1\n"
    )
    mesh = read("o A\n" + square.format(0) + "o B\n" + square.format(5))
    assert sorted(mesh.vertices[:, 2].tolist()) == [0] * 4 + [5] * 4
    np.testing.assert_allclose(mesh.uvs[mesh.faces[:2]].max((0, 1)), [1, 1])
    np.testing.assert_allclose(mesh.uvs[mesh.faces[2:]].min((0, 1)), [0, -4])
    mixed = read(QUAD + "f 1 2 3\nv 0 0 9\nf -1 1 2\n")
    assert mixed.vertices[mixed.faces[1, 0], 2] == 9


@pytest.mark.parametrize("face", ["f 1 2 3 4 5 6", "f 2 3 4 5 6 1", "f 6 1 2 3 4 5"])
def test_concave_polygons_keep_their_shape(read, face):
    found = heights(read(L + face + "\n"))
    assert found.sum() == pytest.approx(6) and (found > 0).all()


def test_corners_of_concave_polygons_keep_their_texture_coordinates(read):
    coordinates = L.replace("v ", "vt ").replace(" 0\n", "\n")
    mesh = read(L + coordinates + "vn 0 0 1\nf " + " ".join(f"{k}/{k}/1" for k in (2, 3, 4, 5, 6, 1)) + "\n")
    np.testing.assert_allclose(mesh.uvs, mesh.vertices[:, :2] * [1, -1] + [0, 1])
    assert heights(mesh).sum() == pytest.approx(6)


def test_faces_may_differ_in_what_their_corners_have(read):
    mesh = read(
        QUAD + PLACES + "vn 0 0 1\nvn 0 1 0\nf 1/1/1 2/2/1 3/3/1 4/4/1\nf 1/1 2/2 3/3\nf 1//1 3//1 4//1\nf 1/ 2/ 4/\n"
    )
    assert len(mesh.faces) == 5
    np.testing.assert_allclose(mesh.uvs[mesh.faces[:3]], mesh.vertices[mesh.faces[:3]][..., :2] * [1, -1] + [0, 1])
    hard = read(QUAD + "vn 0 0 1\nvn 0 1 0\nf 1//1 2//1 3//1\nf 1//2 3//2 4//2\n")
    assert len(hard.vertices) == 6, "vertices of different normals are not joined"


@pytest.mark.parametrize(
    "text",
    [
        "v 0 0 0 # a\nv 1 0 0\nv 1 1 0 # 1/2\nf 1 2 3 # hello 1/2\n",
        "v\t0\t0\t0\nv\t1\t0\t0\n\tv 1\t1 0\nf\t1\t2\t3\n",
        "# C:\\a\\\nv 0 0 0\nv 1 0 0\nv 1 1 0\nf 1 \\\n 2 3\n",
        "v 0 0 0\rv 1 0 0\rv 1 1 0\rf 1 2 3\r",
        "\ufeffv 0 0 0\r\nv 1 0 0\r\nv 1 1 0\r\nf 1 2 \\\r\n3\r\n",
        "o f\ng v 1\ns off\nv 0 0 0 1\nv 1 0 0\n" + " " * 99 + "v 1 1 0\nf 1 2 3\nl 1 2\np 1\n",
    ],
)
def test_comments_tabs_and_line_ends_do_no_harm(read, text):
    np.testing.assert_array_equal(read(text).vertices, [[0, 0, 0], [1, 0, 0], [1, 1, 0]])


def test_faces_of_a_comment_and_without_texture_coordinates_are_read(read):
    mesh = read(QUAD + PLACES + "f 1/1 2/2 3/3\nf 1 3 4 # x\n")
    assert (mesh.uvs[mesh.faces[1]] == [0, 1]).all()


@pytest.mark.parametrize("colors", ["1 0 0", "255 0 0", "1 0 0 1"])
def test_vertex_colours_stay_beside_texture_coordinates(read, colors):
    text = "".join(f"v {place} {colors}\n" for place in ("0 0 0", "1 0 0", "1 1 0"))
    mesh = read(text + PLACES + "f 1/1 2/2 3/3\n")
    np.testing.assert_array_equal(mesh.colors, [[1, 0, 0]] * 3)
    assert mesh.uvs.shape == (3, 2)


def test_a_picture_comes_before_vertex_colours_and_they_before_a_missing_one(read, tmp_path):
    text = "mtllib a.mtl\n" + "".join(f"v {place} 1 0 0\n" for place in ("0 0 0", "1 0 0", "1 1 0"))
    (tmp_path / "a.mtl").write_text("newmtl a\nmap_Kd a.png\n")
    assert (read(text + PLACES + "usemtl a\nf 1/1 2/2 3/3\n").colors == [1, 0, 0]).all()
    Image.new("RGB", (4, 4), (0, 0, 255)).save(tmp_path / "a.png")
    mesh = read(text + PLACES + "usemtl a\nf 1/1 2/2 3/3\n")
    assert mesh.colors is None and (mesh.texture == [0, 0, 1]).all()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (QUAD + "f 1 2 99\n", "beyond the 4"),
        (QUAD + "f 0 1 2\n", "beyond the 4"),
        (QUAD + "f 1 2 -5\n", "beyond the 4"),
        (QUAD + "f 1 two 3\n", "'f' has something that is not a number"),
        ("v 0 0\nv 1 0 0\nv 1 1 0\nf 1 2 3\n", "'v' has 2 numbers, expected 3"),
        ("v 0 0 zero\nv 1 0 0\nv 1 1 0\nf 1 2 3\n", "'v' has something that is not a number"),
        ("f 1 2 3\n", "beyond the 0"),
        (QUAD + "f\nf 1 2\n", "no faces"),
    ],
)
def test_damaged_lines_are_named(read, text, message):
    with pytest.raises(ValueError, match=message):
        read(text)


HOSTILE = {
    "digits": "f " + "1" * 1_000_000 + " x",
    "numbers": "f " + "1 " * 500_000 + "x",
    "slashes": "f " + "1//1 " * 200_000 + "1/1/1",
    "comment": "f " + "100000 " * 150_000 + "# c",
    "spaces": " " * 1_000_000 + "f 1 2 3",
    "lines": "f 1000//1000 1001//1001 1002//1002 # c\n" * 25_000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_lines_do_not_hang(read, name):
    try:
        read(QUAD + PLACES + "vn 0 0 1\nf 1/1 2/2 3/3\n" + HOSTILE[name] + "\n", colors=False)
    except ValueError as error:
        assert "a.obj" in str(error) and "time" not in str(error)
