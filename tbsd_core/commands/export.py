"""export: the mesh of a stored run, in any format and size."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any


def register(commands: Any) -> None:
    """Add the command to the sub-parsers of the program."""
    from ..mesh.bake import BakeConfig
    from ..mesh.export import ExportConfig
    from ..mesh.isosurface import MeshConfig

    parser = commands.add_parser("export", help="the textured mesh of a run, from its checkpoint")
    parser.add_argument("--run", type=Path, required=True, help="folder of a run, or the file of a scene")
    parser.add_argument("--out", type=Path, help="folder for the mesh (default: the run's folder)")
    parser.add_argument("--format", default="glb", help="glb, obj or ply (default %(default)s)")
    parser.add_argument("--faces", type=int, default=ExportConfig.faces, help="at most; 0 keeps all (%(default)s)")
    parser.add_argument(
        "--texture", type=int, default=ExportConfig.texture, help="texels along a side; 0 for vertex colours"
    )
    parser.add_argument(
        "--resolution", type=int, default=MeshConfig.resolution, help="grid points along a side (%(default)s)"
    )
    parser.add_argument("--threshold", type=float, help="density of the surface (default: chosen)")
    parser.add_argument("--views", type=int, default=BakeConfig.views, help="pictures around it to bake from")
    parser.set_defaults(action=_export)


def _export(arguments: argparse.Namespace) -> int:
    from ..experiment import read_newest
    from ..mesh import WRITERS, ExportConfig, MeshConfig, textured_mesh, write_mesh
    from ..mesh.bake import BakeConfig

    if f".{arguments.format}" not in WRITERS:
        known = ", ".join(suffix[1:] for suffix in WRITERS)
        raise ValueError(f"--format must be one of {known}, got {arguments.format!r}.")
    config = ExportConfig(
        faces=arguments.faces,
        texture=arguments.texture,
        surface=MeshConfig(resolution=arguments.resolution, threshold=arguments.threshold),
        bake=BakeConfig(views=arguments.views),
    )
    stored = read_newest(arguments.run)
    mesh, report = textured_mesh(stored.scene(), config)
    path = write_mesh(mesh, (arguments.out or Path(stored.source).parent) / f"mesh.{arguments.format}")
    for warning in filter(None, [stored.warning, *report["warnings"]]):
        print(warning, file=sys.stderr)
    kind = f"a texture of {report['texture']} x {report['texture']}" if report["texture"] else "vertex colours"
    seconds = ", ".join(f"{name} {s:.1f} s" for name, s in report["seconds"].items())
    print(f"wrote {path}: {report['faces']:,} of {report['faces_cut']:,} triangles, {kind} ({seconds})")
    return 0
