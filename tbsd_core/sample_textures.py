"""Sample meshes with their true texture, whole or with a fault to repair."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache

import torch
from torch import Tensor

from .cameras.sampling import orbit
from .mesh.bake import paint_texels
from .mesh.mesh import Mesh
from .mesh.paint import remember_texture, texture_scene
from .mesh.uv import UVConfig, unwrap_copies
from .placement import PlacementConfig
from .priors.small_world.degrade import gaussian_blur
from .priors.small_world.materials import MATERIALS, albedo
from .priors.small_world.shapes import normals
from .regions import inverted, seen_region
from .sample_meshes import sample_mesh

SIZE = 256  # texels along a side: finer than the pixels of the demo model
FRONT = orbit(1, 15.0)
ERASED = 0.5  # grey
BLUR = 3.5  # texels: leaves a third of the fine detail of a brick house in views of 64 pixels


def unseen_erased(mesh: Mesh) -> Mesh:
    """Grey where the front view does not show it, as an object that was made of one photo."""
    assert mesh.texture is not None
    texture = torch.from_numpy(mesh.texture)
    scene = texture_scene(mesh, place=PlacementConfig(radius=None))
    remember_texture(scene, mesh.texture)  # regions have its size
    unseen = inverted(seen_region(scene, FRONT)).free
    return replace(mesh, texture=torch.where(unseen[..., None], torch.full_like(texture, ERASED), texture).numpy())


def blurred(mesh: Mesh) -> Mesh:
    """Without most of its fine detail."""
    assert mesh.texture is not None
    texture = torch.from_numpy(mesh.texture).movedim(-1, 0)[None]
    return replace(mesh, texture=gaussian_blur(texture, BLUR)[0].movedim(0, -1).contiguous().numpy())


FAULTS: dict[str, Callable[[Mesh], Mesh]] = {
    "none": lambda mesh: mesh,
    "front only": unseen_erased,
    "blurry": blurred,
}


@lru_cache(maxsize=4)
@torch.no_grad()
def textured_sample(shape: str, material: str, fault: str = "none", resolution: int = 96) -> Mesh:
    """An object of the small world with the base colours of a material as its texture.

    Raises:
        ValueError: an unknown object, material or fault; as `sample_mesh`.
        ImportError: xatlas is missing.
    """
    for kind, name, table in (("material", material, MATERIALS), ("fault", fault, FAULTS)):
        if name not in table:
            raise ValueError(f"Unknown {kind} {name!r} of a sample; choose one of {', '.join(table)}.")
    flat, _ = unwrap_copies(sample_mesh(shape, resolution), UVConfig(size=SIZE))

    def color(points: Tensor) -> Tensor:
        return albedo(shape, material, points, normals(shape, points))

    texture, _ = paint_texels(flat, (SIZE, SIZE), torch.from_numpy(flat.vertices), color, lambda done: None)
    return FAULTS[fault](replace(flat, texture=texture))


def named_sample(name: str) -> Mesh:
    """The sample that words name: "house" is grey, "brick house" textured, "brick house, blurry" with a fault.

    Raises as `textured_sample`.
    """
    words, _, fault = name.partition(",")
    *material, shape = words.split() or [""]
    if not material:
        return sample_mesh(shape)
    return textured_sample(shape, " ".join(material), fault.strip() or "none")
