"""A MODEL that was distilled to a few steps is refused where that is certain, and pointed out where it is likely."""

from __future__ import annotations

from pathlib import PurePath
from typing import Any

from ...tbsd_core.priors.distilled import WHY, named_warning
from .compat import is_model
from .graph import OWN, ancestors, inputs_of, is_link, model_files

# comfy_extras.nodes_model_advanced: what ModelSamplingDiscrete makes of "lcm"
SAMPLING_OF_LCM = "ModelSamplingDiscreteDistilled"
LCM = (
    "The model is not supported, because it uses the sampling of an LCM (ModelSamplingDiscrete with lcm): 50 noise "
    f"levels, for a model distilled to a few steps. {WHY} Then remove that node, too."
)
SCHNELL = (
    "This Flux has no guidance embedding. If it is schnell, which was distilled to four steps, use dev instead: "
    "predictions between those steps are not scores."
)


def distilled_refusal(model) -> str:
    """Why a MODEL cannot be used; "" if it can."""
    sampling = type(model.get_model_object("model_sampling"))
    return LCM if any(kind.__name__ == SAMPLING_OF_LCM for kind in sampling.__mro__) else ""


def distilled_warning(model, prompt: Any, node_id: str) -> str:
    """A warning about a MODEL that may be distilled, by the files that it was loaded from; "" if nothing says so.

    Args:
        prompt, node_id: the queued graph and the node that runs in it.
    """
    return named_warning(files_of_models(prompt, node_id)) or network_warning(model)


def network_warning(model) -> str:
    """The same, by the parts that it is made of."""
    has_embedding = model.model.model_config.unet_config.get("guidance_embed")
    return SCHNELL if is_model(model.model, "Flux") and not has_embedding else ""


def files_of_models(prompt: Any, node_id: str) -> list[str]:
    """Names of the checkpoints and LoRAs behind the `model` of the guidance nodes that a node depends on."""
    links = [
        inputs_of(node)["model"]
        for node in ancestors(prompt, node_id).values()
        if str(node.get("class_type", "")).startswith(OWN) and is_link(inputs_of(node).get("model"))
    ]
    nodes = {name: node for link in links for name, node in ancestors(prompt, str(link[0])).items()}
    return [PurePath(name.replace("\\", "/")).name for name in model_files(nodes)]
