"""vary: a method with several values of one setting."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from .options import add_run_arguments, run_config
from .series import consume, finish, load_prior

if TYPE_CHECKING:
    from ..analysis.sheet import Sheet
    from ..study import Entry


def register(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser("vary", help="one setting at several values: final pictures and measures")
    add_run_arguments(parser)
    parser.add_argument(
        "--key",
        default="guidance.balance.shape_share",
        help="the setting, by its dotted name (default %(default)s, with the balancer fixed)",
    )
    parser.add_argument(
        "--values", nargs="+", default=("0", "0.25", "0.5", "0.75", "1"), help="its values (default 0 0.25 0.5 0.75 1)"
    )
    parser.set_defaults(action=_vary)


def entries_of(arguments: argparse.Namespace) -> list[Entry]:
    """One for each value."""
    from ..analysis.vary import varied
    from ..experiment import check_config
    from ..experiment.defaults import after_size
    from ..study import Entry

    key, values = arguments.key, arguments.values
    if "." not in key:
        raise ValueError(f"--key must name a setting inside a group, such as guidance.guidance_scale, got {key!r}.")
    base = run_config(arguments)
    configs = [after_size(varied(base, key, value), base, {key}) for value in values]
    for config in configs:
        check_config(config)
    name = key.split(".")[-1]
    return [Entry(label=f"{name} {value}", config=config) for value, config in zip(values, configs, strict=True)]


def _vary(arguments: argparse.Namespace) -> int:
    from ..analysis.pictures import Result, watch_pictures
    from ..analysis.vary import vary_sheet
    from ..experiment import evaluate
    from ..metrics.glossary import label_of

    entries = entries_of(arguments)
    prior = load_prior(entries[0].config)
    results: list[Result] = []
    complete = consume(watch_pictures(entries, prior, results), "vary")

    def sheet() -> Sheet:
        def measure(result: Result) -> dict[str, float]:
            assert result.experiment is not None  # it has a final picture
            return evaluate(result.entry.config, result.experiment.scene, prior)[0]

        made = vary_sheet(results, arguments.key, arguments.values, arguments.prompt, measure)
        for case in made.numbers["cases"]:
            shown = "  ".join(f"{label_of(k)} {v:.3f}" for k, v in case["metrics"].items())
            shown = shown or f"failed: {case.get('error', 'nothing to measure')}"
            print(f"{case['value']:>6s}  {shown}")
        if made.numbers["identical"]:
            print(f"no effect between the values {made.numbers['identical']}: the pictures are identical")
        return made

    return finish(sheet, any(1.0 in r.pictures for r in results), arguments, "vary", complete, results)
