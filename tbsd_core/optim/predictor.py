"""Noise predictions by condition name: the prior's in one forward, then the LoRA's.

With Perp-Neg the prediction of the target is one of several views, and takes a second forward. Where the
paper interpolates embeddings we interpolate the predictions of the two views, since only a prior can look
into its conditions. The views that a negative names are then among them: between front and side a camera
costs 3 predictions with the empty prompt, between side and back 4, from overhead 2.

Predictions about a source share the forward: other noisy latents at the same timesteps.

A prior that takes cameras is told the camera of every sample. One that sees groups of views is never given a part of
a group.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..guidance.base import AT_SOURCE
from ..guidance.perp_neg import perp_neg
from ..priors.base import Condition, Prior, Viewed, takes_cameras, views_per_group, whole_groups
from ..prompts.perp_neg import view_mixture
from ..prompts.sets import PromptSet
from ..transfer import to_device
from .adapter import ADAPTER_NAMES, AdapterState, adapter_conditions
from .hints import Hints


@dataclass(frozen=True)
class Predictor:
    """Noise predictions for a step, at any noise level; satisfies `guidance.base.Predict`.

    Args:
        views: B view names, "" for none.
        adapter: for methods that train a LoRA.
        poses: [B, 16], the cameras as the LoRA gets them.
        angles: B (azimuth, elevation) in degrees, for Perp-Neg and for a prior that takes cameras; None if there are
            none.
        at_once: samples in one forward, in whole groups; 0 for all. No prior splits a condition's samples itself.
        hints: of the B samples, for a ControlNet; they go with every condition, whatever method asks.
    """

    prior: Prior
    prompts: PromptSet
    views: Sequence[str]
    adapter: AdapterState | None = None
    poses: Tensor | None = None
    angles: Sequence[tuple[float, float]] | None = None
    at_once: int = 0
    hints: Hints | None = None

    @property
    def group(self) -> int:
        """How many samples in a row are views of one object to the prior; they have one timestep."""
        return 1 if self.angles is None else views_per_group(self.prior)

    def __call__(
        self,
        names: Sequence[str],  # of the conditions to evaluate
        x_t: Tensor,  # [n, C, h, w]
        t: Tensor,  # [n] timestep indices
        samples: Tensor | None = None,  # [n] long on the host, which of the B samples these are; None for all
        source: Tensor | None = None,  # [n, C, h, w], x_t^src for names in AT_SOURCE
    ) -> dict[str, Tensor]:
        """Predictions [n, C, h, w] by condition name."""
        at_once = whole_groups(self.at_once, self.group)
        if 0 < at_once < len(x_t):
            which = torch.arange(len(x_t)) if samples is None else samples
            rows = [slice(i, i + at_once) for i in range(0, len(x_t), at_once)]
            found = [self(names, x_t[r], t[r], which[r], None if source is None else source[r]) for r in rows]
            return {name: torch.cat([part[name] for part in found]) for name in found[0]}
        chosen = range(len(self.views)) if samples is None else samples.tolist()
        asked = [name for name in names if name not in ADAPTER_NAMES]
        if "target" in asked and self.angles is not None and self.prompts.perp_neg > 0:
            eps = self._with_perp_neg(asked, x_t, t, chosen, [self.angles[i] for i in chosen], source)
        elif asked:
            conditions = {name: self.conditions(name, chosen) for name in asked}
            eps = self._forward(conditions, x_t, t, source)
        else:
            eps = {}
        poses = self.poses
        if poses is not None and samples is not None:
            poses = poses[to_device(samples, poses.device)]
        if self.adapter is not None:
            for name in (name for name in names if name in ADAPTER_NAMES):
                row = self.told(adapter_conditions(self.prompts, len(chosen)), chosen)
                eps[name] = self.adapter.predict(name, x_t, t, row, poses)
        return eps

    def conditions(self, name: str, samples: Sequence[int], views: Sequence[str] | None = None) -> list[Condition]:
        """The named condition of some of the B samples, as `told`; `views` instead of their own words."""
        selected = self.prompts.select(name, [self.views[i] for i in samples] if views is None else views)
        return self.told(selected, samples)

    def told(self, conditions: Sequence[Condition], samples: Sequence[int]) -> list[Condition]:
        """Conditions of some of the B samples with their hints, where there are any, and with their cameras, where the
        prior takes them."""
        rows = list(conditions) if self.hints is None else self.hints.on(conditions, samples)
        if self.angles is None or not takes_cameras(self.prior):
            return rows
        return [Viewed(row, *self.angles[i]) for row, i in zip(rows, samples, strict=True)]

    def _forward(
        self, conditions: Mapping[str, Sequence[Condition]], x_t: Tensor, t: Tensor, source: Tensor | None
    ) -> dict[str, Tensor]:
        """Predictions of named conditions in one forward; those in AT_SOURCE are at other latents."""
        if not any(name in AT_SOURCE for name in conditions):
            return dict(zip(conditions, self.prior.predict_noise(x_t, t, list(conditions.values())), strict=True))
        assert source is not None, "the loop checks that there is one"
        x = torch.cat([source if name in AT_SOURCE else x_t for name in conditions])
        rows = [condition for row in conditions.values() for condition in row]
        (eps,) = self.prior.predict_noise(x, t.repeat(len(conditions)), [rows])
        return dict(zip(conditions, eps.split(len(x_t)), strict=True))

    def _with_perp_neg(
        self,
        names: Sequence[str],
        x_t: Tensor,
        t: Tensor,
        samples: Sequence[int],
        angles: Sequence[tuple[float, float]],
        source: Tensor | None,
    ) -> dict[str, Tensor]:
        """The same with Perp-Neg: a view of the target with the other names, the rest of its views row by row."""
        mixtures = [view_mixture(*angle) for angle in angles]
        others = list(dict.fromkeys([*(name for name in names if name != "target"), "uncond"]))
        first = self.conditions("target", samples, [m.views[0] for m in mixtures])
        eps = self._forward({"target": first} | {n: self.conditions(n, samples) for n in others}, x_t, t, source)
        nearest = eps.pop("target")

        known = [{m.views[0]: e[None]} for m, e in zip(mixtures, nearest, strict=True)]
        more = [(i, view) for i, m in enumerate(mixtures) for view in m.views[1:]]
        if more:
            rows = to_device(torch.tensor([i for i, _ in more]), x_t.device)
            conditions = self.conditions("target", [samples[i] for i, _ in more], [view for _, view in more])
            (found,) = self.prior.predict_noise(x_t[rows], t[rows], [conditions])
            for (i, view), e in zip(more, found, strict=True):
                known[i][view] = e[None]
        target = []
        for m, of_view, eps_uncond in zip(mixtures, known, eps["uncond"], strict=True):
            interpolated = torch.stack([w * of_view[view] for view, w in m.positive.items()]).sum(0)
            negatives = [(of_view[view], self.prompts.perp_neg * w) for view, w in m.negative.items()]
            target.append(perp_neg(interpolated, eps_uncond[None], negatives))
        return {**eps, "target": torch.cat(target)}
