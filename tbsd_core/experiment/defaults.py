"""Where a run begins: the preset of a method on a scene, for the model at hand."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

import torch

from ..cameras.sampling import CameraConfig
from ..card_presets import of_card
from ..configuration import all_settings, replaced
from ..guidance import METHODS
from ..optim import OptimConfig
from ..presets import enlarged_to, native_size, preset
from ..priors.diffusers import check_pipeline
from ..priors.diffusers.source import find
from ..priors.small_world import PRIORS
from ..prompts import PromptConfig
from ..scenes import SCENES, Given
from ..settings import DEMO
from ..tasks import NEW
from .config import DIFFUSERS, ExperimentConfig, MeshInput
from .start import read_mesh

# channels of the latents, pixels per latent cell
DEMO_SHAPES = {"learned": (4, 4), "multiview": (4, 4), "exact": (3, 1)}
EXACT_SIZE = 32  # pixels and latent cells along each side: it knows no others


@dataclass(frozen=True)
class ModelShape:
    """The things that settings depend on: the family of a model, and the shape of its latents."""

    prior: str  # as ExperimentConfig names it, with the whole path of a pipeline
    family: str
    latent_channels: int
    spatial_factor: int
    native_size: int  # pixels along a side of the pictures it was trained on


def model_shape(prior: str, allow_download: bool = False) -> ModelShape:
    """Look at a prior without reading its weights.

    Raises:
        ValueError: an unknown prior.
        FileNotFoundError: there is no such pipeline.
    """
    if prior.startswith(DIFFUSERS):
        path = find(prior.removeprefix(DIFFUSERS), allow_download)
        pipeline = check_pipeline(path)
        whole = DIFFUSERS + str(path.resolve())
        native = pipeline.native_size or native_size(pipeline.family)
        return ModelShape(whole, pipeline.family, pipeline.latent_channels, pipeline.spatial_factor, native)
    if prior not in PRIORS:
        raise ValueError(f"Unknown prior {prior!r}; choose one of {', '.join(PRIORS)} or {DIFFUSERS}PATH.")
    return ModelShape(prior, DEMO, *DEMO_SHAPES[prior], native_size(DEMO))


def default_config(
    prompt: str,
    scene: str = "nerf",
    method: str = "tbsd",
    prior: str = "learned",
    n_steps: int | None = None,
    seed: int = 0,
    size: int | None = None,
    device: str | None = None,
    dtype: str | None = None,
    allow_download: bool = False,
    mesh: MeshInput | None = None,
    memory: int | None = None,
    task: str = NEW,
) -> ExperimentConfig:
    """The preset of a method on a scene, for the family of the prior's model; None takes the preset's value.

    Args:
        prior: learned, multiview, exact, or "diffusers:" and a pipeline folder, .safetensors checkpoint or hub id.
        mesh: what to paint, for a scene that paints one.
        memory: GB of the card, for the savings of card_presets on a small one; None: enough.
        task: the purpose of the run, a name in tasks.TASKS.
        device, dtype: None for a GPU in float16 where there is one (pipelines), else the CPU in float32. The demo
            models run on any device, in float32.

    Raises:
        ValueError: an unknown scene, method or prior, or a number out of range.
        FileNotFoundError: there is no such pipeline.
    """
    given = (prior, n_steps, seed, size, device, dtype, allow_download, memory, task)
    config, model = start_config(prompt, scene, method, *given)
    return fitted(replace(config, mesh=mesh or MeshInput()), model)


def start_config(
    prompt: str,
    scene: str,
    method: str,
    prior: str,
    n_steps: int | None,
    seed: int,
    size: int | None,
    device: str | None,
    dtype: str | None,
    allow_download: bool,
    memory: int | None,
    task: str = NEW,
) -> tuple[ExperimentConfig, ModelShape]:
    """`default_config` before the sizes of its scene are fitted, and the model to fit them to."""
    for kind, name, table in (("scene", scene, SCENES), ("method", method, METHODS)):
        if name not in table:
            raise ValueError(f"Unknown {kind} {name!r}; choose one of {', '.join(table)}.")
    model = model_shape(prior, allow_download)
    if model.prior.startswith(DIFFUSERS):
        device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        dtype = dtype or ("float16" if device.startswith("cuda") else "float32")
    config = ExperimentConfig(
        prompt=PromptConfig(prompt=prompt),
        guidance_name=method,
        guidance=METHODS[method].config(),
        scene_name=scene,
        scene=SCENES[scene].config(seed=seed),
        cameras=CameraConfig(),
        optim=OptimConfig(seed=seed),
        prior=model.prior,
        device=device or "cpu",
        dtype=dtype or "float32",
    )
    config = with_preset(config, model.family, memory, task)
    if size is None and model.prior == "exact":
        size = EXACT_SIZE
    asked: dict[str, Any] = {"size": size, "n_steps": n_steps}
    optim = replace(config.optim, **{name: value for name, value in asked.items() if value is not None})
    views = enlarged_to(model.family, model.native_size)
    if model.family != DEMO:  # the preset's is the family's; this one is the model's, or less for a small card
        on_card = of_card(model.family, scene, memory)
        for name in ("optim.encode_size", "optim.size"):
            less = on_card[name].value if name in on_card else views
            views = min(views, less) if isinstance(less, int) else views
        optim = replace(optim, encode_size=None)
    return with_native_views(replace(config, optim=optim), model.family, views), model


def with_preset(
    config: ExperimentConfig, family: str, memory: int | None = None, task: str = NEW
) -> ExperimentConfig:
    """`config` with a model family's preset for its scene, its method, a task and a card of so many GB."""
    for name, setting in preset(family, config.scene_name, config.guidance_name, memory, task).items():
        config = replaced(config, name, setting.value)
    return config


