"""Polygons split into triangles: convex ones, and those that one corner sees whole, as a fan; others by clipping ears.

A polygon is split on the plane of Newell's normal. No triangle then lies outside of it or faces the other way, which a
fan does where the polygon is concave.
"""

from __future__ import annotations

import numpy as np

MAX_CORNERS = 4096  # of a polygon that is clipped: the time grows with their square
FLAT = 1e-14  # of a polygon's area: triangles below it are not used, as they would leave a gap beside their neighbours


def triangulated(
    vertices: np.ndarray,  # [N, 3]
    corners: np.ndarray,  # [C] vertices of all polygons, one after the other
    counts: np.ndarray,  # [P] corners of each polygon
) -> tuple[np.ndarray, int]:
    """Triangles [M, 3], as places in `corners`, so that anything that corners have stays with them.

    Polygons with fewer than three corners are left out. The second result is the number of polygons that have too many
    corners to be split other than as a fan.
    """
    if (counts == 3).all():
        return np.arange(len(corners)).reshape(-1, 3), 0
    firsts = np.cumsum(counts) - counts
    firsts, counts = firsts[counts >= 3], counts[counts >= 3]
    triangles = _fans(firsts, counts, np.zeros_like(counts))
    at = np.cumsum(counts - 2) - (counts - 2)  # the first triangle of each polygon
    left = np.flatnonzero(counts > 3)
    if not len(left):
        return triangles, 0
    left, normals = _turned_over(vertices, corners, triangles, left, at, counts)
    if not len(left):
        return triangles, 0
    # a polygon with one corner that bends inwards is seen whole from there
    n = counts[left]
    own = _fans(firsts[left], n, _sharpest(vertices, corners, firsts[left], n, normals))
    triangles[_ranges(at[left], n - 2)] = own
    left, normals = _turned_over(vertices, corners, triangles, left, at, counts)
    n_too_large = 0
    for polygon, normal in zip(left, normals, strict=True):
        first, n_own = int(firsts[polygon]), int(counts[polygon])
        if n_own > MAX_CORNERS:
            n_too_large += 1
        elif normal.any():
            points = _on_plane(vertices[corners[first : first + n_own]], normal)
            triangles[at[polygon] : at[polygon] + n_own - 2] = first + ears(points)
    return triangles, n_too_large


def ears(points: np.ndarray) -> np.ndarray:
    """Triangles [n - 2, 3] of a polygon [n, 2] that runs counter-clockwise, by clipping ears (Meisters 1975).

    A polygon that crosses itself is split in some way.
    """
    n = len(points)
    x, y = points.T.tolist()
    before, after = [n - 1, *range(n - 1)], [*range(1, n), 0]

    def area(a: int, b: int, c: int) -> float:
        return (x[b] - x[a]) * (y[c] - y[a]) - (x[c] - x[a]) * (y[b] - y[a])

    least = FLAT * float(np.ptp(points, axis=0).max()) ** 2
    in_way = {i for i in range(n) if area(before[i], i, after[i]) <= least}  # only these can lie in an ear

    def is_ear(a: int, b: int, c: int) -> bool:
        if area(a, b, c) <= least:
            return False
        low_x, high_x = min(x[a], x[b], x[c]), max(x[a], x[b], x[c])
        low_y, high_y = min(y[a], y[b], y[c]), max(y[a], y[b], y[c])
        for i in in_way:
            px, py = x[i], y[i]
            if px < low_x or px > high_x or py < low_y or py > high_y or i in (a, b, c):
                continue
            if (px, py) in ((x[a], y[a]), (x[b], y[b]), (x[c], y[c])):  # a cut to a hole goes there and back
                continue
            if min(area(a, b, i), area(b, c, i), area(c, a, i)) >= -least:
                return False
        return True

    made, here, n_missed, n_left = [], 0, 0, n
    while n_left > 3:
        a, c = before[here], after[here]
        if n_missed <= n_left and not is_ear(a, here, c):  # after a whole round there is none: it crosses itself
            here, n_missed = c, n_missed + 1
            continue
        made.append((a, here, c))
        after[a], before[c] = c, a
        in_way.discard(here)
        for i in (a, c):
            if i in in_way and area(before[i], i, after[i]) > least:
                in_way.discard(i)
        here, n_missed, n_left = after[c], 0, n_left - 1  # not at once beside it, for fewer slivers
    made.append((before[here], here, after[here]))
    return np.array(made, dtype=np.int64)


