"""Meshes from files: coordinates, textures, what is refused and what is only reported."""

import base64
import io
import json
import struct
import zlib

import numpy as np
import pytest
import trimesh
from PIL import Image

from tbsd_core.media import read_mask, read_square
from tbsd_core.mesh import Mesh, write_mesh
from tbsd_core.mesh.load import load_mesh
from tbsd_core.mesh.pictures import unpacked

QUAD = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], dtype=np.float64)
FACES = np.array([[0, 1, 2], [0, 2, 3]])


@pytest.mark.parametrize("ending", ["glb", "obj", "ply", "stl"])
def test_own_coordinates_survive_every_format(tmp_path, ending):
    box = trimesh.creation.box((2.0, 30.0, 4.0))
    box.apply_translation((100.0, -5.0, 7.0))
    box.export(tmp_path / f"box.{ending}")
    loaded = load_mesh(tmp_path / f"box.{ending}")
    corners = loaded.mesh.vertices[loaded.mesh.faces]
    np.testing.assert_allclose(corners.reshape(-1, 3).min(0), box.bounds[0], atol=1e-4)
    np.testing.assert_allclose(corners.reshape(-1, 3).max(0), box.bounds[1], atol=1e-4)
    assert len(loaded.mesh.faces) == 12
    assert loaded.report == ()


def test_scene_transforms_are_applied(tmp_path):
    scene = trimesh.Scene()
    box = trimesh.creation.box()
    for x in (0.0, 10.0):
        scene.add_geometry(box, transform=trimesh.transformations.translation_matrix((x, 0, 0)))
    scene.export(tmp_path / "two.glb")
    loaded = load_mesh(tmp_path / "two.glb")
    assert len(loaded.mesh.faces) == 24
    assert loaded.mesh.vertices[:, 0].max() == pytest.approx(10.5)
    assert loaded.report == ("2 objects joined",)


def _ordinary() -> dict[str, tuple[str, object]]:
    """Files as other programs write them."""
    ball, box, rod = (
        trimesh.creation.icosphere(2),
        trimesh.creation.box(),
        trimesh.creation.cylinder(0.2, 1, sections=7),
    )
    ball.visual.vertex_colors = np.random.default_rng(0).integers(0, 256, (len(ball.vertices), 4), dtype=np.uint8)
    turn, move = trimesh.transformations.rotation_matrix(0.7, (1, 2, 3)), trimesh.transformations.translation_matrix
    scene = trimesh.Scene()
    scene.add_geometry(box, node_name="a", transform=turn @ np.diag((1, 2, 0.5, 1)))
    scene.add_geometry(rod, node_name="b", parent_node_name="a", transform=move((3, 0, 1)))
    scene.add_geometry(box, node_name="c", parent_node_name="b", transform=np.diag((-1, 1, 1, 1.0)) @ turn)
    return {
        "nested.glb": scene,
        "one.glb": rod,
        "colours.ply": ball,
        "colours.obj": ball,
        "several.obj": scene,
        "binary.stl": rod,
    }


@pytest.mark.parametrize("name", _ordinary())
def test_the_result_is_what_trimesh_gives(tmp_path, name):
    made = _ordinary()[name]
    made.export(tmp_path / name)
    direct = trimesh.load_scene(tmp_path / name, process=False)
    meshes = [direct.geometry[geometry].copy() for _, geometry in map(direct.graph.get, direct.graph.nodes_geometry)]
    for mesh, node in zip(meshes, direct.graph.nodes_geometry, strict=True):
        mesh.apply_transform(direct.graph[node][0])  # turns the faces of what is mirrored
    wanted = np.concatenate([mesh.triangles for mesh in meshes])
    got = load_mesh(tmp_path / name).mesh
    triangles = got.vertices[got.faces]

    def in_order(corners: np.ndarray) -> np.ndarray:  # by where they are; each keeps its orientation
        first = np.lexsort(np.round(corners, 4).transpose(2, 0, 1), axis=-1)[:, :1]
        turned = np.take_along_axis(corners, ((first + np.arange(3)) % 3)[..., None], axis=1)
        return turned[np.lexsort(np.round(turned, 4).reshape(len(turned), -1).T)]

    np.testing.assert_allclose(in_order(triangles), in_order(wanted), atol=1e-5)
    if "colours" in name:
        rgb = meshes[0].visual.vertex_colors[meshes[0].faces][..., :3] / 255
        np.testing.assert_allclose(got.colors[got.faces].mean((0, 1)), rgb.mean((0, 1)), atol=1e-3)


