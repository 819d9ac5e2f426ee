"""Signs that a run goes wrong, each reported once in plain language while something can still be done about it."""

from __future__ import annotations

import statistics
from collections import deque
from dataclasses import dataclass

import torch
from torch import nn

from .records import Backlog, Report, StepRecord


@dataclass(frozen=True, kw_only=True)
class WatchdogConfig:
    empty_below: float = 0.002  # mean opacity of the views of an object that has vanished, in [0, 1)
    full_above: float = 0.99  # mean opacity of views that are all wall, in (0, 1]
    collapse_steps: int = 20  # steps in a row that the opacity must stay out of bounds, >= 1
    explosion: float = 100.0  # a gradient so many times the median of the last ones explodes, > 1
    explosion_steps: int = 3  # such steps in a row, >= 1
    window: int = 50  # steps of that median, >= 2

    def __post_init__(self) -> None:
        if not 0 <= self.empty_below < self.full_above <= 1:
            raise ValueError(
                f"0 <= empty_below < full_above <= 1 must hold, got {self.empty_below} and {self.full_above}."
            )
        for name, least in (("collapse_steps", 1), ("explosion_steps", 1), ("window", 2)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}, got {getattr(self, name)}.")
        if not self.explosion > 1:
            raise ValueError(f"explosion must be greater than 1, got {self.explosion}.")


ADVICE = {
    "not finite": "Step {step} was skipped: its gradient was not a finite number. If more follow, lower lr or "
    "guidance_scale, or run the VAE in float32.",
    "empty": "The object has vanished (mean opacity {value:.2g} at step {step}). Lower opacity_weight and "
    "sparsity_weight, lower lr, or try another seed.",
    "full": "The views are filled to the edges (mean opacity {value:.2g} at step {step}). Raise opacity_weight or "
    "sparsity_weight, move the cameras away, or lower lr.",
    "exploding": "The gradient has grown to {value:.0f} times its usual size at step {step}. Lower lr or "
    "guidance_scale, or raise t_min.",
}


class Watchdog:
    """Call it with each record; returns advice when something has just gone wrong, else "".

    It never waits for a step that has just begun, so on a device its advice may come a step late; `rest` gives its
    advice on the steps that it has not read yet.

    Args:
        has_opacity: whether the opacity can change; pictures are always full, and a mesh keeps its outline.
    """

    def __init__(self, has_opacity: bool, config: WatchdogConfig | None = None) -> None:
        self.config, self.has_opacity = config or WatchdogConfig(), has_opacity
        self.warnings: dict[str, str] = {}  # by kind, a key of ADVICE
        self.in_a_row = {"empty": 0, "full": 0, "exploding": 0}
        self.gradients: deque[float] = deque(maxlen=self.config.window)
        self._backlog = Backlog()

    def __call__(self, record: StepRecord) -> str:
        return " ".join(text for report in self._backlog.add(record) if (text := self._judge(report)))

    def rest(self) -> str:
        """Advice on the newest steps; waits for them."""
        return " ".join(text for report in self._backlog.rest() if (text := self._judge(report)))

    def _judge(self, report: Report) -> str:
        config, step = self.config, report.step
        if report.skipped:
            return self._tell("not finite", step, 0.0)
        opacity, rms = report.scalars["opacity"], report.scalars["grad_rms"]
        said = []
        if self.has_opacity:
            said.append(self._count("empty", opacity < config.empty_below, config.collapse_steps, step, opacity))
            said.append(self._count("full", opacity > config.full_above, config.collapse_steps, step, opacity))
        usual = statistics.median(self.gradients) if len(self.gradients) == config.window else 0.0
        explodes = usual > 0 and rms > config.explosion * usual
        said.append(self._count("exploding", explodes, config.explosion_steps, step, rms / usual if usual else 0.0))
        if not explodes:
            self.gradients.append(rms)
        return " ".join(text for text in said if text)

    def _count(self, kind: str, happens: bool, enough: int, step: int, value: float) -> str:
        self.in_a_row[kind] = self.in_a_row[kind] + 1 if happens else 0
        return self._tell(kind, step, value) if self.in_a_row[kind] >= enough else ""

    def _tell(self, kind: str, step: int, value: float) -> str:
        if kind in self.warnings:
            return ""
        self.warnings[kind] = ADVICE[kind].format(step=step, value=value)
        return self.warnings[kind]


def not_finite(module: nn.Module) -> str:
    """Which tensors of a scene hold values that are not finite, as a sentence; "" if none does."""
    bad = [name for name, v in module.state_dict().items() if v.is_floating_point() and not torch.isfinite(v).all()]
    if not bad:
        return ""
    return (
        f"The scene holds values that are not finite numbers (in {', '.join(bad)}), so its pictures mean nothing. "
        "Run it again with a lower lr or guidance_scale."
    )
