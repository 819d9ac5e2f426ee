"""One setting of a method at several values: a strip of final pictures above charts of measures.

After Figure 3a of TBSD (arXiv:2511.11710), "Result images with varying levels of shape information controlled
by coefficient a". Its formula is not in the text that we have. Here the coefficient is the constant weight of the
shape direction, `balance.shape_share` of TBSD with the balancer "fixed": 1 is SDS, 0 is Bridge's second stage. Any
other setting can be varied by its dotted name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from ..configuration import with_setting
from ..experiment import ExperimentConfig
from ..grid import labelled_grid, stacked
from ..metrics.glossary import label_of
from ..study import reason_of
from .charts import metric_charts
from .pictures import Result
from .sheet import Sheet

SHAPE_COEFFICIENT = "guidance.balance.shape_share"
VALUES = (0.0, 0.25, 0.5, 0.75, 1.0)
# settings without which a varied one has no effect
IMPLIED: dict[str, dict[str, str]] = {SHAPE_COEFFICIENT: {"guidance.balancer": "fixed"}}


def varied(config: ExperimentConfig, key: str, text: str) -> ExperimentConfig:
    """The same experiment with one setting changed, by its dotted name, and the settings that make the change count.

    Raises:
        ValueError: there is no such setting, or the value is out of its range.
    """
    config = with_setting(config, key, text)
    for name, value in IMPLIED.get(key, {}).items():
        config = with_setting(config, name, value)
    return config


def vary_sheet(
    results: Sequence[Result],
    key: str,  # the dotted name of the setting
    values: Sequence[str],  # all values asked for
    title: str,
    measure: Callable[[Result], Mapping[str, float]] = Result.statistics,
) -> Sheet:
    """The strip and the charts; values that were not reached have an empty place, those that failed say so."""
    pictures = [r.tile(1.0) for r in results]
    finished = [i for i, r in enumerate(results) if 1.0 in r.pictures]
    measured: dict[int, dict[str, float]] = {}
    for i in finished:
        try:
            measured[i] = dict(measure(results[i]))
        except Exception as error:  # of this value; the runs of the others must not be lost
            results[i].failure = f"not measured: {reason_of(error)}"
    axis = key.split(".")[-1].replace("_", " ")
    places = pictures + [None] * (len(values) - len(pictures))
    strip = labelled_grid([places], [""], list(values), title, column_axis=axis)
    names = list(dict.fromkeys(name for m in measured.values() for name in m))
    series = {label_of(n): [m.get(n, float("nan")) for m in measured.values()] for n in names}
    charts = [metric_charts([values[i] for i in measured], series, axis, strip.shape[2])] if series else []
    cases: list[dict[str, Any]] = [
        {"value": values[i], "metrics": measured.get(i, {}), **r.numbers()}
        for i, r in enumerate(results)
        if i in finished or r.failure
    ]
    identical = [
        [values[i], values[j]]
        for i in finished
        for j in finished
        if j < i and torch.equal(results[i].pictures[1.0], results[j].pictures[1.0])
    ]
    numbers = {"title": title, "key": key, "values": list(values), "cases": cases, "identical": identical}
    return Sheet(stacked(strip, *charts), numbers)
