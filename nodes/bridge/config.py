"""The configuration of a run, made from its graph."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ...tbsd_core.cameras.sampling import CameraConfig
from ...tbsd_core.experiment import ExperimentConfig, with_native_views
from ...tbsd_core.experiment.config import COMFYUI
from ...tbsd_core.guidance import method_of
from ...tbsd_core.optim import OptimConfig, ReferenceConfig
from ...tbsd_core.optim.hints import ControlConfig
from ...tbsd_core.presets import enlarged_to, with_settings
from ...tbsd_core.prompts import PromptConfig
from ...tbsd_core.scenes import SCENES, Scene
from ...tbsd_core.settings import DEMO
from .demo import demo_prior
from .family import model_family
from .prior import prior_device

if TYPE_CHECKING:
    from ..sockets import GuidedModel

OF_THE_OPTIMIZER = (  # what a node says of a run whose guidance brings settings; all else defines the method
    *("n_steps", "views_per_step", "size", "start_size", "encode_size", "seed", "timestep_seed", "reuse_steps"),
)
READY_MADE = PromptConfig(prompt="conditioning", target_modifier="", view_dependent=False, ready_made=True)


def config_of(
    guided: GuidedModel,
    scene: Scene,
    cameras: CameraConfig,
    optim: OptimConfig,
    own_timesteps: bool = False,  # whether `optim` decides them, and not the guidance's settings
) -> ExperimentConfig:
    """The configuration of a run. If Recommended Settings are connected to its guidance, they travel with it: settings
    outside OF_THE_OPTIMIZER (the learning rate, the timesteps, latent_until ...) come from the preset. Views smaller
    than the model's training size are enlarged for it."""
    family, _ = model_family(guided.model)
    inner = guided.model.model
    dtype = "float32" if family == DEMO else str(inner.manual_cast_dtype or inner.get_dtype()).removeprefix("torch.")
    if guided.preset is not None:
        own = {name: getattr(optim, name) for name in OF_THE_OPTIMIZER}
        own |= {"timesteps": optim.timesteps} if own_timesteps else {}
        recommended = with_settings(optim, "optim", guided.preset)
        if optim.encode_size is None and (recommended.encode_size or 0) > optim.size:  # less on a small card
            own["encode_size"] = recommended.encode_size
        optim = replace(recommended, **own)
    config = ExperimentConfig(
        prompt=guided.prompts.config or READY_MADE,
        guidance_name=method_of(guided.guidance).name,
        guidance=guided.guidance.config,
        scene_name=next(name for name, spec in SCENES.items() if type(scene) is spec.scene),
        scene=scene.config,
        cameras=cameras,
        optim=optim,
        prior=demo_prior(guided.model) if family == DEMO else COMFYUI + family,
        device=str(prior_device(guided.model)),
        dtype=dtype,
        control=ControlConfig() if guided.control is None else guided.control.config,
        reference=ReferenceConfig() if guided.prompts.reference is None else guided.prompts.reference.config,
    )
    views = enlarged_to(family)
    if guided.preset is not None and not scene.uses_cameras and "optim.size" in guided.preset:  # less on a small card
        less = guided.preset["optim.size"].value
        views = min(views, less) if isinstance(less, int) else views
    return with_native_views(config, family, views)