def _fans(firsts: np.ndarray, counts: np.ndarray, apex: np.ndarray) -> np.ndarray:
    """The triangles [M, 3] of each polygon around one of its corners."""
    owner = np.repeat(np.arange(len(counts)), counts - 2)
    begin = np.cumsum(counts - 2) - (counts - 2)
    step = np.arange(len(owner)) - begin[owner] + 1
    first, n, top = firsts[owner], counts[owner], apex[owner]
    return np.stack([first + top, first + (top + step) % n, first + (top + step + 1) % n], -1)


def _ranges(firsts: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """All numbers of several ranges."""
    return np.repeat(firsts - (np.cumsum(counts) - counts), counts) + np.arange(int(counts.sum()))


def _areas(vertices: np.ndarray, corners: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Twice the area of each triangle, as a vector across it."""
    a, b, c = (vertices[corners[triangles[:, k]]].astype(np.float64) for k in range(3))
    (bx, by, bz), (cx, cy, cz) = (b - a).T, (c - a).T
    return np.stack([by * cz - bz * cy, bz * cx - bx * cz, bx * cy - by * cx], -1)


def _turned_over(
    vertices: np.ndarray,
    corners: np.ndarray,
    triangles: np.ndarray,
    polygons: np.ndarray,
    at: np.ndarray,
    counts: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Those of the polygons that have a triangle without an area or facing the other way, and Newell's normals of
    these, of length one, or zero where there is none."""
    if not len(polygons):
        return polygons, np.zeros((0, 3))
    n = counts[polygons] - 2
    begin = np.cumsum(n) - n
    across = _areas(vertices, corners, triangles[_ranges(at[polygons], n)])
    normals = np.add.reduceat(across, begin, axis=0)  # whatever the triangles are
    signed = np.einsum("ij,ij->i", across, np.repeat(normals, n, axis=0))
    least, total = np.minimum.reduceat(signed, begin), np.add.reduceat(np.abs(signed), begin)
    is_over = ~(least > FLAT * total)
    normals = normals[is_over]
    return polygons[is_over], normals / np.maximum(np.linalg.norm(normals, axis=-1, keepdims=True), 1e-300)


def _sharpest(
    vertices: np.ndarray, corners: np.ndarray, firsts: np.ndarray, counts: np.ndarray, normals: np.ndarray
) -> np.ndarray:
    """The corner of each polygon that bends inwards most."""
    owner = np.repeat(np.arange(len(counts)), counts)
    begin = np.cumsum(counts) - counts
    step = np.arange(len(owner)) - begin[owner]
    first, n = firsts[owner], counts[owner]
    around = np.stack([first + (step - 1) % n, first + step, first + (step + 1) % n], -1)
    turn = np.einsum("ij,ij->i", _areas(vertices, corners, around), normals[owner])
    is_least = turn == np.minimum.reduceat(turn, begin)[owner]
    return np.minimum.reduceat(np.where(is_least, step, n - 1), begin)


def _on_plane(points: np.ndarray, normal: np.ndarray) -> np.ndarray:
    """Points [n, 3] as [n, 2] on the plane of a normal, which looks at the reader."""
    across = np.cross(normal, np.eye(3)[np.argmin(np.abs(normal))])
    across /= np.linalg.norm(across)
    own = points.astype(np.float64) - points[0]
    return np.stack([own @ across, own @ np.cross(normal, across)], -1)
