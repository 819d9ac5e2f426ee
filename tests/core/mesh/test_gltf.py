"""GLB files as other programs write them: instances, extensions, shared pieces of data, fans of triangles."""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np
import pytest
import trimesh
from glb_files import CODES, GLOSS, QUAD, Writer, loaded, textured

INSTANCING = "EXT_mesh_gpu_instancing"


def instanced(writer: Writer, count: int | None = None, **columns: np.ndarray) -> dict:
    attributes = {name: writer.add(values, normalized=values.dtype.kind == "i") for name, values in columns.items()}
    if count is not None:
        for index in attributes.values():
            writer.accessors[index]["count"] = count
    return {"mesh": 0, "extensions": {INSTANCING: {"attributes": attributes}}}


def test_each_instance_of_a_mesh_is_read(tmp_path):
    """The node stands at (0, 10, 0), twice as large; matrices by trimesh say where its instances are."""
    draw = np.random.default_rng(0)
    moves, scales = draw.normal(size=(3, 3)).astype("<f4"), draw.uniform(0.5, 2, (3, 3)).astype("<f4")
    turns = draw.normal(size=(3, 4)).astype("<f4")
    turns /= np.linalg.norm(turns, axis=1, keepdims=True)
    writer = Writer()
    node = instanced(writer, TRANSLATION=moves, ROTATION=turns, SCALE=scales)
    data = writer.glb(
        [writer.quad()], nodes=[node | {"translation": [0, 10, 0], "scale": [2, 2, 2]}], extensionsUsed=[INSTANCING]
    )
    found = loaded(tmp_path, data)
    wanted = []
    for move, turn, scale in zip(moves, turns, scales, strict=True):
        matrix = trimesh.transformations.quaternion_matrix(turn[[3, 0, 1, 2]]) @ np.diag([*scale, 1.0])
        matrix[:3, 3] += move
        wanted.append(2 * trimesh.transform_points(QUAD, matrix) + [0, 10, 0])
    np.testing.assert_allclose(found.mesh.vertices, np.concatenate(wanted), atol=1e-5)
    assert "3 objects joined" in found.report


def test_turns_of_instances_may_be_integers(tmp_path):
    writer = Writer()
    quarter = np.array([[0, 0, 23170, 23170], [0, 0, 0, 32767]], dtype="<i2")  # about +z
    found = loaded(tmp_path, writer.glb([writer.quad()], nodes=[instanced(writer, ROTATION=quarter)]))
    turned = np.stack([-QUAD[:, 1], QUAD[:, 0], QUAD[:, 2]], -1)
    np.testing.assert_allclose(found.mesh.vertices, np.concatenate([turned, QUAD]), atol=1e-4)


@pytest.mark.parametrize(
    ("n_nodes", "count", "n_faces", "said"),
    [
        (1, 3_000_000, 2, "6,000,000 faces in 3,000,000 objects; at most 5,000,000"),
        (200, 100_000, 0, "20,000,000 objects; at most 300,000"),  # without a face
        (1, 5, 2, "damaged"),  # more than there is data for
        (1, -5, 2, "damaged"),
    ],
)
def test_instances_are_counted_before_they_are_made(tmp_path, n_nodes, count, n_faces, said):
    writer = Writer()
    quad = writer.quad()
    if not n_faces:
        quad["mode"] = 0
    node = instanced(writer, count, TRANSLATION=np.zeros((3, 3), dtype="<f4"))
    data = writer.glb([quad], nodes=[node] * n_nodes, scenes=[{"nodes": list(range(n_nodes))}])
    with pytest.raises(ValueError, match=said):
        loaded(tmp_path, data)


def test_instances_with_different_numbers_of_places_and_sizes_are_refused(tmp_path):
    writer = Writer()
    node = instanced(writer, TRANSLATION=np.zeros((3, 3), dtype="<f4"), SCALE=np.ones((2, 3), dtype="<f4"))
    with pytest.raises(ValueError, match="a.glb is damaged"):
        loaded(tmp_path, writer.glb([writer.quad()], nodes=[node]))


# --- extensions


@pytest.mark.parametrize("name", ["KHR_meshopt_compression", "EXT_meshopt_compression", "ACME_secret_geometry"])
def test_a_required_extension_that_is_not_read_is_named(tmp_path, name):
    writer = Writer()
    with pytest.raises(ValueError, match=f"a.glb needs {name}, which is not read. Export it .*without"):
        loaded(tmp_path, writer.glb([writer.quad()], extensionsRequired=[name]))


@pytest.mark.parametrize(
    "name",
    ["KHR_mesh_quantization", "KHR_texture_transform", "KHR_materials_unlit", "KHR_lights_punctual", INSTANCING]
    + ["EXT_texture_webp", "KHR_materials_clearcoat", "KHR_materials_variants", "VRMC_vrm", GLOSS],
)
def test_a_required_extension_that_is_read_or_does_no_harm_is_accepted(tmp_path, name):
    writer = Writer()
    assert len(loaded(tmp_path, writer.glb([writer.quad()], extensionsRequired=[name])).mesh.faces) == 2


