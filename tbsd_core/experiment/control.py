"""The ControlNet that a configuration asks for, given to its prior."""

from __future__ import annotations

from pathlib import Path

from ..optim.hints import NONE
from ..optional import require
from ..priors.base import ControlledPrior, Prior
from ..priors.diffusers import DiffusersPrior
from ..priors.diffusers.parts import check_parts, load_model
from ..priors.small_world.learned import CONTROL_KIND, load_learned_control
from ..scenes import SCENES
from .config import COMFYUI, ExperimentConfig, is_demo


def check_control_config(config: ExperimentConfig) -> None:
    """Raise ValueError, saying what to change, for a control that the scene or the prior of a configuration cannot
    have."""
    control = config.control
    if control.kind == NONE:
        return
    if not SCENES[config.scene_name].scene.uses_cameras:
        raise ValueError(
            f"control.kind is {control.kind}, but the pictures of the scene {config.scene_name!r} have no geometry. "
            "Use a 3D scene such as mesh_texture, or control.kind=none."
        )
    if config.prior.startswith(COMFYUI):
        return
    if is_demo(config):
        if config.prior != "learned":
            raise ValueError(f"The prior {config.prior!r} has no ControlNet: use learned, or no control.")
        if control.kind != CONTROL_KIND or control.net:
            raise ValueError(
                f"The demo model has a ControlNet of its own, for {CONTROL_KIND}; got control.kind={control.kind}, "
                f"control.net={control.net!r}. Set control.kind={CONTROL_KIND} and leave control.net empty."
            )
    elif not control.net:
        raise ValueError(
            f"control.kind={control.kind} needs a ControlNet that was trained for the pipeline: name the folder of one "
            "in diffusers' format, control.net=PATH."
        )


def add_control(config: ExperimentConfig, prior: Prior) -> None:
    """Give a prior the ControlNet of a configuration. A prior with a ControlNet of its own, as in ComfyUI, keeps it.

    Raises:
        ValueError: see `check_control_config`; or the net belongs to another model, or is pickled.
        FileNotFoundError: there is no such folder.
    """
    if config.control.kind == NONE:
        return
    check_control_config(config)
    if not isinstance(prior, DiffusersPrior):
        if isinstance(prior, ControlledPrior):
            return  # the loop checks that it is of this kind
        raise ValueError(
            f"{type(prior).__name__} takes no ControlNet here: ControlNets work with Stable Diffusion 1 and 2 and "
            "the demo model, and in ComfyUI with every model that has one. Set control.kind=none."
        )
    source = (config.control.kind, config.control.net)
    if prior.control_source == source:
        return
    if is_demo(config):
        net = load_learned_control()
    else:
        folder = Path(config.control.net)
        check_parts(folder.parent, (folder.name,))
        net = load_model(require("diffusers").ControlNetModel, folder, prior.unet.dtype)
    prior.attach_control(net, config.control.kind)
    prior.control_source = source
