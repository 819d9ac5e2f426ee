"""Moves, turns and scales splats, and converts between two frames: the scene's, +y up, and the frame of files and of
ComfyUI's SPLAT, +y down, which is the scene's after half a turn about x."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ..renderer.splatting import Splats

TURNED_OVER = np.diag([1.0, -1, -1, 1])  # its own inverse


def moved(splats: Splats, matrix: np.ndarray) -> Splats:
    """Splats under a similarity: a rotation, one scale and a shift, as a matrix [4, 4]."""
    scale = float(np.cbrt(np.linalg.det(matrix[:3, :3])))
    rotation = torch.from_numpy(matrix[:3, :3] / scale).to(splats.means)
    shift = torch.from_numpy(matrix[:3, 3]).to(splats.means)
    return Splats(
        splats.means @ rotation.T * scale + shift,
        multiply(quaternion(matrix[:3, :3] / scale).to(splats.quats), splats.quats),
        splats.scales * scale,
        splats.opacities,
        splats.colors,
    )


def quaternion(rotation: np.ndarray) -> Tensor:
    """(w, x, y, z) of a rotation matrix [3, 3]: the first eigenvector of Bar-Itzhack's matrix (2000)."""
    m = rotation
    k = np.array(
        [
            [m[0, 0] - m[1, 1] - m[2, 2], m[1, 0] + m[0, 1], m[2, 0] + m[0, 2], m[2, 1] - m[1, 2]],
            [m[1, 0] + m[0, 1], m[1, 1] - m[0, 0] - m[2, 2], m[2, 1] + m[1, 2], m[0, 2] - m[2, 0]],
            [m[2, 0] + m[0, 2], m[2, 1] + m[1, 2], m[2, 2] - m[0, 0] - m[1, 1], m[1, 0] - m[0, 1]],
            [m[2, 1] - m[1, 2], m[0, 2] - m[2, 0], m[1, 0] - m[0, 1], m[0, 0] + m[1, 1] + m[2, 2]],
        ]
    )
    x, y, z, w = np.linalg.eigh(k)[1][:, -1]
    return torch.tensor([w, x, y, z])


def multiply(a: Tensor, b: Tensor) -> Tensor:
    """Hamilton products [..., 4] of quaternions (w, x, y, z): the rotation b, then a."""
    aw, ax, ay, az = a.unbind(-1)
    bw, bx, by, bz = b.unbind(-1)
    return torch.stack(
        [
            aw * bw - ax * bx - ay * by - az * bz,
            aw * bx + ax * bw + ay * bz - az * by,
            aw * by - ax * bz + ay * bw + az * bx,
            aw * bz + ax * by - ay * bx + az * bw,
        ],
        -1,
    )
