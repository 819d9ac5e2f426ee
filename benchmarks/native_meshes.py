"""Large meshes through Texture my mesh on a real server: `python -m benchmarks.native_meshes [--cancels 3] [NAME ...]`.

For each mesh of MESHES the shipped workflow runs with two steps; then the same without the optimisation is cancelled at
random moments. All the while another process asks for /system_stats ten times a second. Prints for each mesh: the
node's message, the time, the slowest answer and the 99th percentile, and the time from Cancel to the end of the run.
The same for an idle server comes first and shows the machine's own share. Graphs of ComfyUI's own nodes come last:
after a graph it collects garbage, and answers nothing meanwhile. Needs ComfyUI (make comfyui) and the development
requirements.
"""

from __future__ import annotations

import argparse
import copy
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from tbsd_core.mesh import Mesh, write_mesh
from tests.hosts import ROOT, ComfyUI, find_comfyuis
from tests.servers import Server, started

WORKFLOW = ROOT / "tests" / "workflows" / "Texture my mesh.json"
# prints how many milliseconds each answer took, ten times a second; imports nothing that takes long
POLL = """
import sys, time, urllib.request
while True:
    start = time.perf_counter()
    with urllib.request.urlopen(sys.argv[1], timeout=120) as answer:
        answer.read()
    took = time.perf_counter() - start
    print(1000 * took, flush=True)
    time.sleep(max(0.0, 0.1 - took))
"""
PATIENCE = 3600.0  # seconds for one run; the machine may be slow


def icosphere(subdivisions: int) -> Mesh:
    """20 * 4 ** subdivisions triangles."""
    import trimesh

    ball = trimesh.creation.icosphere(subdivisions)
    return Mesh(np.asarray(ball.vertices, dtype=np.float32), np.asarray(ball.faces, dtype=np.int64))


def uv_sphere(n: int) -> Mesh:
    import trimesh

    ball = trimesh.creation.uv_sphere(count=[n, n])
    return Mesh(np.asarray(ball.vertices, dtype=np.float32), np.asarray(ball.faces, dtype=np.int64))


def scan(subdivisions: int, of: int | None = None) -> Mesh:
    """A lumpy closed surface with noise of a third of an edge, the first `of` of its triangles."""
    ball = icosphere(subdivisions)
    x, y, z = ball.vertices.T
    lumps = 1 + 0.15 * np.sin(4 * x) * np.cos(3 * y) + 0.05 * np.sin(17 * z)
    noise = np.random.default_rng(0).normal(0, 0.07 / 2**subdivisions, ball.vertices.shape)
    return Mesh((ball.vertices * lumps[:, None] + noise).astype(np.float32), ball.faces[:of])


def not_manifold(subdivisions: int) -> Mesh:
    """Two scans through each other, every seventh triangle twice, and 200 triangles across."""
    part = scan(subdivisions)
    n = len(part.vertices)
    fins = np.random.default_rng(1).integers(0, n, (200, 3))
    vertices = np.concatenate([part.vertices, part.vertices * np.array([0.5, 1, 1], dtype=np.float32)])
    return Mesh(vertices, np.concatenate([part.faces, part.faces[::7], part.faces + n, fins]))


MESHES: dict[str, Callable[[], Mesh]] = {
    "icosphere_82k": lambda: icosphere(6),
    "scan_160k": lambda: scan(7, 160_000),
    "not_manifold_176k": lambda: not_manifold(6),
    "uv_sphere_359k": lambda: uv_sphere(300),
    "scan_1310k": lambda: scan(8),
}


def workflow(file: str, seed: int, optimise: bool) -> dict:
    """Texture my mesh with a file, small renders and two steps, or only what is about the mesh."""
    graph = copy.deepcopy(json.loads(WORKFLOW.read_text(encoding="utf-8")))
    graph["6"]["inputs"].update(mesh_file=file, seed=seed)
    del graph["6"]["inputs"]["mesh"], graph["5"]
    graph["9"]["inputs"].update(steps=2, views_per_step=1)
    for key in ("7", "10"):
        graph[key]["inputs"].update(n_views=1, size=64)
    if not optimise:
        graph = {key: graph[key] for key in ("6", "12", "13")}
        graph["12"]["inputs"]["scene"] = ["6", 0]
    return graph


