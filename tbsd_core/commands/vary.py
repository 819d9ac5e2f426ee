"""vary: a method with several values of one setting."""

from __future__ import annotations

import argparse
from typing import Any

from ..configuration import with_setting
from .options import Loaded, add_run_arguments, case_of, consume, finish, run_config


def register(commands: Any) -> None:
    parser = commands.add_parser("vary", help="one setting at several values: final pictures and measures")
    add_run_arguments(parser)
    parser.add_argument(
        "--key",
        default="guidance.balance.shape_share",
        help="the setting, by its dotted name (default %(default)s, with the balancer fixed)",
    )
    parser.add_argument(
        "--values", nargs="+", default=("0", "0.25", "0.5", "0.75", "1"), help="(default 0 0.25 0.5 0.75 1)"
    )
    parser.set_defaults(action=_vary)


def _vary(arguments: argparse.Namespace) -> int:
    from ..analysis.cases import CaseResult, run_cases
    from ..analysis.sweep import IMPLIED, MEANING, sweep_sheet
    from ..experiment import check_config, evaluate

    if "." not in arguments.key:
        raise ValueError(
            f"--key must name a setting inside a group, such as guidance.guidance_scale, got {arguments.key!r}."
        )
    base = run_config(arguments)
    for name, value in IMPLIED.get(arguments.key.removeprefix("guidance."), {}).items():
        if hasattr(base.guidance, name):
            base = with_setting(base, f"guidance.{name}", value)
    configs = [with_setting(base, arguments.key, value) for value in arguments.values]
    for config in configs:
        check_config(config)
    loaded = Loaded.of(base)
    cases = [  # the prompts of each value, because it may be one of their settings
        case_of(config, Loaded.of(config, loaded.prior), f"{arguments.key.split('.')[-1]} {value}", {"value": value})
        for config, value in zip(configs, arguments.values, strict=True)
    ]
    results: list[CaseResult] = []
    complete = consume(run_cases(loaded.prior, cases, base.cameras, results, device=base.device), "vary")

    def measure(result: CaseResult) -> dict[str, float]:
        truth, _ = evaluate(base, result.scene.cpu(), loaded.prior)
        return truth or result.statistics()

    def sheet() -> Any:
        made = sweep_sheet(results, arguments.key, arguments.values, arguments.prompt, measure)
        for case in made.numbers["cases"]:
            shown = "  ".join(f"{MEANING.get(k, k)} {v:.3f}" for k, v in case["metrics"].items())
            print(f"{case['value']:>6s}  {shown}")
        if made.numbers["identical"]:
            print(f"no effect between the values {made.numbers['identical']}: the pictures are identical")
        return made

    finished = [result for result in results if 1.0 in result.pictures]
    return finish(sheet, finished, arguments, "vary", complete)
