"""The result of an analysis: one picture, and the numbers behind it."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from ..atomic import atomic_path
from ..media import write_png


@dataclass(frozen=True)
class Sheet:
    """A picture [3, H, W] in [0, 1] and plain data."""

    image: Tensor
    numbers: dict[str, Any]

    def write(self, folder: Path, name: str) -> tuple[Path, Path]:
        """Write NAME.png and NAME.json into a folder, which is created; each file is complete or absent."""
        with atomic_path(folder / f"{name}.json") as path:
            path.write_text(self.json() + "\n", encoding="utf-8")
        return write_png(self.image, folder / f"{name}.png"), folder / f"{name}.json"

    def json(self) -> str:
        """The numbers as JSON; values that are not finite become null, because JSON has none."""
        return json.dumps(_finite(self.numbers), indent=2, ensure_ascii=False)


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(k): _finite(v) for k, v in value.items()}
    return [_finite(v) for v in value] if isinstance(value, (list, tuple)) else value
