"""Unwrapping with xatlas, which runs in the child process (see native.tasks).

xatlas solves one system of equations per chart, whose time grows faster than the chart, and large smooth surfaces,
which it takes as one chart, overflow it: an icosphere of 82,000 triangles ends in a segmentation fault. So a large
mesh is cut into compact parts first. Parts are laid out in batches, which is what progress counts, and packed at the
end.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..optional import require

BATCH = 16  # parts that xatlas lays out at once, on all cores


def unwrap(
    on_progress: Callable[[float], None],
    vertices: np.ndarray,  # [N, 3]
    faces: np.ndarray,  # [M, 3]
    size: int,  # texels along each side
    padding: int,  # texels between charts
    part_faces: int,  # at most in one part
) -> dict[str, Any]:
    """Returns source [K], of which vertex each new one is a copy; faces [M, 3] of new ones; uvs [K, 2] in [0, 1]."""
    xatlas = require("xatlas")
    vertices, faces = vertices.astype(np.float32), faces.astype(np.uint32)
    parts = split(vertices, faces, part_faces)
    if len(parts) == 1:
        atlas = xatlas.Atlas()
        atlas.add_mesh(vertices, faces)
        atlas.generate(pack_options=_packing(xatlas, padding, resolution=size))
        sources = [np.arange(len(vertices))]
    else:
        sources, flat = _lay_out(on_progress, xatlas, vertices, faces, parts)
        # the scale that fills the texture is a guess, and a wrong one makes texels, and with them padding, too small
        scale = 0.8 * size / np.sqrt(sum(_area(uvs, f) for uvs, f in flat))
        for _ in range(2):
            atlas = xatlas.Atlas()
            for uvs, f in flat:
                atlas.add_uv_mesh(uvs, f)
            atlas.generate(pack_options=_packing(xatlas, padding, texels_per_unit=scale))
            scale *= 0.99 * size / max(atlas.width, atlas.height)
    # square, so that a texel is as wide as it is high, and as large as the padding was counted in
    side = max(atlas.width, atlas.height)
    made = [atlas[k] for k in range(len(sources))]
    start = np.cumsum([0] + [len(copies) for copies, _, _ in made])
    return {
        "source": np.concatenate([s[m[0]] for s, m in zip(sources, made, strict=True)]).astype(np.int64),
        "faces": np.concatenate([m[1].astype(np.int64) + k for k, m in zip(start, made, strict=False)]),
        "uvs": (np.concatenate([m[2] for m in made]) * [atlas.width / side, atlas.height / side]).astype(np.float32),
    }


def split(vertices: np.ndarray, faces: np.ndarray, most: int) -> list[np.ndarray]:
    """Indices of the faces of compact parts of at most `most`: halves along the longest extent, again and again."""
    centre = vertices[faces].mean(1)
    todo, parts = [np.arange(len(faces))], []
    while todo:
        part = todo.pop()
        if len(part) <= most:
            parts.append(part)
            continue
        place = centre[part]
        order = np.argpartition(place[:, np.ptp(place, axis=0).argmax()], len(part) // 2)
        todo += [part[order[len(part) // 2 :]], part[order[: len(part) // 2]]]
    return parts


def _lay_out(
    on_progress: Callable[[float], None], xatlas: Any, vertices: np.ndarray, faces: np.ndarray, parts: list[np.ndarray]
) -> tuple[list[np.ndarray], list[tuple[np.ndarray, np.ndarray]]]:
    """For each part: the vertices that its own are copies of, its uvs in world units, and faces of them."""
    sources, flat = [], []
    for first in range(0, len(parts), BATCH):
        on_progress(0.9 * first / len(parts))
        atlas, used = xatlas.Atlas(), []
        for part in parts[first : first + BATCH]:
            own, inverse = np.unique(faces[part], return_inverse=True)
            atlas.add_mesh(vertices[own], inverse.reshape(-1, 3).astype(np.uint32))
            used.append(own)
        atlas.generate(pack_options=_packing(xatlas, 0, resolution=256))
        for k, own in enumerate(used):
            copies, own_faces, uvs = atlas[k]
            sources.append(own[copies])
            world = uvs * [atlas.width, atlas.height] / atlas.texels_per_unit
            flat.append((world.astype(np.float32), own_faces))
    on_progress(0.9)
    return sources, flat


def _packing(xatlas: Any, padding: int, **values: float) -> Any:
    options = xatlas.PackOptions()
    options.padding, options.bilinear = padding, True
    for name, value in values.items():
        setattr(options, name, value)
    return options


def _area(uvs: np.ndarray, faces: np.ndarray) -> float:
    a, b, c = (uvs[faces[:, k]].astype(np.float64) for k in range(3))
    (x1, y1), (x2, y2) = (b - a).T, (c - a).T
    return float(np.abs(x1 * y2 - x2 * y1).sum()) / 2


def overlap(
    on_progress: Callable[[float], None],
    uvs: np.ndarray,  # [N, 2]
    faces: np.ndarray,  # [M, 3]
    size: int,
) -> dict[str, float]:
    """The fraction of the covered texel centres that lie strictly inside more than one face."""
    corner = uvs.astype(np.float64)[faces] * size
    low = np.ceil(corner.min(1) - 0.5).clip(0, size).astype(np.int64)
    high = np.floor(corner.max(1) - 0.5).clip(-1, size - 1).astype(np.int64)
    width, height = (high - low + 1).clip(0).T
    count = width * height
    until = np.cumsum(count)
    covered = np.zeros(size * size, dtype=np.int64)
    first = 0
    while first < len(faces):
        before = until[first] - count[first]
        last = max(first + 1, int(np.searchsorted(until, before + (1 << 21), "right")))  # a face at least
        group = np.repeat(np.arange(first, last), count[first:last])
        k = np.arange(len(group)) - np.repeat(until[first:last] - count[first:last] - before, count[first:last])
        x, y = low[group, 0] + k % width[group], low[group, 1] + k // width[group]
        corners = corner[group]
        sides = []
        for a, b in ((0, 1), (1, 2), (2, 0)):
            p, q = corners[:, a], corners[:, b]
            sides.append((q[:, 0] - p[:, 0]) * (y + 0.5 - p[:, 1]) - (q[:, 1] - p[:, 1]) * (x + 0.5 - p[:, 0]))
        inside = (np.min(sides, axis=0) > 1e-9) | (np.max(sides, axis=0) < -1e-9)
        covered += np.bincount((y * size + x)[inside], minlength=size * size)
        first = last
        on_progress(first / len(faces))
    return {"overlap": float((covered > 1).sum() / max(1, (covered > 0).sum()))}
