"""Warns if a model sees pictures of another size than in its training."""

from __future__ import annotations

from ..presets import FAMILY_NAMES, enlarged_to, native_size
from ..priors.small_world import MULTIVIEW
from ..settings import DEMO
from .config import COMFYUI, DIFFUSERS, ExperimentConfig
from .defaults import model_shape

TOO_SMALL, TOO_LARGE = 0.75, 1.5  # of the native size (ours): models are tuned at sizes in between


def size_warning(config: ExperimentConfig) -> str:
    """A warning for a model that sees pictures of a size far from its training size; else "".

    Reads the configuration of a pipeline, as default_config does. A model of ComfyUI has the size of its family.
    """
    prior = config.prior
    if prior.startswith(COMFYUI):
        family = prior.removeprefix(COMFYUI)
        native = native_size(family)
    elif prior.startswith(DIFFUSERS) or prior in ("learned", MULTIVIEW):
        model = model_shape(prior)
        family, native = model.family, model.native_size
    else:
        return ""  # the exact score takes any size
    is_latent = config.scene_name == "latent"
    seen = config.optim.size if is_latent else config.optim.encode_size or config.optim.size
    if TOO_SMALL * min(native, enlarged_to(family, native)) <= seen <= TOO_LARGE * native:
        return ""
    expect = "shapes and textures that are wrong" if seen < native else "repeated objects, and much time and memory"
    if seen > native or is_latent or family == DEMO:
        how = f"Set size to {native}."
    else:
        how = f"Set encode_size to {native}: it enlarges the views for the model."
    name = FAMILY_NAMES[family]
    name = name[0].upper() + name[1:]
    return f"{name} was trained on pictures of {native} pixels and sees {seen} here: expect {expect}. {how}"
