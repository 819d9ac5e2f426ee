"""seeds: the same settings from several seeds as one grid."""

from __future__ import annotations

import argparse
from typing import Any

from .options import Loaded, add_common_arguments, case_of, consume, finish, run_config


def register(commands: Any) -> None:
    parser = commands.add_parser("seeds", help="the same settings from several seeds, as a grid")
    parser.add_argument("--prompt", nargs="+", required=True, help="what to make; several prompts are several rows")
    add_common_arguments(parser)
    parser.add_argument("--method", default="tbsd", help="guidance method (default %(default)s)")
    parser.add_argument("--n", type=int, default=4, help="how many seeds, from --seed upwards (default %(default)s)")
    parser.add_argument("--seeds", type=int, nargs="+", help="these seeds instead")
    parser.set_defaults(action=_seeds)


def _seeds(arguments: argparse.Namespace) -> int:
    from ..analysis.cases import CaseResult, run_cases
    from ..analysis.seeds import seed_cases, seeds_sheet

    seeds = arguments.seeds or range(arguments.seed, arguments.seed + arguments.n)
    if not seeds:
        raise ValueError(f"--n must be at least 1, got {arguments.n}.")
    configs = [run_config(arguments, prompt=prompt) for prompt in arguments.prompt]
    cases, prior = [], None
    for config in configs:
        loaded = Loaded.of(config, prior)
        prior = loaded.prior
        cases += seed_cases(case_of(config, loaded, config.prompt.prompt), seeds)
    results: list[CaseResult] = []
    complete = consume(run_cases(prior, cases, configs[0].cameras, results, device=configs[0].device), "seeds")
    title = arguments.method.upper() + (f": {arguments.prompt[0]}" if len(configs) == 1 else "")
    return finish(lambda: seeds_sheet(results, title), results, arguments, "seeds", complete)
