"""A mesh on which xatlas ends with a segmentation fault, through the shipped workflow on a real server."""

from __future__ import annotations

import time

import pytest
from tbsd_pack.tbsd_core.mesh import Mesh, write_mesh

from benchmarks.native_meshes import icosphere, workflow

pytestmark = pytest.mark.once  # of the core

FILE = "icosphere.glb"


@pytest.fixture(scope="module")
def ball(server) -> str:
    """In the server's input folder, 81,920 triangles."""
    mesh = icosphere(6)
    write_mesh(Mesh(mesh.vertices, mesh.faces), server.base / "input" / FILE)
    return FILE


def test_a_mesh_that_crashes_xatlas_is_textured_and_cancelled_halfway(server, ball):
    graph = workflow(ball, 0, optimise=False)
    outputs = server.run(graph)
    assert outputs["12"]["text"] == ["81,920 triangles, texture 1024 x 1024"]
    assert server.file(outputs["13"]["3d"][0]).stat().st_size > 1_000_000
    # the scene is cached, so that the run is in the unwrapping at once; its size is one that was not asked for yet
    graph["12"]["inputs"]["texture_size"] = 4096
    prompt_id = server.queue(graph)
    time.sleep(1)
    server.request("/interrupt", {})
    entry = server.wait(prompt_id)
    assert any(kind == "execution_interrupted" for kind, _ in entry["status"]["messages"])
    assert server.request("/system_stats")
