from __future__ import annotations

import numpy as np
import pytest
from tbsd_pack.tbsd_core.mesh import Mesh
from tbsd_pack.tbsd_core.mesh.crease import with_normals

trimesh = pytest.importorskip("trimesh")


def faces_own(mesh: Mesh) -> np.ndarray:
    """Cosine [M, 3] between the normal at each corner and the normal of its face."""
    a, b, c = (mesh.vertices[mesh.faces[:, k]] for k in range(3))
    face = np.cross(b - a, c - a)
    face /= np.linalg.norm(face, axis=-1, keepdims=True)
    return np.einsum("ij,ikj->ik", face, mesh.surface.normals[mesh.faces])


def box() -> Mesh:
    made = trimesh.creation.box()
    return Mesh(made.vertices.astype(np.float32), made.faces.astype(np.int64))


def test_edges_of_a_box_stay_sharp_and_its_sides_whole():
    made = with_normals(box())
    assert np.allclose(faces_own(made), 1)
    assert len(made.vertices) == 24, "four for each side"
    assert np.array_equal(made.vertices[made.faces], box().vertices[box().faces])


def test_a_ball_is_smooth_over_the_seam_of_its_texture():
    ball = trimesh.creation.icosphere(subdivisions=3)
    faces = ball.faces.astype(np.int64)
    vertices = ball.vertices.astype(np.float32)
    seam = faces.copy()
    seam[: len(faces) // 2] += len(vertices)  # one half has vertices of its own
    uvs = np.random.default_rng(0).random((2 * len(vertices), 2)).astype(np.float32)
    made = with_normals(Mesh(np.concatenate([vertices, vertices]), seam, uvs=uvs))
    normals = made.surface.normals[made.faces]
    assert np.einsum("ijk,ijk->ij", normals, vertices[faces]).min() > 0.999
    assert len(made.vertices) == len(np.unique(seam)), "no vertex is split"
    assert np.array_equal(made.uvs[made.faces], uvs[seam])


def test_faces_back_to_back_have_normals():
    quad = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], dtype=np.float32)
    faces = np.array([[0, 1, 2], [0, 2, 3], [0, 2, 1], [0, 3, 2]])
    made = with_normals(Mesh(quad, faces))
    assert np.allclose(faces_own(made), 1)
    unlit = with_normals(Mesh(quad, faces, unlit=True))
    assert np.allclose(np.linalg.norm(unlit.surface.normals, axis=-1), 1) and len(unlit.vertices) == 4


def test_a_fan_of_many_faces_is_one_side():
    """The least number must come round the whole vertex."""
    angles = np.linspace(0, 2 * np.pi, 400, endpoint=False)
    rim = np.stack([np.cos(angles), np.sin(angles), np.zeros(400)], -1)
    order = np.random.default_rng(1).permutation(400)
    faces = np.stack([np.zeros(400, dtype=np.int64), order + 1, (order + 1) % 400 + 1], -1)
    made = with_normals(Mesh(np.concatenate([[[0, 0, 0.2]], rim]).astype(np.float32), faces))
    assert len(made.vertices) == 401
