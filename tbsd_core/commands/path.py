"""path: the paths of methods in the plane of the shape and the texture objective."""

from __future__ import annotations

import argparse

from .options import add_run_arguments, method_entries
from .series import consume, finish, load_prior


def register(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser("path", help="methods from one start in the plane of shape and texture objective")
    add_run_arguments(parser, method=None)
    parser.add_argument(
        "--methods",
        nargs="+",
        default=("sds", "bridge", "tbsd"),
        metavar="NAME[,KEY=VALUE...]",
        help="methods, each with its own settings; the last one also shows the reachable directions (default: sds "
        "bridge tbsd)",
    )
    parser.add_argument("--every", type=int, default=5, help="steps between measured points (default %(default)s)")
    parser.add_argument("--t", type=float, nargs="+", help="noise levels of the objectives (default 0.3 0.5 0.7)")
    parser.add_argument("--noises", type=int, default=2, help="noises per level (default %(default)s)")
    parser.set_defaults(action=_path)


def _path(arguments: argparse.Namespace) -> int:
    from ..analysis.path import ObjectivePath, PathConfig, objective_paths, path_sheet
    from ..analysis.pictures import Result

    levels = tuple(arguments.t or PathConfig.t)
    settings = PathConfig(every=arguments.every, t=levels, n_noises=arguments.noises, seed=arguments.seed)
    entries = method_entries(arguments)
    results: list[Result] = []
    paths: list[ObjectivePath] = []
    steps = objective_paths(entries, load_prior(entries[0].config), settings, results, paths)
    complete = consume(steps, "path")
    title = arguments.prompt
    has_any = any(path.points for path in paths)
    return finish(lambda: path_sheet(paths, results, settings, title), has_any, arguments, "path", complete, results)