# --- pieces of data


def test_pictures_may_share_one_piece_of_data(tmp_path):
    picture = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    writer = Writer()
    tree = writer.pictures(picture)
    tree = {"images": tree["images"] * 4, "textures": [{"source": i} for i in range(4)]}
    data = writer.glb([writer.quad(material=0)], materials=[textured(3)], **tree)
    np.testing.assert_allclose(loaded(tmp_path, data).mesh.texture, picture / 255, atol=1e-6)


ROW = np.dtype([("position", "<f4", 3), ("normal", "<f4", 3), ("uv", "<f4", 2), ("color", "u1", 4)])


def interleaved(n: int, n_copies: int = 1) -> tuple[np.ndarray, Writer, list[dict]]:
    """One long list with a piece for each attribute."""
    draw, rows = np.random.default_rng(0), np.zeros(n, dtype=ROW)
    rows["position"], rows["uv"], rows["normal"] = draw.normal(size=(n, 3)), draw.random((n, 2)), (0, 0, 1)
    rows["color"] = draw.integers(0, 256, (n, 4))
    writer, primitives = Writer(), []
    writer.view(rows.tobytes())
    for _ in range(n_copies):
        attributes = {}
        for name, (_, start) in ROW.fields.items():
            kind, width = ("u1", 4) if name == "color" else ("f4", 2 if name == "uv" else 3)
            length = len(writer.body) if n_copies == 1 else n * ROW.itemsize
            writer.views.append({"buffer": 0, "byteOffset": start, "byteLength": length - start, "byteStride": 36})
            described = {"componentType": CODES[kind], "type": f"VEC{width}", "normalized": name == "color"}
            writer.accessors.append({"bufferView": len(writer.views) - 1, "count": n, **described})
            attributes[name] = len(writer.accessors) - 1
        names = {"position": "POSITION", "normal": "NORMAL", "uv": "TEXCOORD_0", "color": "COLOR_0"}
        primitives.append({"attributes": {names[key]: index for key, index in attributes.items()}})
    return rows, writer, primitives


def test_attributes_may_lie_in_overlapping_pieces_of_one_interleaved_list(tmp_path):
    rows, writer, primitives = interleaved(3000)
    mesh = loaded(tmp_path, writer.glb(primitives)).mesh
    np.testing.assert_array_equal(mesh.vertices, rows["position"])
    np.testing.assert_array_equal(mesh.uvs, rows["uv"])
    np.testing.assert_array_equal(mesh.surface.normals, rows["normal"])
    np.testing.assert_allclose(mesh.colors, rows["color"][:, :3] / 255, atol=1e-6)


def test_overlapping_pieces_do_not_multiply_what_is_read(tmp_path):
    """Every piece is copied. Two thousand that overlap are as large as the list that they are in, and no larger."""
    from tbsd_pack.tbsd_core.mesh.gltf_tree import flat_glb

    _, writer, primitives = interleaved(3000, n_copies=500)
    flat = flat_glb(writer.glb(primitives), "a.glb", 5_000_000)
    tree = json.loads(flat.data[20 : 20 + struct.unpack_from("<I", flat.data, 12)[0]])
    assert sum(view["byteLength"] for view in tree["bufferViews"]) <= len(writer.body)
    for index, view in enumerate(writer.views[1:]):  # with strides that differ they cannot be one piece
        view["byteStride"] = 36 + 4 * index
    with pytest.raises(ValueError, match="pieces of its data overlap"):
        flat_glb(writer.glb(primitives), "a.glb", 5_000_000)
    writer.views[5]["byteLength"] = -(10**9)
    with pytest.raises(ValueError, match="damaged"):
        flat_glb(writer.glb(primitives), "a.glb", 5_000_000)


@pytest.mark.parametrize("has_indices", [True, False])
def test_a_fan_of_triangles_is_read(tmp_path, has_indices):
    angles = np.linspace(0, 2 * np.pi, 7)[:-1]
    corners = np.stack([np.cos(angles), np.sin(angles), 0 * angles], -1).astype("<f4")  # of a hexagon
    writer = Writer()
    order = np.arange(6, dtype=np.uint16)
    primitive: dict[str, Any] = {"attributes": {"POSITION": writer.add(corners[::-1] if has_indices else corners)}}
    if has_indices:
        primitive["indices"] = writer.add(order[::-1].copy())
    mesh = loaded(tmp_path, writer.glb([primitive | {"mode": 6}, writer.quad(5)])).mesh
    hexagon = mesh.faces[: len(mesh.faces) - 2]
    a, b, c = (mesh.vertices[hexagon[:, k]] for k in range(3))
    across = np.cross(b - a, c - a) / 2
    assert len(hexagon) == 4 and across.sum(0) == pytest.approx([0, 0, 3 * np.sqrt(3) / 2]) and (across[:, 2] > 0).all()
