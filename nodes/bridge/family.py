"""The family of models that a MODEL belongs to, by its parts and not by its file name."""

from __future__ import annotations

import comfy.model_management
import comfy.model_sampling

from ...tbsd_core.card_presets import nearest_memory
from ...tbsd_core.settings import DEMO
from .compat import is_model
from .distilled import network_warning
from .noise_levels import is_flow

# comfy's model classes; hosts that are older than a family lack its class
CLASSES = (
    *(("SDXL", "sdxl"), ("SD3", "sd3"), ("Flux", "flux"), ("Stable_Zero123", "zero123")),
    *(("QwenImage", "qwen_image"), ("Krea2", "krea2"), ("Anima", "anima")),
)
CONFIGS = {"ZImage": "z_image"}  # by comfy's class of the description, where the model has the class of another family
CONTEXTS = {768: "sd15", 1024: "sd21_base"}  # width of the text embedding where there is no class of its own


def model_family(model) -> tuple[str, str]:
    """The family's name in tbsd_core.presets, and a sentence that says so if it is only the nearest one."""
    inner = model.model
    config = inner.model_config.unet_config
    for class_name, family in CLASSES:
        if is_model(inner, class_name):
            return family, network_warning(model)
    if type(inner.model_config).__name__ in CONFIGS:
        return CONFIGS[type(inner.model_config).__name__], ""
    if type(inner.latent_format).__name__ == "SmallWorldLatent":
        return DEMO, ""
    flows = is_flow(inner.model_sampling)
    predicts_v = isinstance(inner.model_sampling, comfy.model_sampling.V_PREDICTION)
    has_pixels_of_sd = type(inner.latent_format).__name__ == "SD15" and not inner.adm_channels
    family = CONTEXTS.get(config.get("context_dim")) if has_pixels_of_sd and not flows else None
    if family is not None:
        return ("sd21_v" if family == "sd21_base" and predicts_v else family), ""
    if flows:
        nearest = "flux" if config.get("guidance_embed") else "sd3"
    else:
        nearest = "sdxl" if inner.adm_channels else ("sd21_v" if predicts_v else "sd15")
    name = type(inner.model_config).__name__
    return nearest, f"{name} has no settings of its own; these are the settings of the nearest family."


def card_memory(model) -> int | None:
    """GB of the card that a model runs on, as card_presets knows them; None for a CPU."""
    device = model.load_device
    return None if device.type == "cpu" else nearest_memory(comfy.model_management.get_total_memory(device))
