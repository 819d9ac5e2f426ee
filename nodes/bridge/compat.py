"""What differs between versions of ComfyUI, told by what is there and never by a version number.

Written for 0.3.64, whose schema API is comfy_api.latest as of v0.0.2, and read against 0.12.1. The one place that asks.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import comfy.model_base
import comfy.model_management
import comfy_api.latest as host
import torch
from comfy_api.latest import io
from server import PromptServer


def mesh_class() -> type:
    """ComfyUI's MESH: among the API's types from 0.12 on, before that in the file of the Hunyuan3D nodes."""
    if hasattr(getattr(host, "Types", None), "MESH"):
        return host.Types.MESH
    from comfy_extras.nodes_hunyuan3d import MESH

    return MESH


def host_has_files() -> bool:
    """Whether this ComfyUI hands 3D files from node to node (FILE_3D): 0.12 does, 0.3.64 does not."""
    return hasattr(io, "File3DAny") and hasattr(getattr(host, "Types", None), "File3D")


def file_outputs() -> list[io.Output]:
    """The socket of a 3D file, after all others so that their numbers are the same everywhere; none without a type."""
    if not host_has_files():
        return []
    return [io.File3DAny.Output(display_name="file_3d", tooltip="The file itself, for nodes that take 3D files.")]


def file_values(path: Path) -> list:
    """What goes out of `file_outputs` for a file that has been written."""
    return [host.Types.File3D(str(path))] if host_has_files() else []


def running_server() -> Any | None:
    """The server that this process is; None where the nodes are used without one."""
    return getattr(PromptServer, "instance", None)


def is_model(model: Any, class_name: str) -> bool:
    """Whether comfy's model is of exactly the class of this name; versions before a family came lack its class."""
    kind = getattr(comfy.model_base, class_name, None)
    return kind is not None and type(model) is kind


def is_dynamic(patcher: Any) -> bool:
    """Whether the host pages this model's weights in and out (dynamic VRAM)."""
    return hasattr(patcher, "is_dynamic") and patcher.is_dynamic()


def available_memory(patcher: Any, device: torch.device) -> float:
    """Bytes that an allocation can get on `device`, with the pages that weights would give up for it."""
    if hasattr(patcher, "get_free_memory"):
        return patcher.get_free_memory(device)
    return comfy.model_management.get_free_memory(device)


@contextmanager
def training() -> Iterator[None]:
    """Inside, the host's networks take the operations that have gradients; older hosts have no others."""
    management = comfy.model_management
    before = getattr(management, "in_training", None)
    if before is not None:
        management.in_training = True
    try:
        yield
    finally:
        if before is not None:
            management.in_training = before
