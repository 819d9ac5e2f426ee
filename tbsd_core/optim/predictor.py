"""Noise predictions by condition name: the prior's in one forward, then those of a LoRA."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from ..priors.base import Prior
from ..prompts.sets import PromptSet
from .adapter import ADAPTER_NAMES, AdapterState


@dataclass(frozen=True)
class Predictor:
    """What a step may ask the models, whatever the noise level; satisfies `guidance.base.Predict`.

    Args:
        views: B view names, "" for none.
        adapter: for methods that train a LoRA.
        poses: [B, 16], what the LoRA is told about the cameras.
    """

    prior: Prior
    prompts: PromptSet
    views: Sequence[str]
    adapter: AdapterState | None = None
    poses: Tensor | None = None

    def __call__(
        self,
        names: Sequence[str],  # of the conditions to evaluate
        x_t: Tensor,  # [n, C, h, w]
        t: Tensor,  # [n] timestep indices
        samples: Tensor | None = None,  # [n] long, which of the B samples these are; None for all
    ) -> dict[str, Tensor]:
        """Predictions [n, C, h, w] by condition name."""
        views = self.views if samples is None else [self.views[i] for i in samples.tolist()]
        poses = self.poses if samples is None or self.poses is None else self.poses[samples]
        eps = self._of_prior([name for name in names if name not in ADAPTER_NAMES], x_t, t, views)
        for name in names:
            if name in ADAPTER_NAMES:
                eps[name] = self.adapter.predict(name, x_t, t, self.prompts.select("target", views), poses)
        return eps

    def _of_prior(self, names: Sequence[str], x_t: Tensor, t: Tensor, views: Sequence[str]) -> dict[str, Tensor]:
        if not names:
            return {}
        predictions = self.prior.predict_noise(x_t, t, [self.prompts.select(name, views) for name in names])
        return dict(zip(names, predictions, strict=True))
