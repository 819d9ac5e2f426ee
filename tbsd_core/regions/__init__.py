"""Where a run may change a scene. A new way to say it is a function of a scene that returns a Region.

A `Region` is the part that may change; `limited` makes the scene that a run then works on.
"""

from .limit import check_same, everything, limited, ready
from .masks import chosen
from .pixels import pixel_region
from .preview import preview
from .region import BORDER, COMBINE, LOCKED, OLD, WAS, Region, inverted, union
from .splats import seen_splats
from .texels import mask_region, material_region, part_region, parts, seen_region

__all__ = [
    "BORDER",
    "COMBINE",
    "LOCKED",
    "OLD",
    "WAS",
    "Region",
    "check_same",
    "chosen",
    "everything",
    "inverted",
    "limited",
    "mask_region",
    "material_region",
    "part_region",
    "parts",
    "pixel_region",
    "preview",
    "ready",
    "seen_region",
    "seen_splats",
    "union",
]
