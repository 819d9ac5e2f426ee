"""Differences between versions of ComfyUI: the tested versions, and the features of each.

Only this module asks. A test holds the table against each host. For versions between or after the tested ones the table
decides, so that a newer one counts as the newest that was tested.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import comfy.model_base
import comfy.model_management
import comfy_api.latest as host
import comfyui_version
import torch
from server import PromptServer

logger = logging.getLogger(__name__)

TESTED = ((0, 3, 64), (0, 33, 0))  # the whole suite ran on these
SINCE = {  # the first version with it
    "Types.MESH": (0, 3, 71),  # before, in the file of the Hunyuan3D nodes
    "Types.SPLAT": (0, 23, 0),  # and its nodes
    "Types.File3D": (0, 12, 1),  # the value on the socket FILE_3D
    "ModelPatcher.is_dynamic": (0, 12, 0),  # dynamic VRAM: whether weights are paged in and out
    "ModelPatcher.get_free_memory": (0, 12, 0),  # with the pages that weights would give up
    "model_management.in_training": (0, 14, 0),  # before, networks have no operations without gradients
    "model_base.SDXL": TESTED[0],
    "model_base.SD3": TESTED[0],
    "model_base.Flux": TESTED[0],
    "model_base.Stable_Zero123": TESTED[0],
    "model_base.QwenImage": TESTED[0],
    "model_base.Anima": (0, 11, 0),
    "model_base.Krea2": (0, 26, 0),
}


def dots(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


def read_version(text: str) -> tuple[int, ...]:
    """(0, 33, 0) of "v0.33.0rc1"; the newest tested version, with a warning, for a text that begins with no number."""
    found = re.match(r"v?(\d+(?:\.\d+)*)", text)
    if found is None:
        logger.warning("ComfyUI's version %r is not a number; assuming %s.", text, dots(TESTED[-1]))
        return TESTED[-1]
    return tuple(map(int, found[1].split(".")))


HOST = read_version(comfyui_version.__version__)  # the running ComfyUI


def has(feature: str) -> bool:
    """Whether the running ComfyUI has a feature of SINCE. Raises KeyError for another name."""
    return HOST >= SINCE[feature]


def require_host(version: tuple[int, ...] = HOST) -> None:
    """Raise RuntimeError, saying what to do, for a ComfyUI older than the oldest tested one, before something obscure
    fails."""
    if version < TESTED[0]:
        raise RuntimeError(
            f"TBSD Score Distillation needs ComfyUI {dots(TESTED[0])} or newer, this is {dots(version)}. "
            "Update ComfyUI."
        )


def mesh_class() -> type:
    """The class of values on the socket MESH."""
    if has("Types.MESH"):
        return host.Types.MESH
    from comfy_extras.nodes_hunyuan3d import MESH

    return MESH


@dataclass
class Splat:
    """A value on the socket SPLAT for hosts that have no such type: the same, for the pack's own nodes."""

    positions: torch.Tensor
    scales: torch.Tensor
    rotations: torch.Tensor
    opacities: torch.Tensor
    sh: torch.Tensor
    counts: torch.Tensor | None = None


def splat_class() -> type:
    """The class of values on the socket SPLAT."""
    return host.Types.SPLAT if has("Types.SPLAT") else Splat


def file_value(path: Path) -> Any:
    """The value on the socket FILE_3D for a written file; its path on a host without that type."""
    return host.Types.File3D(str(path)) if has("Types.File3D") else str(path)


def is_model(model: Any, class_name: str) -> bool:
    """Whether comfy's model is of exactly the class of this name; no model is on versions before that class came."""
    feature = f"model_base.{class_name}"
    return has(feature) and type(model) is getattr(comfy.model_base, class_name)


def running_server() -> Any | None:
    """The server that this process is; None if the nodes are used without one."""
    return getattr(PromptServer, "instance", None)


def current_prompt() -> str | None:
    """The id that the queue has given the graph that runs now; None if there is no server."""
    return getattr(running_server(), "last_prompt_id", None)


def is_running(prompt: str | None) -> bool:
    """Whether the server is running a graph of its queue; False if there is no server."""
    server = running_server()
    running = [] if server is None else list(server.prompt_queue.currently_running.values())
    return any(item[1] == prompt for item in running)


def has_succeeded(prompt: str | None) -> bool:
    """Whether a graph that has ended did so without an error. One whose history was cleared did."""
    server = running_server()
    found = None if server is None else server.prompt_queue.get_history(prompt_id=prompt).get(prompt)
    return found is None or (found.get("status") or {}).get("status_str", "success") == "success"


def is_dynamic(patcher: Any) -> bool:
    """Whether the host pages this model's weights in and out (dynamic VRAM)."""
    return has("ModelPatcher.is_dynamic") and patcher.is_dynamic()


def available_memory(patcher: Any, device: torch.device) -> float:
    """Bytes that an allocation can get on `device`, with the pages that weights would give up for it."""
    if has("ModelPatcher.get_free_memory"):
        return patcher.get_free_memory(device)
    return comfy.model_management.get_free_memory(device)


@contextmanager
def training() -> Iterator[None]:
    """Inside, the host's networks take the operations that have gradients; older hosts have no others."""
    if not has("model_management.in_training"):
        yield
        return
    management = comfy.model_management
    before = management.in_training
    management.in_training = True
    try:
        yield
    finally:
        management.in_training = before