@contextmanager
def polled(server: Server) -> Iterator[list[float]]:
    """Milliseconds of each answer, filled in at the end."""
    taken: list[float] = []
    with tempfile.TemporaryFile("w+") as out:
        process = subprocess.Popen([sys.executable, "-c", POLL, server.url + "/system_stats"], stdout=out)
        try:
            time.sleep(1)  # until it has begun
            yield taken
        finally:
            process.terminate()
            process.wait()
            out.seek(0)
            taken += [float(line) for line in out.read().split("\n")[:-1]]


def slowest(taken: list[float]) -> str:
    return f"answers: worst {max(taken):.0f} ms, 99 % below {np.percentile(taken, 99):.0f} ms, {len(taken)} asked"


def cancelled(server: Server, graph: dict, after: float) -> tuple[str, float]:
    """How a run that is cancelled after so many seconds ends, and how many seconds later."""
    prompt_id = server.queue(graph)
    time.sleep(after)
    start = time.monotonic()
    server.request("/interrupt", {})
    entry = server.wait(prompt_id, PATIENCE)
    took = time.monotonic() - start
    kinds = [kind for kind, _ in entry["status"]["messages"]]
    return "cancelled" if "execution_interrupted" in kinds else entry["status"]["status_str"], took


def measure(server: Server, name: str, n_cancels: int) -> list[str]:
    """Lines about one mesh."""
    file = f"{name}.glb"
    mesh = MESHES[name]()
    write_mesh(mesh, server.base / "input" / file)
    lines, draw = [f"{name}: {len(mesh.faces):,} triangles"], random.Random(name)
    for what, optimise in (("Texture my mesh", True), ("without optimisation", False)):
        start = time.monotonic()
        with polled(server) as taken:
            entry = server.wait(server.queue(workflow(file, len(lines), optimise)), PATIENCE)
        seconds = time.monotonic() - start
        failed = dict(entry["status"]["messages"]).get("execution_error", {}).get("exception_message", "nothing")
        said = entry["outputs"].get("12", {}).get("text", [failed])[0].strip().replace("\n", " | ")
        lines.append(f"  {what}: {entry['status']['status_str']}, {seconds:.0f} s; {said}; {slowest(taken)}")
    ends = []
    with polled(server) as taken:
        for k in range(n_cancels):
            after = draw.uniform(0, 0.9 * seconds)
            how, took = cancelled(server, workflow(file, 100 + k, False), after)
            ends.append(f"{how} {took:.1f} s after {after:.0f} s")
    if ends:
        lines.append(f"  Cancel: {', '.join(ends)}; {slowest(taken)}")
    return lines


def own_graph(seed: int) -> dict:
    """A picture of one colour."""
    picture = {"width": 64, "height": 64, "batch_size": 1, "color": seed}
    return {
        "1": {"class_type": "EmptyImage", "inputs": picture},
        "2": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("names", nargs="*", help=f"of {', '.join(MESHES)}; all of them by default")
    parser.add_argument("--cancels", type=int, default=3, help="runs that are cancelled, for each mesh")
    parser.add_argument("--host", default="", help="version of the ComfyUI to use; the first one by default")
    args = parser.parse_args()
    hosts: list[ComfyUI] = [host for host in find_comfyuis() if host.name.startswith(args.host)]
    if not hosts:
        raise SystemExit("This needs a ComfyUI: set COMFYUI_PATH, or make comfyui.")
    with tempfile.TemporaryDirectory() as folder, started(hosts[0], Path(folder) / "host") as server:
        print(hosts[0])
        with polled(server) as taken:
            time.sleep(20)
        print(f"no work: {slowest(taken)}", flush=True)
        for name in args.names or MESHES:
            print("\n".join(measure(server, name, args.cancels)), flush=True)
        with polled(server) as taken:
            for k in range(3):
                time.sleep(11)  # the host collects garbage after a graph, at most every ten seconds
                server.run(own_graph(k))
        print(f"graphs of the host's own nodes: {slowest(taken)}", flush=True)


if __name__ == "__main__":
    main()
