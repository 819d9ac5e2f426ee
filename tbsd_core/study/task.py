"""A task in the process that runs it: from plain data to the files of runs."""

from __future__ import annotations

import tempfile
from pathlib import Path

from ..experiment import ExperimentConfig, config_from_plain, read_prior, run
from ..priors.base import TextPrior
from .jobs import read_files
from .pool import OnSteps, Outcome, Task
from .side_by_side import run_side_by_side


class Worker:
    """Runs tasks one after another; a prior is loaded once.

    Args:
        in_full: whether results have curves, turntables and meshes; see experiment.write_results.
        prior: None loads the jobs' prior.
    """

    def __init__(
        self, in_full: bool, prior: TextPrior | None = None, on_steps: OnSteps = lambda job, n_steps: None
    ) -> None:
        self._in_full, self._on_steps = in_full, on_steps
        self._given, self._loaded = prior, dict[tuple[str, str, str], TextPrior]()

    def __call__(self, task: Task) -> list[Outcome]:
        """Outcomes of all jobs. An exception that ends a process (an interrupt) passes through."""
        first = next(iter(task.values()))
        try:
            configs = [config_from_plain(job.config) for job in task.values()]
            with tempfile.TemporaryDirectory(prefix="tbsd_") as name:
                folders = [Path(name) / str(index) for index in task]
                prior = self._given or self._prior(configs[0])
                if len(configs) == 1:
                    step = lambda record: self._on_steps(first, 1)  # noqa: E731
                    run(configs[0], folders[0], on_step=step, in_full=self._in_full, prior=prior)
                else:
                    step = lambda record: self._on_steps(first, len(configs))  # noqa: E731
                    run_side_by_side(configs, folders, prior, self._in_full, step)
                return [Outcome(i, read_files(folder)) for i, folder in zip(task, folders, strict=True)]
        except Exception as error:  # any failure is these jobs' result; the others must still run
            # a second try would fail the same way for a configuration; memory and machines may recover
            reason, again = f"{type(error).__name__}: {error}", not isinstance(error, ValueError)
            return [Outcome(index, error=reason, again=again) for index in task]

    def _prior(self, config: ExperimentConfig) -> TextPrior:
        key = (config.prior, config.device, config.dtype)
        if key not in self._loaded:
            self._loaded.clear()  # two might not fit in memory
            self._loaded[key] = read_prior(config)
        return self._loaded[key]
