"""Copies of the host's models whose weights stay where they are.

Autograd saves the weights of a forward for its backward. ComfyUI moves them about in between: under dynamic
VRAM a weight is a view of pages that another model evicts, or of a buffer that the next layer reuses; where
memory is short, layers cast their weights through shared buffers; and weights that a node has loaded are
inference tensors. Each ends in an error or, silently, in a false gradient. So whatever is differentiated
through is a copy of ours: the structure of the module with parameters that no memory manager of the host
knows. The host's own model is never changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from types import MethodType
from typing import Any

import comfy.model_management
import comfy.utils
import torch
from comfy.model_patcher import ModelPatcher
from comfy.patcher_extension import WrappersMP
from torch import Tensor, nn

from .autograd import is_opaque, normal
from .compat import is_dynamic

# Marks of patchers on layers and models about how their weights are stored at the moment; tried with 0.3.64 and 0.33
LAYER_STATE = frozenset(
    ("_v", "_v_weight", "_v_bias", "_v_signature", "_v_block", "_prefetch", "_pin_state", "_pins", "seed_key")
    + ("weight_lowvram_function", "bias_lowvram_function", "weight_function", "bias_function")
    + ("comfy_cast_weights", "prev_comfy_cast_weights", "comfy_force_cast_weights", "comfy_patched_weights")
)
DYNAMIC_STATE = frozenset(("dynamic_vbars", "dynamic_pins", "dynamic_patchers"))
UNLOADED = {  # what a static patcher says of a model none of whose weights it has moved or patched
    "model_loaded_weight_memory": 0,
    "model_offload_buffer_memory": 0,
    "model_lowvram": False,
    "lowvram_patch_counter": 0,
    "current_weight_patches_uuid": None,
}


def replicate(
    model: nn.Module,
    originals: Mapping[str, Tensor],  # weights by name that stand for those now in the model
) -> dict[int, nn.Module]:
    """The structure of a module again, with parameter objects, buffers and hooks of its own.

    The new parameters share the memory of the old ones until somebody moves or replaces them. Attributes
    and bound methods that refer to modules inside refer to their copies.

    Returns:
        The copies by the id of their originals; the copy of the model itself has all others inside.
    """
    copies = {id(part): part.__new__(type(part)) for part in model.modules()}
    parameters: dict[int, nn.Parameter] = {}  # tied weights stay tied

    def parameter(part: nn.Module, name: str, full_name: str) -> nn.Parameter | None:
        held = part._parameters[name]
        if held is not None and id(held) not in parameters:
            weight = originals.get(full_name, held)
            if weight.is_meta:  # the file had none: the host takes zeros, too
                weight = torch.zeros(weight.shape, dtype=weight.dtype)
            weight = normal(weight)
            if not is_opaque(weight):  # dynamic patchers leave the file's dtype until a layer runs
                weight = weight.to(getattr(part, f"{name}_comfy_model_dtype", weight.dtype))
            parameters[id(held)] = nn.Parameter(weight, requires_grad=False)
        return None if held is None else parameters[id(held)]

    for prefix, part in model.named_modules():
        twin, start = copies[id(part)], f"{prefix}." if prefix else ""
        dropped = LAYER_STATE if prefix else LAYER_STATE | DYNAMIC_STATE | set(UNLOADED)
        vars(twin).update({k: rebound(v, copies) for k, v in vars(part).items() if k not in dropped})
        tables: dict[str, dict] = {
            "_modules": {k: None if m is None else copies[id(m)] for k, m in part._modules.items()},
            "_parameters": {k: parameter(part, k, start + k) for k in part._parameters},
            "_buffers": {k: b if b is None else normal(originals.get(start + k, b)) for k, b in part._buffers.items()},
        }
        vars(twin).update({k: type(vars(part)[k])(table) for k, table in tables.items()})
        if hasattr(twin, "weight_function"):  # the list of the class is everybody's
            vars(twin).update(weight_function=[], bias_function=[])
    return copies


def rebound(value: Any, copies: Mapping[int, nn.Module]) -> Any:
    """An attribute of a module as its copy has it: containers are copied one level deep."""
    if isinstance(value, nn.Module):
        return copies.get(id(value), value)
    if isinstance(value, MethodType) and id(value.__self__) in copies:
        return MethodType(value.__func__, copies[id(value.__self__)])
    if isinstance(value, dict):
        found = copy(value)
        found.update({k: rebound(v, copies) for k, v in value.items() if isinstance(v, nn.Module)})
        return found
    if isinstance(value, (list, tuple, set)) and type(value) in (list, tuple, set):
        return type(value)(rebound(v, copies) if isinstance(v, nn.Module) else v for v in value)
    return value


def static_patcher(patcher: ModelPatcher) -> ModelPatcher:
    """A clone of a patcher around a copy of its model: with its patches and options, and never dynamic.

    It knows one device: the clones on others that MultiGPU CFG Split makes run without gradients and stay out.
    """
    if patcher.injections:
        raise ValueError(
            "This MODEL has something hooked into its layers (a bypass LoRA, for example), which the copy of the "
            "model for gradients cannot take over. Load the LoRA with Load LoRA, or use a method that trains "
            "nothing, such as TBSD or SDS."
        )
    originals = {name: kept.weight for name, kept in patcher.backup.items()}
    originals |= getattr(patcher, "backup_buffers", {})  # dynamic patchers move buffers, too
    copies = replicate(patcher.model, originals)
    model = copies[id(patcher.model)]
    for name, value in patcher.object_patches_backup.items():
        comfy.utils.set_attr(model, name, rebound(value, copies))
    vars(model).update(UNLOADED, device=patcher.offload_device)
    if is_dynamic(patcher):
        clone = patcher.clone(disable_dynamic=True, model_override=(model, ({}, {}, {}, set())))
    else:
        clone = patcher.clone()
        clone.model, clone.backup, clone.backup_buffers, clone.object_patches_backup = model, {}, {}, {}
        clone.pinned = set()
    clone.object_patches = {name: rebound(value, copies) for name, value in clone.object_patches.items()}
    clone.hook_backup, clone.cached_hook_patches = {}, {}
    clone.weight_inplace_update = False  # the copy shares memory with the host's weights where both are in RAM
    clone.size = 0  # counted again: the copy may be of another dtype
    clone.parent = None  # the host must not take the original for loaded once the clone is gone
    clone.additional_models.pop("multigpu", None)
    clone.model_options.pop("multigpu_clones", None)
    clone.remove_wrappers_with_key(WrappersMP.APPLY_MODEL, "torch.compile")  # it would run the original
    return clone


def make_room(patcher: ModelPatcher, reserve: float) -> None:
    """Have the host free the memory that all weights of a static patcher need on its device.

    Args:
        reserve: bytes of the device that a step needs beside the weights; freed as far as other models have them.

    Raises:
        RuntimeError: there is no room for the weights, with what is needed.
    """
    missing, device = patcher.model_size() - patcher.loaded_size(), patcher.load_device
    comfy.model_management.free_memory(missing + reserve, device, keep_loaded=loaded_entries(patcher))
    free = comfy.model_management.get_free_memory(device)
    if free < missing:
        raise RuntimeError(
            f"This method trains through the whole {type(patcher.model).__name__}, so all of its weights must stay "
            f"on {device}. {missing / 2**30:.2f} GiB of them are missing there, but only {free / 2**30:.2f} GiB "
            "are free. Close other programs that use the card, use a smaller model or one of lower precision, or "
            "a method that trains nothing, such as TBSD or SDS."
        )


def load_whole(patcher: ModelPatcher) -> None:
    """Bring all weights of a static patcher to its device, whatever the host's memory mode."""
    patcher.partially_load(patcher.load_device, 1e32)
    away = [name for name, p in patcher.model.named_parameters() if p.device.type != patcher.load_device.type]
    if away:
        raise RuntimeError(
            f"{len(away)} weights of {type(patcher.model).__name__} were not loaded to {patcher.load_device} (the "
            f"first is {away[0]}), and no LoRA can be trained without them. Please report it with the kind of the "
            "model."
        )