def test_our_own_colours_come_back(tmp_path):
    colors = np.random.default_rng(0).random((4, 3)).astype(np.float32)  # GLB holds them as linear light
    for ending, error in (("glb", 1e-5), ("ply", 0.5 / 255 + 1e-6)):
        path = write_mesh(Mesh(QUAD.astype(np.float32), FACES, colors), tmp_path / f"a.{ending}")
        np.testing.assert_allclose(load_mesh(path).mesh.colors, colors, atol=error)


@pytest.mark.parametrize("ending", ["glb", "obj"])
def test_texture_is_upright(tmp_path, ending):
    picture = np.zeros((4, 4, 3), dtype=np.uint8)
    picture[0] = (255, 0, 0)  # the upper row
    uv = QUAD[:, :2]  # counted from below, as trimesh does: the upper edge of the quad has v = 1
    material = trimesh.visual.material.SimpleMaterial(image=Image.fromarray(picture))
    if ending == "glb":
        material = trimesh.visual.material.PBRMaterial(baseColorTexture=Image.fromarray(picture))
    visual = trimesh.visual.TextureVisuals(uv=uv, material=material)
    trimesh.Trimesh(QUAD, FACES, visual=visual, process=False).export(tmp_path / f"quad.{ending}")
    mesh = load_mesh(tmp_path / f"quad.{ending}").mesh
    upper = mesh.vertices[:, 1] > 0.5
    np.testing.assert_allclose(mesh.uvs[upper, 1], 0, atol=1e-6)
    np.testing.assert_allclose(mesh.uvs[~upper, 1], 1, atol=1e-6)
    np.testing.assert_allclose(mesh.texture[0, :, 0], 1, atol=0.02)


def test_open_and_degenerate_are_reported(tmp_path):
    faces = np.concatenate([FACES, [[0, 0, 1]]])
    trimesh.Trimesh(QUAD, faces, process=False).export(tmp_path / "quad.ply")
    loaded = load_mesh(tmp_path / "quad.ply")
    assert len(loaded.mesh.faces) == 2
    assert loaded.report[0] == "1 faces without an area dropped"
    assert loaded.report[1].startswith("not watertight: 4 open edges")


def test_non_manifold_is_reported(tmp_path):
    faces = np.array([[0, 1, 2], [1, 0, 3], [0, 1, 4]])
    vertices = np.concatenate([QUAD, [[0, 0, 1]]])
    trimesh.Trimesh(vertices, faces, process=False).export(tmp_path / "fan.ply")
    assert any(line.startswith("not manifold: 1 edges") for line in load_mesh(tmp_path / "fan.ply").report)


def _ply(vertices: str, faces: str, n_vertices: int = 3, comment: str = "") -> str:
    return (
        f"ply\nformat ascii 1.0\n{comment}element vertex {n_vertices}\nproperty float x\nproperty float y\n"
        f"property float z\nelement face 1\nproperty list uchar int vertex_indices\nend_header\n{vertices}\n{faces}\n"
    )


def _glb(tree: dict | str, body: bytes = b"") -> bytes:
    text = (json.dumps(tree) if isinstance(tree, dict) else tree).encode()
    text += b" " * (-len(text) % 4)
    end = struct.pack("<I4s", len(body), b"BIN\0") + body
    return b"glTF" + struct.pack("<IIII", 2, 20 + len(text) + len(end), len(text), 0x4E4F534A) + text + end


BODY = np.float32(QUAD[:3]).tobytes()
TRIANGLE = {"primitives": [{"attributes": {"POSITION": 0}}]}


def _tree(nodes: str, meshes: str = json.dumps(TRIANGLE), n_roots: int = 1, view: str = "") -> str:
    """The description of a GLB with one triangle, as text: as an object it would take seconds to write."""
    return (
        f'{{"scenes": [{{"nodes": [{",".join(map(str, range(n_roots)))}]}}], "nodes": [{nodes}], "meshes": [{meshes}], '
        '"buffers": [{"byteLength": 36}], "bufferViews": [{"buffer": 0, "byteLength": 36}], '
        f'"accessors": [{{"componentType": 5126, "count": 3, "type": "VEC3", "bufferView": 0}}]{view}}}'
    )


