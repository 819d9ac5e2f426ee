"""A series of experiments on the command line: with a bar, and with a sheet of results at its end."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from ..optional import require

if TYPE_CHECKING:
    from ..analysis.pictures import Result
    from ..analysis.sheet import Sheet
    from ..experiment import ExperimentConfig
    from ..priors.base import TextPrior
    from ..study import Failure, StudyStep

SOME_FAILED, INTERRUPTED = 1, 130  # exit codes


def load_prior(config: ExperimentConfig) -> TextPrior:
    """The prior of all experiments of a command."""
    from ..experiment import read_prior

    require("transformers").utils.logging.disable_progress_bar()  # its bar would hide ours
    return read_prior(config)


def consume(steps: Iterable[StudyStep | Failure], title: str) -> bool:
    """Run to the end with a progress bar; False if the user interrupted it. Says which entries failed, and why."""
    from ..study import Failure

    tqdm = require("tqdm").tqdm
    with tqdm(desc=title, unit="step", disable=None) as bar:
        try:
            for step in steps:
                bar.total, bar.n = step.total, step.done
                bar.set_postfix_str(step.label, refresh=False)
                bar.refresh() if step.done == step.total else bar.update(0)
                if isinstance(step, Failure):
                    bar.write(f"{step.label}: failed ({step.reason})", file=sys.stderr)
                elif step.note:
                    bar.write(f"{step.label}: {step.note}", file=sys.stderr)
        except KeyboardInterrupt:
            return False
    return True


def finish(
    make_sheet: Callable[[], Sheet],  # of the results so far
    has_any: bool,  # whether there is anything to show
    arguments: argparse.Namespace,
    name: str,
    complete: bool,
    results: Sequence[Result] = (),  # which may have failed
) -> int:
    """Write the sheet, say so, and return the exit code."""
    if not has_any:
        print("interrupted before there was anything to show", file=sys.stderr)
        return INTERRUPTED
    picture, numbers = make_sheet().write(arguments.out, name)
    print(f"wrote {picture} and {numbers.name}")
    if not complete:
        print("interrupted: the sheet holds the results so far", file=sys.stderr)
        return INTERRUPTED
    failed = sum(bool(result.failure) for result in results)
    if failed:
        print(f"{failed} of {len(results)} failed; {numbers.name} says why", file=sys.stderr)
    return SOME_FAILED if failed else 0