def loaded_entries(patcher: ModelPatcher) -> list:
    """The host's entries for a patcher in its list of loaded models."""
    return [entry for entry in comfy.model_management.current_loaded_models if entry.model is patcher]


def resident_module(patcher: ModelPatcher, device: torch.device, dtype: torch.dtype) -> nn.Module:
    """A copy of a patcher's model with its patches, all of it in memory of its own on `device` in `dtype`.

    The host's list of loaded models does not know it: nothing moves it, and it is gone with its last reference.
    """
    module = static_patcher(patcher).patch_model(device)
    for part in module.modules():
        for name, weight in part._parameters.items():
            if weight is not None:
                part._parameters[name] = nn.Parameter(settled(weight, device, dtype), requires_grad=False)
        for name, buffer in part._buffers.items():
            if buffer is not None:
                part._buffers[name] = settled(buffer, device, dtype)
    return module


def settled(tensor: Tensor, device: torch.device, dtype: torch.dtype) -> Tensor:
    """A copy on `device`; floating-point numbers in `dtype`, quantised ones as the numbers that they stand for.

    Raises:
        ValueError: quantised by a class that does not say what they stand for.
    """
    if is_opaque(tensor) and type(tensor).dequantize is Tensor.dequantize:
        raise ValueError(
            f"The weights of this VAE are quantised in a format ({type(tensor).__name__}) that has no gradient. Load "
            "the VAE in another format; it is small beside the model."
        )
    plain = tensor.dequantize() if is_opaque(tensor) else tensor.detach()
    return plain.to(device, dtype if plain.is_floating_point() else plain.dtype, copy=True)
