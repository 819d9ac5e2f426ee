"""A CONTROL_NET that is shown the geometry of the views: the host's control objects, with new hints in each step."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ...tbsd_core.optim.hints import ControlConfig

NOTHING_YET = torch.zeros(1, 3, 64, 64)  # a hint until the first step shows its own


@dataclass(frozen=True, eq=False)
class ViewControl:
    """The ControlNet of a guidance.

    Args:
        net: comfy's ControlBase, as Load ControlNet Model gives it; never changed.
        config: the kind of its hints, and their strength.
    """

    net: Any
    config: ControlConfig


def with_control(control: ViewControl, entries: Sequence[list], vae) -> tuple[list[list], list[Any]]:
    """The entries of each condition with copies of the ControlNet, as Apply ControlNet adds it, and these copies.

    There is one copy for each ControlNet that entries have already, to which it is chained; nearly always one in all.
    Positive and negative conditions share it, so that they stay in one forward.
    """
    copies: dict[Any, Any] = {}

    def added(options: dict) -> dict:
        previous = options.get("control")
        if previous not in copies:
            copy = control.net.copy().set_cond_hint(NOTHING_YET, control.config.strength, vae=_vae(control, vae))
            copies[previous] = copy.set_previous_controlnet(previous)
        return {**options, "control": copies[previous], "control_apply_to_uncond": False}

    return [[[tokens, added(options)] for tokens, options in entry] for entry in entries], list(copies.values())


def show(controls: Sequence[Any], hints: Tensor, strength: float) -> None:
    """Have the copies look at hints [B, 3, H, W] in [0, 1] in the next forward, whose samples are these B."""
    for control in controls:
        extra, ends = control.extra_concat_orig, control.timestep_percent_range
        control.set_cond_hint(hints, strength, ends, vae=control.vae, extra_concat=extra)
        control.cond_hint = None  # the previous step's, resized and repeated for its batch


@contextmanager
def without_gradient(conditions: Sequence[list[dict]], noted: Callable[[], Callable[[], None]]) -> Iterator[None]:
    """Inside, the ControlNets of processed conditions are evaluated without gradient: nothing of them is trained, and
    the weights that a node has loaded are inference tensors, which autograd refuses to save.

    Args:
        noted: called before each; what it returns is called after it. One that looks at latents of its hint has the
            host load the VAE, which may move the weights of the model away.
    """
    found = {id(c): c for entries in conditions for entry in entries if (c := entry.get("control")) is not None}

    def without(get_control: Callable) -> Callable:
        @torch.no_grad()
        def called(*args: Any, **kwargs: Any) -> Any:
            back = noted()
            residuals = get_control(*args, **kwargs)
            back()
            return residuals

        return called

    for control in found.values():
        control.get_control = without(control.get_control)  # of this object, before its class's
    try:
        yield
    finally:
        for control in found.values():
            del control.get_control


class Residual(Tensor):
    """A ControlNet's addition to an activation; the sum is a new tensor even if the network adds in place.

    UNets add to the very activations that autograd has saved for a LoRA's backward pass.
    """

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None) -> Any:
        if func is Tensor.add_:
            return args[0] + args[1].as_subclass(Tensor)
        return super().__torch_function__(func, types, args, kwargs or {})


def added_out_of_place(control: dict[str, list] | None) -> dict[str, list] | None:
    """The residuals of a forward that is differentiated, by where they are added."""
    if control is None or not torch.is_grad_enabled():
        return control
    return {place: [x if x is None else x.as_subclass(Residual) for x in xs] for place, xs in control.items()}


def check_belongs(control: ViewControl, model) -> None:
    """Raise ValueError for a ControlNet that was made for another family of models than MODEL."""
    network, own = model.model.diffusion_model, getattr(control.net, "control_model", None)
    if own is None:  # control LoRAs and T2I adapters bring no network that could be compared
        return
    theirs, ours = text_width(own), text_width(network)
    if theirs or ours:
        if theirs == ours:
            return
        why = f"it reads text embeddings of width {theirs or 'unknown'}, but the model has {ours or 'unknown'}"
    else:
        if _is_related(control.net, own, model):
            return
        why = f"{type(own).__name__} does not work with {type(network).__name__}"
    raise ValueError(
        f"The ControlNet of View ControlNet belongs to another family of models: {why}. Load one that was trained for "
        "this model: for Stable Diffusion 1.5 (width 768), 2 (1024), SDXL (2048) and so on."
    )


def text_width(network: nn.Module) -> int | None:
    """Width of the text embeddings that the cross-attention of a UNet reads; None for networks of another kind."""
    found = (m for name, m in network.named_modules() if name.endswith("attn2.to_k"))
    return next((int(m.in_features) for m in found), None)  # type: ignore[arg-type]


def _is_related(net: Any, own: nn.Module, model: Any) -> bool:
    """Whether a transformer's ControlNet is made of the classes of the model, or works on its latents."""
    network = model.model.diffusion_model
    shared = set(type(own).__mro__) & set(type(network).__mro__) - set(nn.Module.__mro__)
    latents = model.get_model_object("latent_format")
    return bool(shared) if net.latent_format is None else type(net.latent_format) is type(latents)


def _vae(control: ViewControl, vae) -> Any:
    """The model's VAE for nets that look at latents of their hint, None for the others: the host would use it."""
    return vae if control.net.latent_format is not None else None
