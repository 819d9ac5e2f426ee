"""overtime: previews of one or more methods at chosen moments."""

from __future__ import annotations

import argparse
from typing import Any

from .options import (
    Loaded,
    add_run_arguments,
    case_of,
    consume,
    finish,
    method_config,
    with_labels,
)

METHODS = ("bridge,negative=target_negative", "bridge,negative=negative")


def register(commands: Any) -> None:
    parser = commands.add_parser("overtime", help="how the pictures of methods change over the run, as a grid")
    add_run_arguments(parser, method=None)
    parser.add_argument(
        "--methods",
        nargs="+",
        default=METHODS,
        metavar="NAME[,KEY=VALUE...]",
        help="a row each, with settings of its own (default: Bridge with TNP and with GNP)",
    )
    parser.add_argument("--at", type=float, nargs="+", help="moments in [0, 1] (default 0.25 0.5 0.75 1)")
    parser.set_defaults(action=_overtime)


def _overtime(arguments: argparse.Namespace) -> int:
    from ..analysis.cases import CaseResult, run_cases
    from ..analysis.overtime import MOMENTS, over_time_sheet

    configs = [method_config(arguments, text) for text in arguments.methods]
    at = tuple(arguments.at or MOMENTS)
    loaded = Loaded.of(configs[0])
    cases = with_labels([case_of(config, loaded, "") for config in configs])
    results: list[CaseResult] = []
    steps = run_cases(loaded.prior, cases, configs[0].cameras, results, at, configs[0].device)
    complete = consume(steps, "overtime")
    return finish(lambda: over_time_sheet(results, at, arguments.prompt), results, arguments, "overtime", complete)
