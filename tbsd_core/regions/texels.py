"""Parts of the surface of a painted mesh: by a mask in its texture, by a camera's view, by part or material."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from weakref import ref

import numpy as np
import torch
from torch import Tensor

from ..cameras.pose import Cameras
from ..mesh.mesh import Mesh, places
from ..mesh.paint import why_not_kept
from ..mesh.surface import AT_FACES
from ..mesh.texels import Texels, nearest_known, texels_of
from ..native import run_native
from ..scenes import MeshTextureScene
from ..scenes.kept import ORIGINAL
from ..scenes.mesh_texture import TEXTURE
from .masks import free_of
from .region import BORDER, TEXELS, Region
from .seen import seen_of_mesh

SAID = 12  # names of materials in an error
SIZE = 1024  # texels along each side, of a mesh whose colours are not a texture yet


def texture_size(scene: MeshTextureScene) -> tuple[int, int]:
    """Rows and columns of the texture that the mesh has, or will have."""
    for name in (TEXTURE, ORIGINAL):
        if name in scene.attached:
            height, width = scene.attached[name].shape[:2]
            return height, width
    return SIZE, SIZE


def texels(scene: MeshTextureScene) -> Texels:
    """Where the texels of the mesh's texture lie.

    Raises:
        ValueError: its texture coordinates cannot hold a texture of its own, saying why.
    """
    return _texels(_Held(scene))


class _Held:
    """A scene as a key that does not keep it alive."""

    def __init__(self, scene: MeshTextureScene) -> None:
        self.scene, self.key = ref(scene), (id(scene), texture_size(scene))

    def __hash__(self) -> int:
        return hash(self.key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Held) and self.key == other.key and self.scene() is other.scene()


@lru_cache(maxsize=2)
def _texels(held: _Held) -> Texels:
    scene = held.scene()
    assert scene is not None
    mesh = mesh_of(scene)
    reason = why_not_kept(mesh)
    if reason:
        raise ValueError(
            f"A region of a mesh is a part of its texture, but {reason}. Give it texture coordinates that do not "
            "overlap: Extract Mesh makes some."
        )
    return texels_of(mesh, scene.corner_normals.cpu(), *texture_size(scene))


def mesh_of(scene: MeshTextureScene) -> Mesh:
    """The mesh in the scene's coordinates, on the CPU."""
    uvs = scene.uvs.cpu().numpy() if len(scene.uvs) else None
    return Mesh(scene.vertices.cpu().numpy(), scene.faces.cpu().numpy(), uvs=uvs)


def mask_region(scene: MeshTextureScene, mask: Tensor, border: float = BORDER) -> Region:
    """The texels of a mask [H, W] that was painted in the texture. Raises ValueError as `texels` and `free_of`."""
    texels(scene)
    return Region(TEXELS, free_of(mask, texture_size(scene), "the mesh's texture"), border)


def seen_region(
    scene: MeshTextureScene,
    cameras: Cameras,  # B; what any of them sees
    mask: Tensor | None = None,  # [H, W] in [0, 1], of the pixels of each of these views
    border: float = BORDER,
) -> Region:
    """The texels that cameras see. Raises ValueError as `texels` and `masks.chosen`, or where they see nothing."""
    at = texels(scene)
    on_it = (at.points, at.normals, at.face)
    return of_surface(at, seen_of_mesh(mesh_of(scene), cameras, *on_it, scene.bound, mask), border)


def of_surface(at: Texels, free: Tensor, border: float) -> Region:
    """A region of some of the texels [K] that show the surface; those beside it follow the nearest."""
    whole = torch.zeros(at.known.shape, dtype=torch.bool)
    whole[at.known] = free
    return Region(TEXELS, whole.flatten()[nearest_known(at.known)], border)


def parts(scene: MeshTextureScene) -> Tensor:
    """Which connected part every face belongs to, [M] int64; part 0 has the most area."""
    vertices, faces = scene.vertices.cpu().numpy(), scene.faces.cpu().numpy()
    joined = places(vertices)[faces]  # vertices that a seam of the texture has doubled are one
    part = run_native("parts", {"faces": joined, "n_vertices": len(vertices)})["part"]
    corner = vertices[faces].astype(np.float64)
    area = np.linalg.norm(np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]), axis=1)
    names, index = np.unique(part, return_inverse=True)
    total = np.bincount(index.reshape(-1), weights=area, minlength=len(names))
    rank = np.empty(len(names), dtype=np.int64)
    rank[np.argsort(-total, kind="stable")] = np.arange(len(names))
    return torch.from_numpy(rank[index.reshape(-1)])


def part_region(scene: MeshTextureScene, chosen: Sequence[int], border: float = BORDER) -> Region:
    """The texels of connected parts, by number; 0 is the largest.

    Raises:
        ValueError: there is no such part, none is named, and as `texels`.
    """
    at, part = texels(scene), parts(scene)
    n = int(part.max()) + 1
    wrong = [number for number in chosen if not 0 <= number < n]
    if wrong or not chosen:
        got = f"no part {wrong[0]}" if wrong else "no number"
        raise ValueError(f"The mesh has {n} connected part(s), 0 to {n - 1} from the largest down, got {got}.")
    return of_surface(at, torch.isin(part[at.face], torch.tensor(list(chosen))), border)


def material_region(scene: MeshTextureScene, chosen: Sequence[str], border: float = BORDER) -> Region:
    """The texels of the materials that a file had, by name or by number from 0; a name counts before a number.

    Raises:
        ValueError: the mesh has but one, there is no such material, none is named, and as `texels`.
    """
    names = scene.config.surface.material_names
    if not names or AT_FACES not in scene.attached:
        raise ValueError(
            "The mesh has one material, as far as is known: only a GLB file with several keeps them apart. Use "
            "connected parts, a view or a mask."
        )
    numbers = [_numbers(text, names) for text in chosen]
    if not all(numbers) or not numbers:
        got = repr(chosen[numbers.index([])][:60]) if numbers else "no name"
        known = ", ".join(f"{number} {name}" for number, name in enumerate(names[:SAID]))
        more = f" and {len(names) - SAID} more" if len(names) > SAID else ""
        raise ValueError(f"The mesh has the materials {known}{more}, got {got}. Name one of them or give its number.")
    at, material = texels(scene), scene.attached[AT_FACES]
    wanted = torch.tensor([number for found in numbers for number in found])
    return of_surface(at, torch.isin(material[at.face].long(), wanted), border)


def _numbers(text: str, names: Sequence[str]) -> list[int]:
    """The materials that a text means; several may have one name."""
    named = [number for number, name in enumerate(names) if name == text]
    return named or [number for number in range(len(names)) if str(number) == text]
