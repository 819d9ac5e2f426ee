"""Which colours are linear light and which are sRGB, at every border of the pack.

Inside, all colours are sRGB in [0, 1], as on a screen: renders, albedos, `Mesh.colors`, `Mesh.texture`,
`Splats.colors`. Inputs and outputs:

    IMAGE                              sRGB
    MESH vertex_colors                 linear (ComfyUI's are glTF's COLOR_0)
    MESH texture, emissive             sRGB
    MESH metallic_roughness, normals   numbers, not colours: never converted
    GLB COLOR_0                        linear (glTF 2.0, Section 3.7.2.1); bytes are sRGB, as trimesh writes
    GLB baseColorTexture, emissive     sRGB (glTF 2.0, Section 3.9.2); factors beside them are linear
    OBJ, PLY vertex colours, map_Kd    sRGB, by custom
    SPLAT sh, splat files' f_dc        sRGB, as harmonics of degree 0
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import numpy as np

if TYPE_CHECKING:  # the child process that reads meshes has no torch
    from torch import Tensor

SH_C0 = 0.28209479177387814  # the constant spherical harmonic
Values = TypeVar("Values", np.ndarray, "Tensor")


def srgb_to_linear(x: np.ndarray) -> np.ndarray:
    """Linear light of sRGB values in [0, 1] (IEC 61966-2-1)."""
    return np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4)


def linear_to_srgb(x: np.ndarray) -> np.ndarray:
    """sRGB values of linear light in [0, 1] (IEC 61966-2-1)."""
    return np.where(x <= 0.0031308, x * 12.92, 1.055 * np.maximum(x, 0.0031308) ** (1 / 2.4) - 0.055)


def colors_to_sh(colors: Values) -> Values:
    """Coefficients of degree 0 of sRGB colours (arXiv:2308.04079)."""
    return (colors - 0.5) / SH_C0


def sh_to_colors(coefficients: Values) -> Values:
    """sRGB colours of coefficients of degree 0. They may leave [0, 1] for wild splats."""
    return 0.5 + SH_C0 * coefficients
