"""seeds: the same settings from several seeds as one grid."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from .options import add_common_arguments, add_mesh_arguments, run_config
from .series import consume, finish, load_prior

if TYPE_CHECKING:
    from ..study import Entry


def register(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser("seeds", help="the same settings from several seeds, as a grid")
    parser.add_argument("--prompt", nargs="+", required=True, help="what to make; several prompts are several rows")
    add_common_arguments(parser)
    add_mesh_arguments(parser)
    parser.add_argument("--method", default="tbsd", help="guidance method (default %(default)s)")
    parser.add_argument("--n", type=int, default=4, help="how many seeds, from --seed upwards (default %(default)s)")
    parser.add_argument("--seeds", type=int, nargs="+", help="these seeds instead")
    parser.set_defaults(action=_seeds)


def entries_of(arguments: argparse.Namespace) -> list[Entry]:
    """Prompts x seeds."""
    from ..analysis.seeds import seed_entries
    from ..study import Entry

    seeds = arguments.seeds or range(arguments.seed, arguments.seed + arguments.n)
    if not seeds:
        raise ValueError(f"--n must be at least 1, got {arguments.n}.")
    rows = [Entry(label=prompt, config=run_config(arguments, prompt)) for prompt in arguments.prompt]
    return [entry for row in rows for entry in seed_entries(row, seeds)]


def _seeds(arguments: argparse.Namespace) -> int:
    from ..analysis.pictures import Result, watch_pictures
    from ..analysis.seeds import seeds_sheet

    entries = entries_of(arguments)
    results: list[Result] = []
    complete = consume(watch_pictures(entries, load_prior(entries[0].config), results), "seeds")
    title = arguments.method.upper() + (f": {arguments.prompt[0]}" if len(arguments.prompt) == 1 else "")
    has_any = any(r.pictures for r in results)
    return finish(lambda: seeds_sheet(results, title), has_any, arguments, "seeds", complete, results)
