"""A run as an object: its parts, its steps, and the state from which it can be resumed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from ..configuration import differences, to_plain
from ..guidance import build_guidance
from ..guidance.base import has_source
from ..guidance.rehearsal import noisy
from ..optim import Curves, Distillation, OptimState, Reference, StepRecord, create_adapter, optimize
from ..optim.distributed import WHOLE, Split
from ..optim.state_tensors import load_state, state_tensors
from ..priors.base import Prior, TextPrior, views_per_group
from ..prompts import PromptSet, build_texts, encode_texts
from ..scenes import Scene
from ..scenes.stored import copy_scene
from .config import ExperimentConfig, config_from_plain, normalised, plain_config
from .control import add_control
from .cost import evaluations
from .file import Stored, StoredRun, read_newest, write_file
from .source import frozen, read_source, stored_source
from .start import make_scene, read_reference

FIXED = ("scene_name", "optim.optimizer")  # a state fits no other one


class Experiment:
    """A configuration with all that it needs to run, between two steps.

    Args:
        prompts: encoded by somebody else, as ComfyUI's CLIP; None: by the prior, which then reads text.
        scene: what is optimised, on its device; None makes it of the configuration.
        source: the reference of a method that edits, copied; None: the scene as it is now. `restore` brings the source
            of a resumed run.
        split: the part of the views that this process has.
        seeds: of each picture of the scene, see OptimConfig.draw_seeds.
        reference: a picture that the scene keeps to from the front; None: the one that the configuration names, if any.

    Raises:
        ValueError: the prior lacks what the method needs, or does not understand the prompt.
    """

    def __init__(
        self,
        config: ExperimentConfig,
        prior: Prior,
        *,
        prompts: PromptSet | None = None,
        scene: Scene | None = None,
        source: Scene | None = None,
        split: Split = WHOLE,
        seeds: Sequence[tuple[int, int]] | None = None,
        reference: Reference | None = None,
    ) -> None:
        self.config, self.prior = config, prior
        self.prompts = encoded(config, prior) if prompts is None else prompts
        add_control(config, prior)
        self.guidance = build_guidance(config.guidance_name, config.guidance)
        if config.rehearsal_noise:
            seed, n_steps = config.optim.seed, config.optim.n_steps
            self.guidance = noisy(self.guidance, config.rehearsal_noise, seed, n_steps)
        self.scene = make_scene(config).to(config.device) if scene is None else scene
        self.source: Scene | None = None
        if has_source(self.guidance):
            self.source = frozen(copy_scene(self.scene if source is None else source, _device(self.scene)))
        adapter = create_adapter(prior, self.guidance, config.optim.seed)
        self.state = OptimState.create(self.scene, config.optim, adapter)
        self.state.split = split
        self.seeds, self.curves = seeds, Curves()
        self.reference = read_reference(config) if reference is None else reference

    @property
    def distillation(self) -> Distillation:
        """The parts that the loop runs."""
        c = self.config
        parts = (self.prior, self.prompts, self.guidance, self.scene)
        return Distillation(*parts, c.cameras, c.optim, self.seeds, c.control, self.source, self.reference)

    @property
    def evaluations(self) -> int:
        """Noise predictions of the whole run, over all samples; exact, see cost.evaluations."""
        scene, optim = self.scene, self.config.optim
        cameras = self.config.cameras if scene.uses_cameras else None
        n_samples = optim.views_per_step if scene.uses_cameras else scene.n_images
        n_timesteps = self.prior.schedule.n_timesteps
        group = views_per_group(self.prior) if scene.uses_cameras else 1
        return evaluations(self.guidance, optim, cameras, n_samples, self.prompts.perp_neg, n_timesteps, group)

    def steps(self) -> Iterator[StepRecord]:
        """Run from the present step to the end; the caller may stop between any two steps. Raises as
        `optim.optimize`."""
        add_control(self.config, self.prior)  # another experiment on this prior may have given it another one
        for record in optimize(self.distillation, self.state):
            self.curves.add(record)
            yield record

    def stored(self) -> StoredRun:
        """A copy of the state, which further steps do not change."""
        state = self.state
        tensors, source = state_tensors(state), None
        if self.source is not None:
            source, kept = stored_source(self.source, self.scene)
            tensors |= kept
        return StoredRun(plain_config(self.config), state.step, state.bad_steps, tensors, self.curves.copy(), source)

    def save(self, path: Path, keep_previous: bool = False, extra: Mapping[str, str] | None = None) -> None:
        """Write scene and state to the one file. Raises OSError as `write_file`."""
        write_file(path, self.scene, self.stored(), keep_previous, extra)

    def restore(self, run: StoredRun) -> list[str]:
        """Load the state of a stored run, whose scene is already here; returns the settings that differ.

        Raises:
            ValueError: it has done more steps than there are, or its state is of another scene, optimiser or method.
        """
        n_steps, changed = self.config.optim.n_steps, changes(run.config, self.config)
        if run.step > n_steps:
            raise ValueError(
                f"This run has done {run.step} steps, and steps is {n_steps}. Raise steps to resume it, or start a "
                "new run."
            )
        try:
            load_state(self.state, run.tensors, run.step, run.bad_steps)
        except ValueError as error:
            said = "".join(f" {name}: {text}." for name, text in changed.items())
            raise ValueError(
                f"The state does not fit this run: {error}{said} Undo the change, or start a new run."
            ) from error
        if self.source is not None:
            self.source = frozen(read_source(run.source, run.tensors, self.scene).to(_device(self.scene)))
        self.curves = run.curves.copy()
        return [f"{name} {text}" for name, text in changed.items()]


def _device(scene: Scene) -> torch.device:
    return next(scene.parameters()).device


def encoded(config: ExperimentConfig, prior: Prior) -> PromptSet:
    """The prompts of a run, by a prior that reads text."""
    reader: TextPrior = prior  # type: ignore[assignment]  # a prior that cannot is given prompts by its owner
    return encode_texts(build_texts(config.prompt), reader.encode_prompt, config.prompt.perp_neg)


def resumed(
    stored: Stored, config: ExperimentConfig, prior: Prior, split: Split = WHOLE
) -> tuple[Experiment, list[str]]:
    """The run in a file, ready to continue with `config`, and the settings that differ.

    Raises:
        ValueError: the file holds no run, or its state does not fit; the message says why, field by field.
    """
    run = stored.run
    if run is None:
        raise ValueError(f"{stored.source} holds a scene without a run, so there is nothing to resume.")
    check_resume(stored, config)
    try:  # weights of a scene's losses may change as any setting, its sizes not
        scene = replace(stored, scene_config=to_plain(config.scene)).scene()
    except ValueError as error:
        said = "".join(f" {n}: {t}." for n, t in changes(run.config, config).items() if n.startswith("scene."))
        if not said:
            raise
        raise ValueError(
            f"{stored.source} holds another scene.{said} Undo the change, or start a new run."
        ) from error
    experiment = Experiment(config, prior, scene=scene.to(config.device), split=split)
    return experiment, experiment.restore(run)


def stored_config(path: Path) -> ExperimentConfig:
    """The configuration of the run in a file, or in a run's folder.

    Raises:
        ValueError: there is none, or it is incomplete.
    """
    stored = read_newest(path)
    if stored.run is None:
        raise ValueError(f"{stored.source} holds a scene without a run, so there is nothing to resume.")
    if stored.run.config.keys() == {"optim"}:
        raise ValueError(
            f"{stored.source} was written by release 0.1 in ComfyUI, without its prompt: resume it there."
        )
    return config_from_plain(stored.run.config)


def check_resume(stored: Stored, config: ExperimentConfig) -> None:
    """Raise ValueError for a scene or an optimiser that differs from the one of the file's run."""
    found = changes(stored.run.config, config) if stored.run is not None else {}
    fixed = [f"{name}: {text}" for name, text in found.items() if name in FIXED or name.startswith("region.")]
    if fixed:
        raise ValueError(
            f"The run in {stored.source} cannot be resumed with another scene, region or optimiser. "
            f"{'; '.join(fixed)}. Undo the change, or start a new run."
        )


def changes(was: dict[str, Any], config: ExperimentConfig) -> dict[str, str]:
    """How a configuration differs from a stored one, by dotted name, in the groups that this one has."""
    was, now = normalised(was), plain_config(config)
    return differences(was, {name: value for name, value in now.items() if name in was})
