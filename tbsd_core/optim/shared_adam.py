"""Adam with one second moment per parameter tensor, or per row of it, for pictures.

Per-element moments scale a pixel of the empty background, whose gradient is nearly zero, up to the
same step as a pixel of the object: the background fills with noise that the encoder cannot see.
One moment per tensor keeps the gradient's shape, as NovoGrad does per layer (arXiv:1905.11286).
A group with "per_row" has one for each row of its tensors: pictures side by side stay independent.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class SharedAdam(torch.optim.Optimizer):
    """p -= lr m_hat / (sqrt(v_hat) + eps), with v the running mean of the gradient's mean square over the tensor."""

    _step_supports_amp_scaling = True  # a step with found_inf = 1.0 changes nothing, see skipping.step_unless

    def __init__(self, params, lr: float, betas: tuple[float, float] = (0.9, 0.99), eps: float = 1e-8) -> None:
        # capturable: the count of steps is kept on the device of its parameter, which alone may know it
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "per_row": False, "capturable": True})

    @torch.no_grad()
    def step(self, closure=None):
        loss = None if closure is None else closure()
        found_inf: Tensor | None = getattr(self, "found_inf", None)
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    self._step(p, p.grad, group, found_inf)
        return loss

    def _step(self, p: Tensor, grad: Tensor, group: dict[str, Any], found_inf: Tensor | None) -> None:
        (beta1, beta2), keep = group["betas"], 1.0
        if found_inf is not None:
            grad = torch.where(found_inf > 0, 0.0, grad)
            keep = 1 - found_inf
        square = grad.pow(2)
        square = square.mean(tuple(range(1, p.ndim)), keepdim=True) if group["per_row"] else square.mean()
        state = self.state[p]
        if not state:
            state["step"] = torch.zeros((), device=p.device)
            state["exp_avg"] = torch.zeros_like(p)
            state["exp_avg_sq"] = torch.zeros_like(square)
        state["step"] += keep
        n = max(1.0, float(state["step"])) if p.device.type == "cpu" else state["step"].clamp_min(1)
        state["exp_avg"].lerp_(grad, (1 - beta1) * keep)
        state["exp_avg_sq"].lerp_(square, (1 - beta2) * keep)
        scale = (state["exp_avg_sq"] / (1 - beta2**n)).sqrt() + group["eps"]
        p.sub_(keep * group["lr"] / (1 - beta1**n) * state["exp_avg"] / scale)
