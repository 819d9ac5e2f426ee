"""The optimisation loop: the one place where scene, prior, prompts and guidance meet.

It is a generator that yields one StepRecord per step and does nothing else with it. Progress bars,
previews, interrupts, checkpoints and logs belong to whoever consumes it; stopping to consume it is a
clean stop, since the state is only ever seen between steps.
"""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

from ..guidance.base import PixelGuidance, TrainingGuidance, TrajectoryGuidance, has_source
from ..priors.base import ControlledPrior, FlowPrior, views_per_group
from .distributed import Split, check_split
from .hints import NONE
from .linear_latents import LinearLatents
from .records import StepRecord
from .reference import check_reference
from .state import OptimState
from .step import Distillation, Step


def optimize(run: Distillation, state: OptimState) -> Iterator[StepRecord]:
    """Distil the prior into the scene, from `state.step` to `n_steps`; updates scene and state in place.

    Every random number is a function of (seed, purpose, step), so a run that is interrupted, saved
    and resumed ends exactly where the uninterrupted run does (bit for bit on a CPU).

    Pictures side by side do not touch each other: each has its own gradient scale and moments. With
    `seeds` each also has the draws of a run of its own, so that the pictures are what that many runs
    of one picture would give, up to the rounding of batched arithmetic. (A method that trains a LoRA
    trains one for all of them, and a gradient that is not finite skips the step for all of them.)

    An exception anywhere in a step leaves scene and state as they were before the step or as they are after it. On a
    device that works asynchronously nothing here waits, except for the step before; see StepRecord.

    Raises:
        ValueError: the image size does not fit the prior, or the prompts lack a needed condition, or
            a method that edits has no source.
        RuntimeError: `max_bad_steps` consecutive gradients were not finite; an asynchronous device may be one step
            further by then.
    """
    check(run, state)
    config, linear = run.config, None
    if state.step < config.latent_until * config.n_steps:
        linear = LinearLatents(run.prior, config.encode_size or config.size, next(run.scene.parameters()).device)
    known: dict[str, Tensor] = {}
    for index in range(state.step, config.n_steps):
        yield Step(run, state, index, linear, known)()


def check(run: Distillation, state: OptimState) -> None:
    """Raise ValueError for parts that do not fit together, saying what to change."""
    scene, guidance, config, seeds = run.scene, run.guidance, run.config, run.seeds
    name, encoded = ("size", config.size) if config.encode_size is None else ("encode_size", config.encode_size)
    if config.reuse_steps > 1 and scene.uses_cameras:
        raise ValueError(
            f"reuse_steps works on pictures only, got {config.reuse_steps}: the views of a 3D scene change with each "
            "step. Set it to 1."
        )
    if config.reuse_steps > 1 and isinstance(guidance, TrajectoryGuidance):
        raise ValueError(
            f"{type(guidance).__name__} finds new noise in each step, so predictions cannot be reused: got "
            f"reuse_steps {config.reuse_steps}. Set it to 1."
        )
    if seeds is not None and (scene.uses_cameras or len(seeds) != scene.n_images):
        have = "a 3D scene" if scene.uses_cameras else f"{scene.n_images} picture(s)"
        raise ValueError(f"seeds must be one pair per picture, got {len(seeds)} for {have}.")
    if isinstance(guidance, TrainingGuidance) and state.adapter is None:
        raise ValueError("This method trains a LoRA: make the state with OptimState.create(..., create_adapter(...)).")
    if encoded % run.prior.spatial_factor:
        raise ValueError(
            f"{name} must be a multiple of the prior's spatial factor {run.prior.spatial_factor}, got {encoded}."
        )
    check_split(state.split, config, scene, guidance)
    check_groups(run, state.split)
    check_control(run)
    check_source(run)
    check_reference(run.reference, scene)
    if config.start_size is not None and not scene.uses_cameras:
        raise ValueError(
            f"start_size is for 3D scenes, got {config.start_size}: a picture has one size. Leave it out."
        )
    if config.latent_until > 0 and not scene.uses_cameras:
        raise ValueError(
            f"latent_until is for 3D scenes, got {config.latent_until}. Set it to 0; to "
            "optimise a picture as latents, make it a latent scene."
        )
    if config.latent_until > 0 and isinstance(guidance, PixelGuidance) and guidance.decodes(0.0):
        raise ValueError(
            f"{type(guidance).__name__} compares pictures, and latent_until = {config.latent_until} begins with "
            "latents. Set one of latent_until and pixel_scale to 0."
        )


def check_groups(run: Distillation, split: Split) -> None:
    """Raise ValueError, saying what to change, for views that do not form whole groups if the prior needs groups."""
    group, n_views = views_per_group(run.prior), run.config.views_per_step
    if group == 1 or not run.scene.uses_cameras:
        return
    least = group * split.size
    if n_views % least:
        of = f" in each of the {split.size} processes" if split.size > 1 else ""
        raise ValueError(
            f"This model sees {group} views of an object at once{of}, so views_per_step must be a multiple of {least}, "
            f"got {n_views}. Set optim.views_per_step to {least * -(-n_views // least)}."
        )
    if run.prompts.perp_neg > 0:
        raise ValueError(
            f"Perp-Neg tells views apart by words, and this model is told the camera itself; got perp_neg "
            f"{run.prompts.perp_neg:g}. Set perp_neg to 0."
        )


def check_source(run: Distillation) -> None:
    """Raise ValueError for a method that edits without a source, or on a model that it is not defined for."""
    if not has_source(run.guidance):
        return
    name = type(run.guidance).__name__
    if getattr(run.guidance, "flow_only", False) and not (isinstance(run.prior, FlowPrior) and run.prior.is_flow):
        raise ValueError(
            f"{name} is for flow models such as Stable Diffusion 3 or Flux, but this model predicts noise. Use DDS, "
            "which is the same without a flow."
        )
    if run.scene.uses_cameras and run.prompts.perp_neg > 0:
        raise ValueError(
            f"Perp-Neg moves the goal of an edit and not its source, so {name} would change what should stay; got "
            f"perp_neg {run.prompts.perp_neg:g}. Set perp_neg to 0, or leave out the node Perp-Neg."
        )
    if run.source is None:
        raise ValueError(f"{name} edits an existing scene, but no source was given. Give the scene as it was.")
    if run.source.uses_cameras != run.scene.uses_cameras or run.source.n_images != run.scene.n_images:
        kinds = ["an object" if s.uses_cameras else f"{s.n_images} picture(s)" for s in (run.source, run.scene)]
        raise ValueError(
            f"The source is {kinds[0]}, but the scene is {kinds[1]}: they are seen side by side. Give a source of "
            "the same kind and number."
        )


def check_control(run: Distillation) -> None:
    """Raise ValueError for hints that the scene cannot give or the prior cannot take, saying what to change."""
    kind, prior = run.control.kind, run.prior
    if kind == NONE:
        return
    if not run.scene.uses_cameras:
        raise ValueError(
            f"The ControlNet needs the {kind} of the views, but a picture has none. Use a 3D scene or a mesh, or "
            "leave the control out (control.kind=none)."
        )
    if not isinstance(prior, ControlledPrior) or prior.hint_kind != kind:
        has = getattr(prior, "hint_kind", "")
        raise ValueError(
            f"The run needs a ControlNet for {kind}, but this {type(prior).__name__} has "
            f"{f'one for {has}' if has else 'none'}. Give it one, or set control.kind to {has or NONE}."
        )
