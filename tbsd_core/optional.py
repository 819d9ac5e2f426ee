"""Packages that only some features need: imported when used, with an error that says how to get them."""

from __future__ import annotations

import importlib
from types import ModuleType


def require(
    module: str,  # the name that is imported, e.g. "skimage"
    pip_name: str | None = None,  # what pip calls it where the names differ, e.g. "scikit-image"
) -> ModuleType:
    """Import an optional package.

    Raises:
        ImportError: with the exact pip line where the package is missing.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        package = module.split(".")[0]
        if error.name != package and not module.startswith(f"{error.name}."):
            raise  # the package is there and lacks something of its own: its message says what
        raise ImportError(
            f"This feature needs the package {package!r}. Install it with: pip install {pip_name or package}"
        ) from error
