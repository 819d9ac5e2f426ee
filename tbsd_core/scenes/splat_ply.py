"""Splats as the .ply file of the authors of 3D Gaussian splatting (arXiv:2308.04079), which viewers read.

Binary little endian, one vertex per Gaussian: x y z, nx ny nz (0), f_dc_0..2 (spherical harmonics of degree 0),
opacity (logit), scale_0..2 (logarithms), rot_0..3 (w, x, y, z). The axes follow captured scenes, as every viewer and
ComfyUI expect: +y down (splat_frame.TURNED_OVER).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from ..atomic import atomic_path
from ..color import colors_to_sh
from ..renderer.splatting import Splats

NAMES = (
    *("x", "y", "z", "nx", "ny", "nz", "f_dc_0", "f_dc_1", "f_dc_2", "opacity"),
    *("scale_0", "scale_1", "scale_2", "rot_0", "rot_1", "rot_2", "rot_3"),
)


@torch.no_grad()
def write_splats(splats: Splats, path: Path) -> None:
    """Write a .ply; the file appears complete or not at all.

    Args:
        splats: in the frame of files (splat_start.file_splats gives the splats of a scene).

    Raises:
        ValueError: there are no Gaussians, or some numbers are not finite.
    """
    columns = [
        splats.means,
        torch.zeros_like(splats.means),
        colors_to_sh(splats.colors),
        torch.logit(splats.opacities.clamp(1e-6, 1 - 1e-6))[:, None],
        splats.scales.log(),
        torch.nn.functional.normalize(splats.quats, dim=-1),
    ]
    table = torch.cat(columns, -1).cpu().numpy().astype("<f4")
    if not len(table) or not np.isfinite(table).all():
        wrong = int((~np.isfinite(table)).any(-1).sum())
        raise ValueError(
            f"Splats cannot be written: {len(table)} Gaussians, of which {wrong} have numbers that are not finite. "
            "Lower lr and run it again."
        )
    header = ["ply", "format binary_little_endian 1.0", f"element vertex {len(table)}"]
    header += [f"property float {name}" for name in NAMES]
    with atomic_path(path) as partial:
        partial.write_bytes(("\n".join([*header, "end_header"]) + "\n").encode("ascii") + table.tobytes())
