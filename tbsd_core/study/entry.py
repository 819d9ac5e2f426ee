"""One experiment of a study: a configuration under a label, and where it starts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ..experiment import Experiment, ExperimentConfig
from ..optim import Reference
from ..priors.base import Prior
from ..prompts import PromptSet
from ..scenes import Scene
from ..scenes.stored import copy_scene


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One experiment of a study.

    Args:
        label: what tables and sheets call it.
        config: the whole configuration, with the method's own settings (timesteps, learning rate, ...).
        prompts: encoded by somebody else (ComfyUI's CLIP); None: by the prior.
        start: a scene that is copied; None: made of the configuration.
        source: the reference of a method that edits; None: the start.
        reference: a picture that the scene keeps to from the front; None: the one that the configuration names, if any.
        facts: its distinguishing facts, as plain data for the numbers of a sheet.
    """

    label: str
    config: ExperimentConfig
    prompts: PromptSet | None = None
    start: Scene | None = None
    source: Scene | None = None
    reference: Reference | None = None
    facts: dict[str, Any] = field(default_factory=dict)

    def begin(self, prior: Prior) -> Experiment:
        """The experiment before its first step."""
        scene = None if self.start is None else copy_scene(self.start, self.config.device)
        given = {"prompts": self.prompts, "source": self.source, "reference": self.reference}
        return Experiment(self.config, prior, scene=scene, **given)
