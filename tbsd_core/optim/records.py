"""The curves of a run: what the steps reported, kept for plots and for run.json."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from .loop import StepRecord


@dataclass
class Curves:
    """Scalars of every step by name, with the step index; total seconds by phase."""

    steps: list[int] = field(default_factory=list)
    series: dict[str, list[float]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    skipped: int = 0

    def add(self, record: StepRecord) -> None:
        self.steps.append(record.step)
        for name, value in record.scalars.items():
            # a term may appear late (a stage switch): pad so that all series stay aligned with `steps`
            series = self.series.setdefault(name, [float("nan")] * (len(self.steps) - 1))
            series += [float("nan")] * (len(self.steps) - 1 - len(series))
            series.append(value)
        for name, value in record.seconds.items():
            self.seconds[name] = self.seconds.get(name, 0.0) + value
        self.skipped += record.skipped

    def to_dict(self) -> dict:
        """Plain data; values that are not finite become None, which JSON can hold."""
        n = len(self.steps)
        padded = {k: v + [float("nan")] * (n - len(v)) for k, v in self.series.items()}
        clean = {k: [x if x == x and abs(x) != float("inf") else None for x in v] for k, v in padded.items()}
        return {"steps": self.steps, "series": clean, "seconds": self.seconds, "skipped_steps": self.skipped}

    @classmethod
    def from_dict(cls, stored: dict) -> Curves:
        series = {k: [float("nan") if x is None else x for x in v] for k, v in stored["series"].items()}
        return cls(list(stored["steps"]), series, dict(stored["seconds"]), stored["skipped_steps"])

    def to_tensors(self) -> dict[str, Tensor]:
        """The steps and every series as float64 of their length, which lose nothing; seconds and skipped are left."""
        series = {f"series.{name}": torch.tensor(values, dtype=torch.float64) for name, values in self.series.items()}
        return {"steps": torch.tensor(self.steps, dtype=torch.int64)} | series

    @classmethod
    def from_tensors(cls, stored: dict[str, Tensor]) -> Curves:
        series = {k.removeprefix("series."): v.tolist() for k, v in stored.items() if k.startswith("series.")}
        return cls(stored["steps"].tolist(), series)
