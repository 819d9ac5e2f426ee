"""The reports of a run's steps, and their curves, kept for plots and for run.json."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..scenes.base import RenderOutput
from ..transfer import Late


@dataclass(frozen=True)
class StepRecord:
    """The record of one step.

    On an asynchronous device `scalars`, `seconds` and `skipped` are still on their way when the record is made. Reading
    them waits for the step: read the record of the step before, or read only now and then.

    Args:
        step: index of the step just done; progress = step / n_steps.
        render: the views it rendered, detached.
        t: [B], the timesteps it drew, on the host.
        scalars: means over the batch of what the guidance and the regularisers report, to plot; with "t" as a part
            of the prior's range and "lr" as the step used it.
        seconds: wall time of "render", "prior" and "backward", and of "lora" where one is trained.
        bad: its last number is 1.0 where the gradient was not finite, so that the step changed nothing.
    """

    step: int
    n_steps: int
    progress: float
    render: RenderOutput
    t: Tensor
    scalars: Mapping[str, float]
    seconds: Mapping[str, float]
    bad: Late

    @property
    def skipped(self) -> bool:
        """Whether the gradient was not finite, so that the step changed nothing."""
        return bool(self.bad.read()[-1])


class LateScalars(Mapping[str, float]):
    """Numbers by name: first the ones on their way from the device, then the known ones."""

    def __init__(self, names: Sequence[str], late: Late, known: Mapping[str, float]) -> None:
        self._index = {name: i for i, name in enumerate(names)}
        self._late, self._known = late, known

    def __getitem__(self, name: str) -> float:
        return self._known[name] if name in self._known else self._late.read()[self._index[name]]

    def __iter__(self) -> Iterator[str]:
        yield from self._index
        yield from self._known

    def __len__(self) -> int:
        return len(self._index) + len(self._known)


@dataclass(frozen=True)
class Report:
    """The numbers of a StepRecord, without its pictures, so that it can be kept until they arrive."""

    step: int
    scalars: Mapping[str, float]
    seconds: Mapping[str, float]
    bad: Late

    @property
    def skipped(self) -> bool:
        return bool(self.bad.read()[-1])


class Backlog:
    """Reports of steps that nobody has waited for yet."""

    def __init__(self) -> None:
        self._reports: deque[Report] = deque()

    def add(self, record: StepRecord) -> Iterator[Report]:
        """Keep a record; returns the records that can be read: all earlier ones, and this one if its numbers have
        arrived.

        So the device has the work of a step while the host waits for the numbers of the one before.
        """
        self._reports.append(Report(record.step, record.scalars, record.seconds, record.bad))
        while len(self._reports) > 1 or (self._reports and self._reports[0].bad.is_here):
            yield self._reports.popleft()

    def rest(self) -> Iterator[Report]:
        """The remaining records; reading them waits for the newest step."""
        while self._reports:
            yield self._reports.popleft()


class Curves:
    """Scalars of every step by name, with the step index; total seconds by phase.

    Reading any of them waits for the newest step.
    """

    def __init__(
        self,
        steps: list[int] | None = None,
        series: dict[str, list[float]] | None = None,
        seconds: dict[str, float] | None = None,
        skipped: int = 0,
    ) -> None:
        self._steps, self._series = steps or [], series or {}
        self._seconds, self._skipped = seconds or {}, skipped
        self._backlog = Backlog()

    def __eq__(self, other: object) -> bool:
        mine = self.steps, self.series, self.seconds, self.skipped
        return isinstance(other, Curves) and mine == (other.steps, other.series, other.seconds, other.skipped)

    def add(self, record: StepRecord) -> None:
        for report in self._backlog.add(record):
            self._read(report)

    @property
    def steps(self) -> list[int]:
        return self._whole()._steps

    @property
    def series(self) -> dict[str, list[float]]:
        return self._whole()._series

    @property
    def seconds(self) -> dict[str, float]:
        return self._whole()._seconds

    @property
    def skipped(self) -> int:
        return self._whole()._skipped

    def _whole(self) -> Curves:
        for report in self._backlog.rest():
            self._read(report)
        return self

    def _read(self, report: Report) -> None:
        self._steps.append(report.step)
        for name, value in report.scalars.items():
            # a term may appear late (a stage switch): pad so that all series stay aligned with `steps`
            series = self._series.setdefault(name, [float("nan")] * (len(self._steps) - 1))
            series += [float("nan")] * (len(self._steps) - 1 - len(series))
            series.append(value)
        for name, value in report.seconds.items():
            self._seconds[name] = self._seconds.get(name, 0.0) + value
        self._skipped += report.skipped

    def to_dict(self) -> dict:
        """Plain data; values that are not finite become None, which JSON can hold."""
        n = len(self.steps)
        padded = {k: v + [float("nan")] * (n - len(v)) for k, v in self.series.items()}
        clean = {k: [x if x == x and abs(x) != float("inf") else None for x in v] for k, v in padded.items()}
        return {"steps": self.steps, "series": clean, "seconds": self.seconds, "skipped_steps": self.skipped}

    def copy(self) -> Curves:
        """A copy that further steps do not change."""
        series = {name: list(values) for name, values in self.series.items()}
        return Curves(list(self.steps), series, dict(self.seconds), self.skipped)

    def to_tensors(self) -> dict[str, Tensor]:
        """The steps and every series as float64 of their length, which lose nothing; seconds and skipped are left."""
        series = {f"series.{name}": torch.tensor(values, dtype=torch.float64) for name, values in self.series.items()}
        return {"steps": torch.tensor(self.steps, dtype=torch.int64)} | series

    @classmethod
    def from_tensors(cls, stored: dict[str, Tensor], seconds: dict[str, float], skipped: int) -> Curves:
        """Raises ValueError for tensors that are not curves."""
        if not all(v.dim() == 1 and len(v) <= len(stored["steps"]) for v in stored.values()):
            raise ValueError("its curves do not fit its steps")
        series = {k.removeprefix("series."): v.tolist() for k, v in stored.items() if k.startswith("series.")}
        return cls(stored["steps"].tolist(), series, seconds, skipped)
