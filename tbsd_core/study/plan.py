"""The experiments of a comparison: methods under labels, each with its own settings, on the same prompts and draws.

The rule: settings that define a method travel with it. Every label has the whole preset of its method, the settings for
all labels with that key, and its own settings. So an experiment does not depend on the others.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from ..configuration import all_settings, with_setting
from ..experiment import ExperimentConfig, evaluations_per_view, matched_steps, plain_config
from ..experiment.defaults import after_size
from .jobs import Job

OF_THE_STUDY = ("prompt.prompt", "scene.seed", "optim.seed", "optim.timestep_seed", "guidance_name", "scene_name")


def labelled(texts: Iterable[str]) -> dict[str, str]:
    """Method names by label from METHOD or LABEL=METHOD, separated by commas or in texts of their own."""
    methods: dict[str, str] = {}
    for text in (part for several in texts for part in map(str.strip, several.split(",")) if part):
        label, equals, name = (part.strip() for part in text.partition("="))
        if not label or (equals and not name) or ":" in label:
            raise ValueError(f"--methods needs METHOD or LABEL=METHOD (no ':' in the label), got {text!r}.")
        if label in methods:
            raise ValueError(f"The label {label!r} appears twice; write LABEL=METHOD to tell two apart.")
        methods[label] = name or label
    if not methods:
        raise ValueError("--methods names no method.")
    return methods


def assigned(by_label: dict[str, ExperimentConfig], assignments: Iterable[str]) -> dict[str, ExperimentConfig]:
    """Configurations with KEY=VALUE set in all that have the key, and LABEL:KEY=VALUE in that one. Other sizes of the
    views change what follows from them, as in a single run.

    Raises:
        ValueError: an unknown label or key, a value of another kind, or a key that the study itself sets.
    """
    configs, named = dict(by_label), {label: set[str]() for label in by_label}
    for text in assignments:
        target, equals, value = text.partition("=")
        label, colon, key = target.rpartition(":")
        if not equals:
            raise ValueError(f"--set needs KEY=VALUE or LABEL:KEY=VALUE, got {text!r}.")
        if colon and label not in configs:
            raise ValueError(f"--set {text!r}: there is no method labelled {label!r}; there are {', '.join(configs)}.")
        if key in OF_THE_STUDY:
            raise ValueError(f"{key!r} comes from the prompts, --seeds, --methods and --scene; leave it out.")
        having = [name for name, config in configs.items() if key in all_settings(config)]
        for name in [label] if colon else having or configs:  # if none has it, the error of the first lists the keys
            configs[name] = with_setting(configs[name], key, value)
            named[name].add(key)
    return {label: after_size(config, by_label[label], named[label]) for label, config in configs.items()}


def matched(by_label: dict[str, ExperimentConfig], match: str) -> dict[str, ExperimentConfig]:
    """Configurations with the numbers of steps that a fair comparison asks for.

    Args:
        match: preset: each as many as it has; steps: as many as the first; evaluations: as many as cost no more noise
            predictions per view than the first one's run.
    """
    first, *others = by_label.items()
    if match == "preset":
        return by_label
    if match == "steps":
        found = {label: first[1].optim.n_steps for label, _ in others}
    else:
        budget = evaluations_per_view(first[1])
        found = {label: matched_steps(config, budget) for label, config in others}
    changed = {label: replace(c, optim=replace(c.optim, n_steps=found[label])) for label, c in others}
    return dict([first]) | changed


def of_cell(config: ExperimentConfig, prompt: str, seed: int, timestep_seed: int | None = None) -> ExperimentConfig:
    """`config` for one prompt and seed: the seed decides the start of the scene and all draws."""
    return replace(
        config,
        prompt=replace(config.prompt, prompt=prompt),
        scene=replace(config.scene, seed=seed),
        optim=replace(config.optim, seed=seed, timestep_seed=timestep_seed),
    )


def job_of(label: str, config: ExperimentConfig) -> Job:
    """An experiment as a job, under the label that tables show."""
    optim = config.optim
    return Job(label, config.prompt.prompt, optim.seed, plain_config(config), optim.timestep_seed)
