"""overtime: previews of one or more methods at chosen moments."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from .options import add_run_arguments, method_entries
from .series import consume, finish, load_prior

if TYPE_CHECKING:
    from ..analysis.sheet import Sheet

METHODS = ("bridge,negative=target_negative", "bridge,negative=negative")


def register(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser("overtime", help="how the pictures of methods change over the run, as a grid")
    add_run_arguments(parser, method=None)
    parser.add_argument(
        "--methods",
        nargs="+",
        default=METHODS,
        metavar="NAME[,KEY=VALUE...]",
        help="methods, one row each, with their own settings (default: Bridge with TNP and with GNP)",
    )
    parser.add_argument("--at", type=float, nargs="+", help="moments in [0, 1] (default 0.25 0.5 0.75 1)")
    parser.set_defaults(action=_overtime)


def _overtime(arguments: argparse.Namespace) -> int:
    from ..analysis.overtime import MOMENTS, over_time_sheet
    from ..analysis.pictures import Result, watch_pictures

    entries = method_entries(arguments)
    at = tuple(arguments.at or MOMENTS)
    results: list[Result] = []
    complete = consume(watch_pictures(entries, load_prior(entries[0].config), results, at), "overtime")
    has_any = any(result.pictures for result in results)

    def sheet() -> Sheet:
        return over_time_sheet(results, at, arguments.prompt)

    return finish(sheet, has_any, arguments, "overtime", complete, results)
