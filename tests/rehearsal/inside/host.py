"""Shared by the scripts here that need ComfyUI: boots it in this process with the pretend device as its accelerator."""

from __future__ import annotations

import sys
import types
from pathlib import Path

import torch

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parents[1] / "comfy" / "inside")]
import device  # noqa: E402

GIB = 2**30


def boot(memory: int = 12 * GIB):
    """Returns what imports a submodule of the pack. ComfyUI knows "npu" as an accelerator and asks for torch_npu."""
    device.install("npu", memory)
    torch.version.cuda = None  # a CUDA build of torch would be asked for a card
    sys.modules["torch_npu"] = types.ModuleType("torch_npu")
    sys.path.insert(0, sys.argv[1])
    if has_dynamic_memory():
        import aimdo

        aimdo.install()
    import pack

    load = pack.load_pack(cpu=False)
    if has_dynamic_memory():
        aimdo.use_streams()
    return load


def has_dynamic_memory() -> bool:
    """Whether this ComfyUI knows dynamic VRAM."""
    return (Path(sys.argv[1]) / "comfy" / "memory_management.py").is_file()


def set_dynamic(on: bool) -> None:
    """The start of main.py on an NVIDIA card, or under --disable-dynamic-vram."""
    import comfy.memory_management
    import comfy.model_patcher as patchers

    comfy.memory_management.aimdo_enabled = on
    patchers.CoreModelPatcher = patchers.ModelPatcherDynamic if on else patchers.ModelPatcher