def _nested(n: int) -> str:
    return _tree(",".join([f'{{"children": [{i}]}}' for i in range(1, n)]) + ',{"mesh": 0}')


def _png(width: int, height: int) -> bytes:
    """A PNG that declares a size, with pixels for one row."""
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(bytes(3 * width + 1))),
    ]
    made = [
        struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in [*chunks, (b"IEND", b"")]
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(made)


def _picture(kind: str, width: int, height: int) -> bytes:
    """A picture of one colour that declares another size."""
    if kind == "png":
        return _png(width, height)
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, format="JPEG" if kind == "jpg" else "WEBP", lossless=True)
    data = bytearray(buffer.getvalue())
    if kind == "jpg":
        at = data.index(b"\xff\xc0") + 5
        data[at : at + 4] = struct.pack(">HH", height, width)
    else:  # 14 bits each in a lossless WebP: at most 16384
        at = data.index(b"VP8L") + 9
        data[at : at + 4] = struct.pack("<I", (width - 1) | (height - 1) << 14)
    return bytes(data)


BAD = {
    "unknown.fbx": (b"x", "expected a mesh file"),
    "empty.obj": (b"", "cannot be read|no faces"),
    "points.obj": (b"v 0 0 0\nv 1 0 0\n", "cannot be read|no faces"),
    "nan.ply": (_ply("0 0 0\n1 0 nan\n0 1 0", "3 0 1 2").encode(), "not finite"),
    "range.ply": (_ply("0 0 0\n1 0 0\n0 1 0", "3 0 1 7").encode(), "damaged|cannot be read"),
    "huge.ply": (_ply("0 0 0", "3 0 0 0", 10**12, "comment x\n" * 10_000).encode(), "declares 1000000000000"),
    "endless.ply": (b"ply\n" + b"comment x\n" * 200_000, "no 'end_header'"),
    "flat.ply": (_ply("0 0 0\n1 0 0\n2 0 0", "3 0 1 2").encode(), "no face with an area"),
    "noise.glb": (b"not a file at all, and long enough", "not a GLB"),
    "cut.glb": (b"glTF" + struct.pack("<IIII", 2, 40, 20, 0x4E4F534A) + b"{", "damaged"),
    "outside.glb": (_glb({"buffers": [{"uri": "http://example.org/a.bin"}]}), "refers to other files"),
    "huge.glb": (_glb({"accessors": [{"count": 10**12}]}), "declares 1000000000000"),
    "huge.stl": (b"\0" * 80 + struct.pack("<I", 2**32 - 1), "declares 4294967295"),
    "solids.stl": (b"solid a\nendsolid a\n" * 20_000, "20,000 solids; at most 10,000"),
    "loop.glb": (
        _glb(_tree('{"children": [1]}, {"children": [0]}'), BODY),
        "node 0 has two parents, or is inside itself",
    ),
    "nodes.glb": (_glb(_tree('{"mesh":0},' * 999_999 + '{"mesh":0}'), BODY), "1,000,000 nodes; at most 300,000"),
    "flat.glb": (_glb(_tree('{"mesh":0}').replace("VEC3", "VEC2"), BODY), r"expected vertices \[N, 3\]"),
    "faces.glb": (
        _glb(
            _tree('{"mesh":0}', json.dumps({"primitives": TRIANGLE["primitives"] * 19_999})).replace(
                '"count": 3', '"count": 3000'
            ),
            BODY,
        ),
        "19,999,000 faces in 1 objects; at most 5,000,000",
    ),
    "meshes.glb": (
        _glb(_tree('{"mesh":0}', json.dumps({"primitives": TRIANGLE["primitives"] * 30_000})), BODY),
        "30,000 different objects; at most 20,000",
    ),
    "packed.glb": (
        _glb(_tree('{"mesh":0}', view=', "extensionsRequired": ["EXT_meshopt_compression"]')),
        "without meshopt",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files_are_refused(tmp_path, name):
    data, message = BAD[name]
    (tmp_path / name).write_bytes(data)
    with pytest.raises(ValueError, match=message) as caught:
        load_mesh(tmp_path / name)
    assert name in str(caught.value)


def test_two_hundred_thousand_nodes_inside_each_other_are_read(tmp_path):
    (tmp_path / "nested.glb").write_bytes(_glb(_nested(200_000), BODY))
    np.testing.assert_array_equal(load_mesh(tmp_path / "nested.glb").mesh.vertices, QUAD[:3])


def _painted_obj(folder, *, pictures, n_materials=2) -> None:
    """A row of triangles, each with a material of its own."""
    (folder / "a.mtl").write_text("".join(f"newmtl m{i}\n{pictures[i % len(pictures)]}\n" for i in range(n_materials)))
    corners = "".join(f"v {i} 0 0\nv {i + 1} 0 0\nv {i} 1 0\n" for i in range(n_materials))
    faces = "".join(f"usemtl m{i}\nf {3 * i + 1}/1 {3 * i + 2}/2 {3 * i + 3}/3\n" for i in range(n_materials))
    (folder / "a.obj").write_text(f"mtllib a.mtl\n{corners}vt 0 0\nvt 1 0\nvt 0 1\n{faces}")


def test_materials_that_share_a_picture_keep_it_however_many_there_are(tmp_path):
    Image.new("RGB", (4, 4), (255, 0, 0)).save(tmp_path / "red.png")
    _painted_obj(tmp_path, pictures=["map_Kd C:\\artist\\red.png", "map_Kd -s 1 1 1 red.png"], n_materials=20_000)
    mesh = load_mesh(tmp_path / "a.obj").mesh
    assert len(mesh.faces) == 20_000
    np.testing.assert_array_equal(mesh.texture, np.float32([1, 0, 0])[None, None].repeat(4, 0).repeat(4, 1))


def test_pictures_that_cannot_be_kept_are_named_and_stop_only_those_who_want_them(tmp_path):
    _painted_obj(tmp_path, pictures=["map_Kd a.png", ""])
    with pytest.raises(ValueError, match="do not share one texture.*bake them into one picture.*keep_colors off"):
        load_mesh(tmp_path / "a.obj")
    assert "bake them into one" in load_mesh(tmp_path / "a.obj", colors=False).report[-1]
    _painted_obj(tmp_path, pictures=["map_Kd a.png"])
    with pytest.raises(ValueError, match="'a.png' is not in the folder of the mesh. Put it there"):
        load_mesh(tmp_path / "a.obj")


@pytest.mark.parametrize(("kind", "size"), [("png", 40_000), ("jpg", 40_000)])
def test_what_a_picture_declares_is_checked_before_it_is_unpacked(tmp_path, kind, size):
    _painted_obj(tmp_path, pictures=[f"map_Kd a.{kind}"])
    (tmp_path / f"a.{kind}").write_bytes(_picture(kind, size, size))
    said = f"{size:,} x {size:,} pixels; at most 16,384" if size > 16_384 else "cannot be read"
    with pytest.raises(ValueError, match=f"its texture is not kept.*{said}"):
        load_mesh(tmp_path / "a.obj")
    loaded = load_mesh(tmp_path / "a.obj", colors=False)
    assert len(loaded.mesh.faces) == 2
    assert said in loaded.report[-1] or kind == "webp"


def test_a_picture_of_twice_the_size_is_halved(tmp_path):
    _painted_obj(tmp_path, pictures=["map_Kd a.png"])
    Image.new("RGB", (9000, 16), (255, 0, 0)).save(tmp_path / "a.png")
    loaded = load_mesh(tmp_path / "a.obj")
    assert loaded.mesh.texture.shape == (8, 4500, 3)
    assert loaded.report[-1] == "texture of 9,000 x 16 reduced to 4,500 x 8"


def test_an_obj_reads_nothing_outside_its_folder(tmp_path):
    inside = tmp_path / "inside"
    inside.mkdir()
    Image.new("RGB", (4, 4), (255, 0, 0)).save(tmp_path / "secret.png")
    _painted_obj(inside, pictures=["map_Kd ../secret.png"])
    assert load_mesh(inside / "a.obj", colors=False).mesh.texture is None
    with pytest.raises(ValueError, match="'secret.png' is not in the folder of the mesh"):
        load_mesh(inside / "a.obj")


def test_cancel_ends_the_reading(tmp_path):
    (tmp_path / "nested.glb").write_bytes(_glb(_nested(200_000), BODY))

    def cancel(progress: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load_mesh(tmp_path / "nested.glb", on_wait=cancel)
    test_own_coordinates_survive_every_format(tmp_path, "glb")  # the next one is read as if nothing had been


def _quads(positions: dict, body: bytes, *, uvs: dict | None = None, nodes: list | None = None, **material) -> bytes:
    """Triangles with the accessors of positions, and of texture coordinates behind them."""
    accessors = [{"type": "VEC3", "count": 3, "bufferView": 0, **positions}]
    attributes = {"POSITION": 0}
    if uvs is not None:
        accessors.append({"type": "VEC2", "count": 3, "bufferView": 0, **uvs})
        attributes["TEXCOORD_0"] = 1
    tree = {
        "asset": {"version": "2.0"},
        "scenes": [{"nodes": list(range(len(nodes or [{}])))}],
        "nodes": [{"mesh": 0, **node} for node in nodes or [{}]],
        "meshes": [{"primitives": [{"attributes": attributes, "material": 0}]}],
        "materials": [material],
        "buffers": [{"byteLength": len(body)}],
        "bufferViews": [{"buffer": 0, "byteLength": len(body)}],
        "accessors": accessors,
        "textures": [{"source": 0}],
        "images": [{"uri": "data:image/png;base64," + base64.b64encode(_picture("PNG", 4, 4)).decode()}],
    }
    return _glb(tree, body)


def test_quantised_positions_are_where_the_file_has_them(tmp_path):
    """KHR_mesh_quantization: fractions of 32767, in nodes that stay in real units."""
    corners = np.int16(np.round(QUAD[:3] * 32767))
    body = b"".join(row.tobytes() + b"\0\0" for row in corners)  # each on a border of four bytes
    view = {"componentType": 5122, "normalized": True}
    glb = _quads(view, body, nodes=[{"translation": [-5, 0, 0]}, {"translation": [5, 0, 0]}])
    head = json.loads(glb[20 : 20 + struct.unpack_from("<I", glb, 12)[0]])
    head["bufferViews"][0]["byteStride"] = 8
    (tmp_path / "q.glb").write_bytes(_glb(head, body))
    found = load_mesh(tmp_path / "q.glb").mesh.vertices
    assert found.min(0) == pytest.approx([-5, 0, 0], abs=1e-4) and found.max(0) == pytest.approx([6, 1, 0], abs=1e-4)


@pytest.mark.parametrize(
    "moved, expected",
    [
        ({"offset": [0.5, 0.25], "scale": [0.5, 2.0]}, [[0.5, 0.25], [1.0, 0.25], [1.0, 2.25]]),
        ({"rotation": np.pi / 2}, [[0, 0], [0, -1], [1, -1]]),  # to the right becomes up, as v points down
    ],
)
def test_texture_coordinates_are_moved_as_the_material_says(tmp_path, moved, expected):
    body = BODY + np.float32([[0, 0], [1, 0], [1, 1]]).tobytes()
    picture = {"index": 0, "extensions": {"KHR_texture_transform": moved}}
    uvs = {"componentType": 5126, "byteOffset": len(BODY)}
    material = {"pbrMetallicRoughness": {"baseColorTexture": picture}}
    (tmp_path / "moved.glb").write_bytes(_quads({"componentType": 5126}, body, uvs=uvs, **material))
    found = load_mesh(tmp_path / "moved.glb", colors=True)
    np.testing.assert_allclose(found.mesh.uvs, expected, atol=1e-6)


@pytest.mark.parametrize("normalized, largest", [(True, 1.0), (False, 65535.0)])
def test_integers_as_texture_coordinates_are_fractions_only_if_the_file_says_so(tmp_path, normalized, largest):
    body = BODY + np.uint16([[0, 0], [65535, 0], [65535, 65535]]).tobytes()
    uvs = {"componentType": 5123, "byteOffset": len(BODY), "normalized": normalized}
    (tmp_path / "uvs.glb").write_bytes(_quads({"componentType": 5126}, body, uvs=uvs))
    assert load_mesh(tmp_path / "uvs.glb").mesh.uvs.max() == pytest.approx(largest)


def test_sparse_positions_are_refused(tmp_path):
    sparse = {"count": 1, "indices": {"bufferView": 0, "componentType": 5123}, "values": {"bufferView": 0}}
    (tmp_path / "sparse.glb").write_bytes(_quads({"componentType": 5126, "sparse": sparse}, BODY))
    with pytest.raises(ValueError, match="sparse.glb has sparse accessors, which are not read"):
        load_mesh(tmp_path / "sparse.glb")


def test_coordinates_that_are_rounded_are_reported(tmp_path):
    ball = trimesh.creation.icosphere(subdivisions=1, radius=10.0)
    ball.apply_translation((500_000.0, 5_400_000.0, 200.0))
    ball.export(tmp_path / "far.obj", digits=3)
    assert any("so far from the origin" in text for text in load_mesh(tmp_path / "far.obj").report)


def test_grey_of_sixteen_bits_keeps_its_values(tmp_path):
    numbers = np.array([[0, 20000], [40000, 65535]], dtype=np.uint16)
    Image.fromarray(numbers).save(tmp_path / "grey.png")
    expected = numbers / 65535
    np.testing.assert_allclose(read_mask(tmp_path / "grey.png").numpy(), expected, atol=3e-3)
    np.testing.assert_allclose(read_square(tmp_path / "grey.png", 2)[0].numpy(), expected, atol=3e-3)
    found, _ = unpacked((tmp_path / "grey.png").read_bytes(), pixels=True)
    np.testing.assert_allclose(found[..., 1] / 255, expected, atol=3e-3)


@pytest.mark.parametrize("bare", ["f 2 4 3", "f 2//1 4//1 3//1", "f -3 -1 -2 \r"])
def test_faces_without_texture_coordinates_do_not_cost_those_of_others(tmp_path, bare):
    text = "v 0 0 0\nv 1 0 0\nv 0 1 0\nv 1 1 0\nvt 0.25 0.5\nvt 1 0\nvt 0 1\nvn 0 0 1\nf 1/1 2/2 3/3\n"
    (tmp_path / "a.obj").write_bytes(f"{text}{bare}\n".encode())
    found = load_mesh(tmp_path / "a.obj", colors=False)
    uvs = found.mesh.uvs[found.mesh.faces]
    assert uvs[0] == pytest.approx(np.array([[0.25, 0.5], [1, 1], [0, 0]])) and (uvs[1] == [0.25, 0.5]).all()
    assert "1 faces without texture coordinates share one place of the texture" in found.report


def _rigged(turn: list[float], matrices: np.ndarray) -> bytes:
    """A triangle bound to two joints; its own node is turned and the second joint moved."""
    body = np.float32(QUAD[:3]).tobytes() + np.float32(matrices.transpose(0, 2, 1)).tobytes()
    tree = {
        "asset": {"version": "2.0"},
        "scenes": [{"nodes": [0, 1]}],
        "nodes": [
            {"mesh": 0, "skin": 0, "rotation": turn, "scale": [9, 9, 9]},
            {"children": [2]},
            {"translation": [0, 2, 0]},
        ],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}}]}],
        "skins": [{"joints": [1, 2], "inverseBindMatrices": 1}],
        "animations": [{}],
        "buffers": [{"byteLength": len(body)}],
        "bufferViews": [
            {"buffer": 0, "byteLength": 36},
            {"buffer": 0, "byteOffset": 36, "byteLength": len(body) - 36},
        ],
        "accessors": [
            {"type": "VEC3", "componentType": 5126, "count": 3, "bufferView": 0},
            {"type": "MAT4", "componentType": 5126, "count": 2, "bufferView": 1},
        ],
    }
    return _glb(tree, body)


def test_a_rigged_mesh_is_where_its_joints_put_it(tmp_path):
    root = trimesh.transformations.translation_matrix((5, 0, 0))
    inverse = np.stack([root, trimesh.transformations.translation_matrix((0, -2, 0)) @ root])
    (tmp_path / "a.glb").write_bytes(_rigged([0, 0, 1, 0], inverse))
    found = load_mesh(tmp_path / "a.glb")
    assert found.mesh.vertices == pytest.approx(QUAD[:3] + [5, 0, 0])
    assert "not kept: its rig, animations" in found.report and len([x for x in found.report if "pose" in x]) == 0
    inverse[1, 1, 3] = 0
    (tmp_path / "a.glb").write_bytes(_rigged([0, 0, 1, 0], inverse))
    assert any("its pose" in line for line in load_mesh(tmp_path / "a.glb").report)
