"""Shared by the scripts here: puts ComfyUI on the path, on the CPU, and imports the pack as ComfyUI does."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path


def load_pack(cpu: bool = True):
    """Returns a function that imports a submodule of the pack, such as "nodes.bridge.demo"."""
    comfyui, root = sys.argv[1], Path(sys.argv[2])
    sys.path.insert(0, comfyui)
    from comfy.cli_args import args

    args.cpu = cpu
    importlib.import_module("utils.extra_config")  # as main.py does; later a module of another package shadows utils
    name = "tbsd_inside"
    spec = importlib.util.spec_from_file_location(name, root / "__init__.py", submodule_search_locations=[str(root)])
    sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules[name])
    return lambda module: importlib.import_module(f"{name}.{module}")