def with_native_views(config: ExperimentConfig, family: str, size: int) -> ExperimentConfig:
    """`config` with views enlarged to the size at which its model is distilled (presets.enlarged_to), unless something
    else was asked for.

    A latent diffusion model that was trained at 512 pixels knows no objects of 32 x 32 latent cells: half its size took
    the identity of an object's shape from 1.00 to 0.00 on the small world. Small views are cheap to render, so they
    are enlarged before they are encoded, as threestudio does. Latents keep their size. So do views of the demo model,
    since a run at half its size is a quick try; `size_warning` says what it is worth.
    """
    optim = config.optim
    if family == DEMO or config.scene_name == "latent" or optim.encode_size is not None or optim.size >= size:
        return config
    return replace(config, optim=replace(optim, encode_size=size))


def after_size(config: ExperimentConfig, before: ExperimentConfig, named: Collection[str]) -> ExperimentConfig:
    """`config`, which is `before` with new values for the settings `named`, and with all that follows from a new size
    of the views: the size that the model sees and the sizes of the scene, as far as they are not named themselves."""
    if "optim.size" not in named:
        return config
    model = model_shape(config.prior)
    if "optim.encode_size" not in named:
        views = before.optim.encode_size or min(before.optim.size, enlarged_to(model.family, model.native_size))
        config = replace(config, optim=replace(config.optim, encode_size=None))
        config = with_native_views(config, model.family, views)
    sized, values = fitted(config, model), all_settings(config)
    for name in named:
        if name.startswith("scene."):
            sized = replaced(sized, name, values[name])
    return sized


def fitted(config: ExperimentConfig, model: ModelShape) -> ExperimentConfig:
    """`config` whose scene has the sizes that its views, the model and a given mesh ask for."""
    spec = SCENES[config.scene_name]
    given = Given(
        size=EXACT_SIZE if model.prior == "exact" and config.scene_name == "latent" else config.optim.size,
        latent_channels=model.latent_channels,
        spatial_factor=model.spatial_factor,
        mesh=read_mesh(config.mesh) if spec.paints_mesh else None,
    )
    return replace(config, scene=spec.fit(config.scene, given))
