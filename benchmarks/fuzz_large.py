"""Sound and unsound meshes at real sizes, from the file to the painted file: `python -m benchmarks.fuzz --full`.

Each shape goes through load -> scene -> unwrap and paint -> write -> load. It must come back with finite vertices, or
with one of the errors that users are shown. The same shapes with a few hundred triangles are in the tests. Alone:
`python -m benchmarks.fuzz_large [--faces 30000 200000 1000000] [--only needles splats ...]`.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from benchmarks.fuzz import answer
from tbsd_core.cameras.sampling import orbit
from tbsd_core.experiment import load_scene, save_scene
from tbsd_core.mesh import Mesh, painted_mesh, texture_scene, write_mesh
from tbsd_core.mesh.load import load_mesh
from tbsd_core.mesh.uv import UVConfig
from tbsd_core.scenes import GaussianConfig, GaussianScene, MeshTextureConfig
from tbsd_core.scenes.splat_ply import write_splats
from tbsd_core.scenes.splat_start import file_splats

SECONDS = 1800  # for one shape; unwrapping a million triangles takes minutes
SIZES = (30_000, 200_000, 1_000_000)
ENDINGS = ("glb", "obj", "ply", "stl")


def ring(n_faces: int, rows: int | None = None) -> Mesh:
    """A torus of about n_faces triangles; few rows make needles of them."""
    rows = rows or max(3, round((n_faces / 4) ** 0.5))
    columns = max(3, n_faces // (2 * rows))
    i, j = (x.reshape(-1) for x in np.meshgrid(np.arange(rows), np.arange(columns), indexing="ij"))
    a, b = 2 * np.pi * i / rows, 2 * np.pi * j / columns
    reach = 1 + 0.4 * np.cos(a)
    vertices = np.stack([reach * np.cos(b), 0.4 * np.sin(a), reach * np.sin(b)], -1).astype(np.float32)
    k, down, right = (x * columns + y for x, y in ((i, j), ((i + 1) % rows, j), (i, (j + 1) % columns)))
    across = (i + 1) % rows * columns + (j + 1) % columns
    return Mesh(vertices, np.concatenate([np.stack([k, down, right], -1), np.stack([right, down, across], -1)]))


def _noisy(n: int) -> Mesh:
    closed = ring(n)
    noise = np.random.default_rng(0).normal(0, 0.3 * (8 / n) ** 0.5, closed.vertices.shape)
    return Mesh((closed.vertices + noise).astype(np.float32), closed.faces)


def _open(n: int) -> Mesh:
    closed = ring(2 * n)
    return Mesh(closed.vertices, np.random.default_rng(0).permutation(closed.faces)[:n])  # full of holes


def _non_manifold(n: int) -> Mesh:
    closed = ring(n)
    fins = np.random.default_rng(0).integers(0, len(closed.vertices), (n // 50, 3))
    return Mesh(closed.vertices, np.concatenate([closed.faces, closed.faces[::9, ::-1], fins]))


def _duplicated(n: int) -> Mesh:
    half = ring(n // 2)
    soup = half.vertices[half.faces].reshape(-1, 3)  # no vertex is shared
    return Mesh(np.tile(soup, (2, 1)), np.arange(2 * len(soup)).reshape(-1, 3))


def _degenerate(n: int) -> Mesh:
    closed = ring(n)
    faces, vertices = closed.faces.copy(), closed.vertices.copy()
    faces[::3, 1] = faces[::3, 0]
    vertices[faces[1::5, 2]] = vertices[faces[1::5, 1]]  # different vertices in one place
    vertices[faces[2::7, 0]] += np.float32(1e-30)
    return Mesh(vertices, faces)


def _components(n: int) -> Mesh:
    draw, n_parts = np.random.default_rng(0), n // 4
    corners = draw.normal(0, 0.01, (n_parts, 4, 3)) + draw.uniform(-1, 1, (n_parts, 1, 3))
    tetrahedron = np.array([[0, 1, 2], [0, 3, 1], [0, 2, 3], [1, 3, 2]])
    return Mesh(
        corners.reshape(-1, 3).astype(np.float32), (4 * np.arange(n_parts)[:, None, None] + tetrahedron).reshape(-1, 3)
    )


def _fan(n: int) -> Mesh:
    turn = 2 * np.pi * np.arange(n + 1) / n
    rim = np.stack([np.cos(turn), np.full_like(turn, 0.2), np.sin(turn)], -1)
    faces = np.stack([np.zeros(n, dtype=int), np.arange(2, n + 2), np.arange(1, n + 1)], -1)
    return Mesh(np.concatenate([np.zeros((1, 3)), rim]).astype(np.float32), faces)


SHAPES: dict[str, Callable[[int], Mesh]] = {
    "closed": ring,
    "open": _open,
    "noisy": _noisy,
    "non-manifold": _non_manifold,
    "duplicated": _duplicated,
    "degenerate": _degenerate,
    "needles": lambda n: ring(n, rows=3),
    "components": _components,
    "fan": _fan,
}


def through(mesh: Mesh, ending: str, texture_size: int, folder: Path) -> str:
    """Take a mesh from file to painted file; returns what was done.

    Raises:
        AssertionError: what came back is not a mesh of finite numbers, with colours.
    """
    path = folder / f"given.{ending}"
    if ending == "stl":
        import trimesh

        trimesh.Trimesh(mesh.vertices, mesh.faces, process=False).export(path)
    else:
        write_mesh(mesh, path)
    loaded = load_mesh(path, colors=False)
    scene = texture_scene(loaded.mesh, MeshTextureConfig(resolutions=(5,)))
    painted, report = painted_mesh(scene, UVConfig(size=texture_size))
    back = load_mesh(write_mesh(painted, folder / "painted.glb")).mesh
    assert len(back.faces) and np.isfinite(back.vertices).all(), "what came back is no mesh"
    assert back.texture is not None or back.colors is not None, "it has lost its colours"
    return f"{len(back.faces):,} triangles, {report['uv']}, texture {report['texture']}"


def large_texture(folder: Path) -> str:
    """A mesh with a texture of 16,384 x 16,384."""
    from PIL import Image

    closed = ring(2000)
    uvs = np.random.default_rng(0).random((len(closed.vertices), 2)).astype(np.float32)
    write_mesh(Mesh(closed.vertices, closed.faces, uvs=uvs, texture=np.full((8, 8, 3), 0.5, "f4")), folder / "a.obj")
    Image.new("RGB", (16384, 16384), (200, 100, 50)).save(folder / "a_texture.png", compress_level=1)
    loaded = load_mesh(folder / "a.obj")
    assert loaded.mesh.texture is not None and loaded.mesh.texture.shape == (8192, 8192, 3)
    return loaded.report[-1]


def splats(n: int, folder: Path) -> str:
    """Splats that are written, saved, loaded and drawn."""
    scene = GaussianScene(GaussianConfig(n_gaussians=n))
    write_splats(file_splats(scene), folder / "a.ply")
    save_scene(scene, folder / "a.safetensors")
    with torch.no_grad():
        loaded = load_scene(folder / "a.safetensors")
        rgb = loaded.render(orbit(1), 16, 16).rgb  # the reference takes memory for each pixel and Gaussian
    assert torch.isfinite(rgb).all()
    return f"{n:,} Gaussians, {(folder / 'a.ply').stat().st_size >> 20} MB of PLY"


def run_all(sizes: list[int], only: list[str] | None = None) -> int:
    """Print a line for each shape and size; returns how many failed."""
    jobs: dict[str, Callable[[Path], str]] = {}
    for at, n in enumerate(sizes):
        for shift, (name, make) in enumerate(SHAPES.items()):
            ending = ENDINGS[(at + shift) % len(ENDINGS)]
            jobs[f"{name} {n:,} {ending}"] = lambda folder, m=make, n=n, e=ending: through(m(n), e, 1024, folder)
    jobs["closed 30,000 glb at 8192"] = lambda folder: through(ring(30_000), "glb", 8192, folder)
    jobs["texture of 16k"] = large_texture
    jobs["splats"] = lambda folder: splats(100_000, folder)
    n_failed = 0
    for name, job in jobs.items():
        if only and name.split()[0] not in only:
            continue
        said, start = [], time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            got = answer(lambda job=job, folder=folder, said=said: said.append(job(Path(folder))), seconds=SECONDS)
        n_failed += got.startswith("FAILED")
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
        took = time.perf_counter() - start
        print(f"{name}: {got}; {'; '.join(said)} {took:.0f} s, peak {peak} MB here", flush=True)
    return n_failed


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--faces", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--only", nargs="+", help="first words of jobs")
    args = parser.parse_args()
    raise SystemExit(1 if run_all(args.faces, args.only) else 0)


if __name__ == "__main__":
    main()
