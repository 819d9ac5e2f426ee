"""Finds models that were distilled to a few steps, which give no score."""

from __future__ import annotations

from pathlib import Path

from ..priors.diffusers import check_pipeline
from ..priors.diffusers.source import find
from ..priors.distilled import named_warning, scheduler_warning
from .config import DIFFUSERS, ExperimentConfig


def distilled_warning(config: ExperimentConfig) -> str:
    """A warning about a pipeline that may be distilled to a few steps; "" if nothing says so.

    Reads the pipeline's configuration and its names. For a model of ComfyUI, nodes/bridge knows more.
    """
    if not config.prior.startswith(DIFFUSERS):
        return ""
    path = find(config.prior.removeprefix(DIFFUSERS))
    pipeline = check_pipeline(path)
    return scheduler_warning(pipeline.scheduler) or named_warning([*_names(path), pipeline.title])


def _names(path: Path) -> list[str]:
    """Names of a file or folder, and of the repository that it was downloaded from."""
    from_hub = path.parent.name == "snapshots"  # the folder is then called by its revision
    return [path.parent.parent.name] if from_hub else [path.name]
