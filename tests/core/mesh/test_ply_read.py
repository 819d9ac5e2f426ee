"""PLY files as programs write them: faces of several sizes, their texture coordinates, colours and pictures."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tbsd_core.mesh.load import load_mesh

CODES = {"float": "f", "double": "d", "uchar": "B", "char": "b", "ushort": "H", "int": "i", "uint": "I"}
FORMATS = ("binary_little_endian", "binary_big_endian", "ascii")
PLACES = [(0, 0, 0), (2, 0, 0), (2, 1, 0), (1, 1, 0), (1, 2, 0), (0, 2, 0)]
XYZ = ["float x", "float y", "float z"]
LIST = "list uchar int vertex_indices"
RGB = ["uchar red", "uchar green", "uchar blue"]


def ply(kind: str, vertex: list[str], vertices: Any, face: list[str], faces: Any, extra: str = "") -> bytes:
    """A file of these properties; a row has a tuple of numbers for each list."""
    heads = (("vertex", vertex, vertices), ("face", face, faces))
    text = "".join(f"element {n} {len(rows)}\n" + "".join(f"property {p}\n" for p in own) for n, own, rows in heads)
    made = f"ply\nformat {kind} 1.0\n{extra}{text}end_header\n".encode()
    order = ">" if "big" in kind else "<"
    for _, own, rows in heads:
        for row in rows:
            numbers: list[tuple[str, float]] = []
            for words, value in zip([p.split() for p in own], row, strict=True):
                if words[0] == "list":
                    numbers.append((words[1], len(value)))
                    numbers += [(words[2], x) for x in value]
                else:
                    numbers.append((words[0], value))
            if kind == "ascii":
                made += (" ".join(str(x) for _, x in numbers) + "\n").encode()
            else:
                made += b"".join(struct.pack(order + CODES[t], x) for t, x in numbers)
    return made


def read(folder, data: bytes, **how):
    (folder / "a.ply").write_bytes(data)
    return load_mesh(folder / "a.ply", **how)


def area(mesh) -> float:
    a, b, c = (mesh.vertices[mesh.faces[:, k]].astype(np.float64) for k in range(3))
    found = np.cross(b - a, c - a)[:, 2]
    assert (found > 0).all()
    return float(found.sum() / 2)


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("list_of", [LIST, "list uint uint vertex_index", "list ushort double vertex_indices"])
@pytest.mark.parametrize("n_first", [3, 4])
def test_faces_of_several_sizes_are_read(tmp_path, kind, list_of, n_first):
    faces = [((0, 1, 2, 3),), ((0, 3, 4),), ((0, 4, 5),), ((),)]
    faces = faces if n_first == 4 else faces[1:] + faces[:1]
    mesh = read(tmp_path, ply(kind, XYZ, PLACES, [list_of], faces)).mesh
    assert len(mesh.faces) == 4 and area(mesh) == pytest.approx(3)


@pytest.mark.parametrize("kind", FORMATS)
def test_concave_faces_keep_their_shape(tmp_path, kind):
    assert area(read(tmp_path, ply(kind, XYZ, PLACES, [LIST], [((1, 2, 3, 4, 5, 0),)])).mesh) == pytest.approx(3)


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("first", [0, 1])
def test_texture_coordinates_of_corners_stay_beside_faces_of_several_sizes(tmp_path, kind, first):
    Image.new("RGB", (4, 4), (0, 0, 255)).save(tmp_path / "my t.png")
    polygons = [(0, 1, 2, 3), (0, 3, 4, 5), (0, 1, 5)]
    if first:
        polygons = polygons[::-1]
    faces = [(7, c, 0.5, [x / 4 for k in c for x in PLACES[k][:2]], 0) for c in polygons]
    own = ["int flags", LIST, "double quality", "list uchar float texcoord", "int texnumber"]
    data = ply(kind, [*XYZ, "int more"], [(*p, 9) for p in PLACES], own, faces, "comment TextureFile my t.png\n")
    mesh = read(tmp_path, data).mesh
    assert len(mesh.faces) == 5 and (mesh.texture == [0, 0, 1]).all()
    np.testing.assert_allclose(mesh.uvs, mesh.vertices[:, :2] / 4 * [1, -1] + [0, 1])


@pytest.mark.parametrize("kind", FORMATS)
def test_a_seam_between_faces_stays_open(tmp_path, kind):
    faces = [((0, 1, 2, 3), (0, 0, 1, 0, 1, 1, 0, 1)), ((0, 3, 4), (0, 0, 0.5, 0.5, 0, 1))]
    mesh = read(tmp_path, ply(kind, XYZ, PLACES, [LIST, "list uchar float texcoord"], faces)).mesh
    last = mesh.uvs[mesh.faces[2]]
    np.testing.assert_allclose(last, [[0, 1], [0.5, 0.5], [0, 0]])
    assert len(mesh.vertices) == 6


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("n_faces", [1, 2])
@pytest.mark.parametrize("scale", [("uchar", 255), ("float", 1), ("ushort", 65535), ("int", 255)])
def test_vertex_colours_stay_beside_texture_coordinates(tmp_path, kind, n_faces, scale):
    colors = np.eye(3)[[0, 1, 2, 0, 1, 2]]
    shades = [f"{scale[0]} {name}" for name in ("red", "green", "blue")]
    whole = [tuple(type(scale[1])(x * scale[1]) for x in row) for row in colors]
    vertices = [(*p, *c) for p, c in zip(PLACES, whole, strict=True)]
    faces = [((0, 1, 2), (0, 0, 1, 0, 1, 1)), ((0, 2, 3), (0, 0, 1, 1, 0, 1))][:n_faces]
    mesh = read(tmp_path, ply(kind, XYZ + shades, vertices, [LIST, "list uchar float texcoord"], faces)).mesh
    assert mesh.uvs is not None
    np.testing.assert_allclose(mesh.colors, np.eye(3)[[0, 1, 2, 0][: n_faces + 2]], atol=1e-6)
    vertices = [(*v, v[0], v[1]) for v in vertices]
    mesh = read(
        tmp_path, ply(kind, [*XYZ, *shades, "float s", "float t"], vertices, [LIST], [x[:1] for x in faces])
    ).mesh
    np.testing.assert_allclose(mesh.uvs, mesh.vertices[:, :2] * [1, -1] + [0, 1])
    np.testing.assert_allclose(mesh.colors, np.eye(3)[[0, 1, 2, 0][: n_faces + 2]], atol=1e-6)


@pytest.mark.parametrize("used", [(0, 1), (1, 1), None])
def test_several_pictures_are_said_unless_one_of_them_is_used(tmp_path, used):
    Image.new("RGB", (4, 4), (255, 0, 0)).save(tmp_path / "a.png")
    Image.new("RGB", (4, 4), (0, 0, 255)).save(tmp_path / "b.png")
    own = [LIST, "list uchar float texcoord", *(["int texnumber"] if used else [])]
    corners = [((0, 1, 2), (0, 0, 1, 0, 1, 1)), ((0, 2, 3), (0, 0, 1, 1, 0, 1))]
    faces = [(*c, *(used[k : k + 1] if used else ())) for k, c in enumerate(corners)]
    data = ply("ascii", XYZ, PLACES, own, faces, "comment TextureFile a.png\ncomment TextureFile b.png\n")
    if used == (1, 1):
        assert (read(tmp_path, data).mesh.texture == [0, 0, 1]).all()
        return
    with pytest.raises(ValueError, match="do not share one texture"):
        read(tmp_path, data)
    loaded = read(tmp_path, data, colors=False)
    assert loaded.mesh.uvs is None and "do not share one texture" in loaded.report[-1]


def test_other_elements_and_line_ends_do_no_harm(tmp_path):
    head, body = ply("ascii", XYZ, PLACES, [LIST], [((0, 1, 2),), ((0, 2, 3),)]).split(b"element face")
    data = head + b"element thing 2\nproperty list uchar int a\nproperty float b\nelement face" + body
    lines = data.splitlines()
    at = lines.index(b"end_header") + 1 + len(PLACES)
    data = b"\n".join([*lines[:at], b"2 5 5 1.5", b"0 2.5", *lines[at:], b""])
    for ending in (b"\n", b"\r\n", b"\r"):
        assert len(read(tmp_path, data.replace(b"\n", ending)).mesh.faces) == 2
    binary = ply("binary_little_endian", XYZ, [(1.4e-44, 0, 0), *PLACES[1:]], [LIST], [((0, 1, 2),)])  # begins with 10
    head, body = binary.split(b"end_header\n")
    for ending in (b"\n", b"\r\n", b"\r"):
        own = (head + b"end_header\n").replace(b"\n", ending) + body
        assert read(tmp_path, own).mesh.vertices.max() == 2


CUT = ply("binary_little_endian", XYZ, PLACES, [LIST], [((0, 1, 2, 3),), ((0, 3, 4),)])
DAMAGED = {
    "rows": (CUT[:-40], "ends before|ends inside"),
    "list": (CUT[:-3], "ends inside"),
    "negative": (CUT.replace(b"list uchar", b"list char")[:-13] + b"\xff" * 13, "list of -1"),
    "index": (ply("ascii", XYZ, PLACES, [LIST], [((0, 1, 2, 3),), ((0, 3, -1),)]), "beyond the 6"),
    "type": (CUT.replace(b"list uchar", b"list quark"), "quark"),
    "words": (ply("ascii", XYZ, PLACES, [LIST], [((0, 1, "two"),)]), "not a number"),
    "axis": (CUT.replace(b"float z", b"float w"), "have no z"),
    "magic": (CUT.replace(b"ply", b"plx"), "begin with 'ply'"),
    "points": (ply("ascii", XYZ, PLACES, [LIST], []), "no faces"),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_files_are_refused(tmp_path, name):
    data, message = DAMAGED[name]
    with pytest.raises(ValueError, match=f"a.ply .*{message}"):
        read(tmp_path, data)
