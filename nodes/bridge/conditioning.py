"""CONDITIONING as the core's opaque conditions, and several of them merged into one per-sample condition."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

REGIONAL = {"area": "an area", "mask": "a mask", "gligen": "a GLIGEN box"}


@dataclass(frozen=True, eq=False)
class ConditioningCondition:
    """One encoded prompt: a CONDITIONING list as CLIPTextEncode makes it. Compared by identity."""

    entries: list


def to_condition(conditioning: list, name: str = "conditioning") -> ConditioningCondition:
    """Wrap a CONDITIONING. Raises ValueError if it holds for a region or for a part of the timesteps only.

    Outside its range ComfyUI reports a denoised image of exactly zero, which would push the scene
    towards noise; and a region means nothing in a view that is drawn at random.
    """
    if not conditioning:
        raise ValueError(f"The {name} is empty: connect the output of a CLIP Text Encode node.")
    for _, options in conditioning:
        for key, what in REGIONAL.items():
            if options.get(key) is not None:
                raise ValueError(
                    f"The {name} applies to {what} of the image. Score distillation looks at the object from random "
                    "views, so a region has no meaning there: connect conditioning without it."
                )
        start = max(options.get("start_percent", 0.0), options.get("clip_start_percent", 0.0))
        end = min(options.get("end_percent", 1.0), options.get("clip_end_percent", 1.0))
        if start > 0.0 or end < 1.0:
            raise ValueError(
                f"The {name} is limited to a range of timesteps ({start:g} to {end:g}). Score distillation draws "
                "timesteps at random and would get no prediction outside it: remove the timestep range."
            )
    return ConditioningCondition(conditioning)


def merge_samples(per_sample: Sequence[list[dict]]) -> list[dict]:
    """One list of processed conditions for a batch in which each sample has its own.

    Args:
        per_sample: B lists of conditions as comfy's `process_conds` returns them.

    Returns:
        One such list whose tensors carry B rows, so that comfy evaluates the batch in one forward.
    """
    first = per_sample[0]
    if all(entries is first for entries in per_sample):
        return first
    if len({len(entries) for entries in per_sample}) != 1:
        raise ValueError("Prompts of different views must have the same number of combined conditionings.")
    return [merge_entries(column) for column in zip(*per_sample, strict=True)]


def merge_entries(entries: Sequence[dict]) -> dict:
    """Stack the model inputs of B conditions row by row; what cannot be stacked must be shared."""
    merged = dict(entries[0])
    for key in ("control", "hooks"):
        if any(e.get(key) is not merged.get(key) for e in entries):
            raise ValueError(f"Prompts of different views must share the same {key}.")
    names = set().union(*(e["model_conds"] for e in entries))
    merged["model_conds"] = {}
    for name in names:
        conds = [e["model_conds"].get(name) for e in entries]
        if any(c is None for c in conds):
            raise ValueError(f"Only some prompts carry the model input {name!r}: encode all of them the same way.")
        if all(isinstance(c.cond, torch.Tensor) for c in conds):
            rows = [c.cond[i : i + 1] if len(c.cond) > 1 else c.cond for i, c in enumerate(conds)]
            merged["model_conds"][name] = conds[0]._copy_with(torch.cat(same_length(rows)))
        elif all(c.cond is conds[0].cond or c.cond == conds[0].cond for c in conds):
            merged["model_conds"][name] = conds[0]
        else:
            raise ValueError(f"Prompts of different views differ in the model input {name!r}, which has no batch.")
    return merged


def same_length(rows: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """Repeat token sequences [1, L, C] to a common length; repeating does not change attention."""
    if rows[0].ndim != 3 or len({r.shape[1] for r in rows}) == 1:
        return list(rows)
    length = math.lcm(*(r.shape[1] for r in rows))
    return [r.repeat(1, length // r.shape[1], 1) for r in rows]
