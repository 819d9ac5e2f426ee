"""The parts of a scene that a run may not change, kept as they were.

Shown, measured and saved values are mixed from the kept values and the parameters, by a weight that is 0 where nothing
may change. So neither the moments of an optimiser nor regularisers nor a step that moves things can reach a locked
part: whatever becomes of its parameters, nobody looks at them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import torch
from torch import Tensor, nn

PREFIX = "kept."  # before the names of the tensors among those that a scene has attached
WEIGHT = PREFIX + "weight"  # in [0, 1]: 0 is locked, 1 is free
ORIGINAL, ORIGINAL_OF = "original", "original.of"  # colours that the parameters came from, and which parameters
N_BYTES = 8  # of a fingerprint


class Kept(nn.Module):
    """The kept values as buffers: they move with the scene and are part of no state."""

    weight: Tensor

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        super().__init__()
        for name, value in tensors.items():
            self.register_buffer(name, value, persistent=False)


def kept_of(tensors: Mapping[str, Tensor]) -> Kept | None:
    """The kept values among the attachments of a scene; None if all of it may change."""
    found = {name.removeprefix(PREFIX): value for name, value in tensors.items() if name.startswith(PREFIX)}
    return Kept(found) if found else None


def mixed(kept: Tensor, new: Tensor, weight: Tensor) -> Tensor:
    """Between them: exactly `kept` where the weight is 0, exactly `new` where it is 1."""
    return torch.lerp(kept, new, weight)


def check_kept(
    scene: str,  # its class, for messages
    tensors: Mapping[str, Tensor],
    expected: Mapping[str, tuple[int, ...]],  # shapes by name
) -> None:
    """Raise ValueError unless these are all kept tensors of a scene, or none, with possible numbers."""
    found = {name: tuple(value.shape) for name, value in tensors.items() if name.startswith(PREFIX)}
    wanted = {name: shape for name, shape in expected.items() if name.startswith(PREFIX)}
    if found and found != wanted:
        raise ValueError(f"{scene}: what is kept of it must be {wanted or 'nothing'}, got {found}.")
    others = {name: tuple(value.shape) for name, value in tensors.items() if not name.startswith(PREFIX)}
    if any(expected.get(name) != shape for name, shape in others.items()) or (ORIGINAL in others) != (
        ORIGINAL_OF in others
    ):
        raise ValueError(f"{scene} has nothing of this kind attached, got {others}.")
    for name, value in tensors.items():
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise ValueError(f"{scene}: {name} has numbers that are not finite.")
    weight = tensors.get(WEIGHT)
    if weight is not None and not (weight.dtype == torch.float32 and bool(((weight >= 0) & (weight <= 1)).all())):
        raise ValueError(f"{scene}: weights of what is kept must be float32 in [0, 1].")


def fingerprint(scene: nn.Module) -> Tensor:
    """A fingerprint of the values of its parameters: [N_BYTES] uint8, the same on every device."""
    found = hashlib.sha256()
    for name, value in sorted(scene.named_parameters()):
        found.update(name.encode())
        found.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return torch.tensor(list(found.digest()[:N_BYTES]), dtype=torch.uint8)


def with_original(scene: nn.Module, colors: Tensor) -> dict[str, Tensor]:
    """The attachments for a scene that was just made of these colours, so that they are known exactly."""
    return {ORIGINAL: colors, ORIGINAL_OF: fingerprint(scene)}


def original_of(scene: nn.Module, attached: Mapping[str, Tensor]) -> Tensor | None:
    """The colours that a scene was made of; None if it has changed since, or was made of none."""
    if ORIGINAL not in attached or not torch.equal(attached[ORIGINAL_OF], fingerprint(scene)):
        return None
    return attached[ORIGINAL]
