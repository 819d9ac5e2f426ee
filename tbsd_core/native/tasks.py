"""The tasks of the child process: a module below tbsd_core and a function in it.

A task is called as `function(on_progress, **inputs)` and returns a dict; inputs and results are what wire.py carries.
`on_progress(part)` takes the progress in [0, 1]. Its module and the packages on the way to it are imported without
their __init__.py, so that torch stays out of the child: import numpy and the standard library at the top, siblings
relatively, anything compiled inside the function.
"""

from __future__ import annotations

TASKS: dict[str, str] = {
    "corner_normals": "mesh.normals:corner_normals_task",
    "nearest": "mesh.compiled:nearest",
    "nearest_points": "mesh.compiled:nearest_points",
    "parts": "mesh.compiled:parts",
    "read_mesh": "mesh.read:read_mesh",
    "simplify": "mesh.compiled:simplify",
    "surface": "mesh.compiled:surface",
    "unwrap": "mesh.atlas:unwrap",
    "uv_overlap": "mesh.atlas:overlap",
}
