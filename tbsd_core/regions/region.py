"""Which part of a scene a run may change."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor

PIXELS, TEXELS, GAUSSIANS = "pixels", "texels", "Gaussians"
WAS, LOCKED = "what was there", "what is locked"
OLD = (WAS, LOCKED)
BORDER = 4.0  # texels: wide enough that no edge is seen, narrow enough that hardly anything is left out


@dataclass(frozen=True)
class Region:
    """A part of a picture, of the surface of a mesh, or of splats.

    Args:
        kind: PIXELS, TEXELS or GAUSSIANS: what it is made of.
        free: bool, True where a run may change things: [H, W] pixels or texels, or [N] Gaussians. On the CPU.
        border: width of the ramp inside the free part, over which old and new are mixed: in pixels, in texels along the
            surface, or in distances between neighbouring Gaussians. 0: a hard edge.
        old: the colours that new ones are mixed with over the border: WAS, the previous colours, or LOCKED, the colours
            of the nearest locked place, if the previous ones are worth nothing. Gaussians always mix with their
            previous values.
    """

    kind: str
    free: Tensor
    border: float = BORDER
    old: str = WAS

    def __post_init__(self) -> None:
        if not 0 <= self.border < float("inf"):
            raise ValueError(f"border must be 0 or more, got {self.border}.")
        if self.old not in OLD:
            raise ValueError(f"old must be one of {', '.join(OLD)}, got {self.old!r}.")

    @property
    def part(self) -> float:
        """How much is free, in [0, 1]."""
        return float(self.free.float().mean())


def inverted(region: Region) -> Region:
    """The inverse: locked parts become free, and free ones locked."""
    return replace(region, free=~region.free)


def union(a: Region, b: Region) -> Region:
    """The region that is free in either, with the wider border. Raises ValueError for regions of different scenes."""
    check_alike(a, b)
    return _joined(a, b, a.free | b.free)


def intersection(a: Region, b: Region) -> Region:
    """The region that is free in both, with the wider border. Raises ValueError for regions of different scenes."""
    check_alike(a, b)
    return _joined(a, b, a.free & b.free)


def difference(a: Region, b: Region) -> Region:
    """The region that is free in the first alone, with the wider border. Raises ValueError for regions of different
    scenes."""
    return intersection(a, inverted(b))


def _joined(a: Region, b: Region, free: Tensor) -> Region:
    return Region(a.kind, free, max(a.border, b.border), LOCKED if LOCKED in (a.old, b.old) else WAS)


def check_alike(a: Region, b: Region) -> None:
    """Raise ValueError for regions of different kinds or sizes."""
    if a.kind != b.kind or a.free.shape != b.free.shape:
        raise ValueError(f"Regions of different scenes cannot be combined: one has {said(a)}, the other {said(b)}.")


def said(region: Region) -> str:
    """Its size in words."""
    return f"{' x '.join(map(str, reversed(region.free.shape)))} {region.kind}"


COMBINE = {"add": union, "overlap": intersection, "subtract": difference}
