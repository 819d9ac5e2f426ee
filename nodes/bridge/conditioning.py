"""CONDITIONING as the core's opaque conditions, and several of them merged into one per-sample condition.

Which conditions may share a forward, and how their tensors are stacked, is left to comfy's own rules
(`can_concat`, `concat`): only a model's cross-attention may repeat tokens to a common length.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import comfy.samplers
import torch

REGIONAL = {"area": "an area", "mask": "a mask", "gligen": "a GLIGEN box"}
SHARED = ("control", "hooks", "strength", "default")  # options that comfy applies to a whole batch


@dataclass(frozen=True, eq=False)
class ConditioningCondition:
    """One encoded prompt: a CONDITIONING list as CLIPTextEncode makes it. Compared by identity."""

    entries: list

    def hooks(self) -> list:
        """All hooks of its entries."""
        return [hook for _, options in self.entries for hook in hooks_of(options)]


def to_condition(conditioning: list, name: str = "conditioning") -> ConditioningCondition:
    """Wrap a CONDITIONING. Raises ValueError if it holds for a region or for a part of the timesteps only.

    Outside its range ComfyUI reports a denoised image of exactly zero, which would push the scene
    towards noise; a region means nothing in a view that is drawn at random; and the keyframes of a
    hook only ever move on to lower noise, as in sampling, and never come back.
    """
    if not conditioning:
        raise ValueError(f"The {name} is empty: connect the output of a CLIP Text Encode node.")
    for _, options in conditioning:
        for key, what in REGIONAL.items():
            if options.get(key) is not None:
                raise ValueError(
                    f"The {name} applies to {what} of the image. Score distillation looks at the object from random "
                    "views, so a region has no meaning there. Connect conditioning without it."
                )
        start = max(options.get("start_percent", 0.0), options.get("clip_start_percent", 0.0))
        end = min(options.get("end_percent", 1.0), options.get("clip_end_percent", 1.0))
        if start > 0.0 or end < 1.0:
            raise ValueError(
                f"The {name} is limited to a range of timesteps ({start:g} to {end:g}). Score distillation draws "
                "timesteps at random and would get no prediction outside it: remove the timestep range."
            )
        if any(len(hook.hook_keyframe.keyframes) > 1 for hook in hooks_of(options)):
            raise ValueError(
                f"The {name} has hooks whose strength changes with the timestep (hook keyframes). Score distillation "
                "draws timesteps at random and would stay on the last keyframe: use hooks without keyframes."
            )
    return ConditioningCondition(conditioning)


def hooks_of(options: dict) -> list:
    """All hooks of one CONDITIONING entry, those that its ControlNets bring along included."""
    control = options.get("control")
    groups = [options.get("hooks"), *(control.get_extra_hooks() if control is not None else [])]
    return [hook for group in groups if group is not None for hook in group.hooks]


def spread_controls(conditions: Sequence[ConditioningCondition]) -> list[list]:
    """The entries of each condition; a ControlNet that is to apply to the negative as well is given to all.

    The plain Apply ControlNet node marks the positive conditioning only, and leaves it to the sampler
    to apply the net to the negative; without that, the net's effect would count as part of the prompt.
    """
    marked = [o["control"] for c in conditions for _, o in c.entries if o.get("control_apply_to_uncond")]
    if not marked:
        return [c.entries for c in conditions]
    return [
        c.entries
        if any(o.get("control") is not None for _, o in c.entries)
        else [[tokens, {**o, "control": marked[0]}] for tokens, o in c.entries]
        for c in conditions
    ]


def without_distilled_guidance(entries: list) -> list:
    """The entries of a condition for a model with a guidance embedding, with 1 where nobody has set it.

    The host takes 3.5 for every prompt, the empty one too: predictions that are guided already, which the guidance of a
    method would multiply.
    """
    return [[tokens, {"guidance": 1.0, **options}] for tokens, options in entries]


def cloned_conditions(conds: dict[str, list[dict]]) -> dict[str, list[dict]]:
    """Processed conditions whose model inputs autograd accepts: training a LoRA saves them for its backward pass."""

    def own(cond):
        return cond._copy_with(cond.cond.clone()) if isinstance(cond.cond, torch.Tensor) else cond

    return {
        name: [{**e, "model_conds": {k: own(c) for k, c in e["model_conds"].items()}} for e in entries]
        for name, entries in conds.items()
    }


def batches(samples: Sequence[tuple[list[dict], ...]], sigmas: torch.Tensor) -> list[list[int]]:
    """Indices of samples in groups that one forward can evaluate together; nearly always a single group.

    Args:
        samples: for each of B samples its K conditions, as comfy's `process_conds` returns them.
        sigmas: [B] noise levels. comfy asks the first sample of a batch whether a ControlNet with a
            range of timesteps is active, so samples on both sides of the range are kept apart. They are read
            from their device for such a ControlNet only.
    """
    groups: list[list[int]] = []
    is_ranged = any(has_range(entries) for sample in samples for entries in sample)
    sigmas_or_zeros = sigmas.tolist() if is_ranged else [0.0] * len(samples)
    for i, (sample, sigma) in enumerate(zip(samples, sigmas_or_zeros, strict=True)):
        for group in groups:
            other, other_sigma = samples[group[0]], sigmas_or_zeros[group[0]]
            if all(
                can_merge(a, b) and active_controls(a, sigma) == active_controls(b, other_sigma)
                for a, b in zip(sample, other, strict=True)
            ):
                group.append(i)
                break
        else:
            groups.append([i])
    return groups


def can_merge(a: list[dict], b: list[dict]) -> bool:
    """Whether two samples' conditions can be rows of one batch."""
    return a is b or (
        len(a) == len(b)
        and all(
            all(x.get(key) == y.get(key) for key in SHARED)
            and comfy.samplers.cond_equal_size(x["model_conds"], y["model_conds"])
            for x, y in zip(a, b, strict=True)
        )
    )


def controls(entries: list[dict]) -> Iterator[Any]:
    """The ControlNets of a condition, with those that they are chained to."""
    for entry in entries:
        control = entry.get("control")
        while control is not None:
            yield control
            control = control.previous_controlnet


def has_range(entries: list[dict]) -> bool:
    """Whether a ControlNet of a condition acts in a range of timesteps only."""
    return any(control.timestep_range for control in controls(entries))


def active_controls(entries: list[dict], sigma: float) -> list[bool]:
    """For each ControlNet of a condition, whether `sigma` lies in its range of timesteps."""
    ranges = [control.timestep_range or (sigma, sigma) for control in controls(entries)]
    return [bool(start >= sigma >= end) for start, end in ranges]


def merge_samples(per_sample: Sequence[list[dict]]) -> list[dict]:
    """One list of processed conditions for a batch in which each sample has its own.

    Args:
        per_sample: B lists of conditions, each of which `can_merge` with the first.

    Returns:
        One such list whose tensors carry B rows, so that comfy evaluates the batch in one forward.
    """
    first = per_sample[0]
    if all(entries is first for entries in per_sample):
        return first
    return [merge_entries(column) for column in zip(*per_sample, strict=True)]


def merge_entries(entries: Sequence[dict]) -> dict:
    """Stack the model inputs of B conditions row by row."""
    merged = dict(entries[0])
    merged["model_conds"] = {}
    for name in entries[0]["model_conds"]:
        first, *others = [e["model_conds"][name].process_cond(batch_size=1, area=None) for e in entries]
        merged["model_conds"][name] = first._copy_with(first.concat(others))
    return merged
