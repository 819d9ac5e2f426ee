"""Gradients of models of real size in one memory mode of ComfyUI, booted as its main.py does.

    python memory_mode.py REQUEST

REQUEST is a JSON object, see benchmarks/gpu_check/gradients.py. A line with the result of each case is added to the
file `results` in its folder as soon as the case has ended.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import sys
import time
import traceback
from pathlib import Path

REQUEST = json.loads(sys.argv[1])
FOLDER = Path(REQUEST["folder"])


def boot():
    """ComfyUI without its server: `main` does everything that a start does, dynamic VRAM included. Returns a function
    that imports a submodule of the pack."""
    base = FOLDER / "comfyui"
    for name in ("models", "input", "output", "temp", "user", "custom_nodes"):
        (base / name).mkdir(parents=True)
    sys.argv = ["main.py", *REQUEST["flags"], "--base-directory", str(base), "--disable-all-custom-nodes"]
    sys.path.insert(0, REQUEST["comfyui"])
    importlib.import_module("comfy.options").enable_args_parsing()
    importlib.import_module("cuda_malloc")  # chooses the allocator, which `main` leaves to a start as a program
    importlib.import_module("main")
    name, root = "tbsd_inside", Path(REQUEST["pack"])
    spec = importlib.util.spec_from_file_location(name, root / "__init__.py", submodule_search_locations=[str(root)])
    if spec is None or spec.loader is None:
        raise ImportError(f"{root} is no package.")
    sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules[name])
    return lambda module: importlib.import_module(f"{name}.{module}")


def record(case: str, **entry) -> None:
    with (FOLDER / "results").open("a", encoding="utf-8") as file:
        file.write(json.dumps({"case": case, **entry}, default=str) + "\n")


def main() -> None:
    load = boot()
    sys.path.insert(0, str(Path(__file__).parent))
    measured = importlib.import_module("measured")
    for case in REQUEST["cases"]:
        start = time.perf_counter()
        try:
            if REQUEST["dynamic"] and not measured.is_dynamic():
                raise RuntimeError("dynamic VRAM is off: ComfyUI could not start comfy-aimdo, see its log")
            entry = measured.measure(case, load, Path(REQUEST["weights"]), REQUEST["quick"], REQUEST["short"])
        except Exception as error:  # a result of this case; the next one runs
            lines = "".join(traceback.format_exception(error)).strip().splitlines()
            entry = {"status": "failed", "error": f"{type(error).__name__}: {error}", "traceback": lines[-12:]}
        record(case, **entry, seconds=round(time.perf_counter() - start, 2))


main()
