"""Adam with one second moment per parameter tensor, or per row of it, for pictures.

Per-element moments scale a pixel of the empty background, whose gradient is nearly zero, up to the
same step as a pixel of the object: the background fills with noise that the encoder cannot see.
One moment per tensor keeps the gradient's shape, as NovoGrad does per layer (arXiv:1905.11286).
A group with "per_row" has one for each row of its tensors: pictures side by side stay independent.
"""

from __future__ import annotations

import torch


class SharedAdam(torch.optim.Optimizer):
    """p -= lr m_hat / (sqrt(v_hat) + eps), with v the running mean of the gradient's mean square over the tensor."""

    def __init__(self, params, lr: float, betas: tuple[float, float] = (0.9, 0.99), eps: float = 1e-8) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "per_row": False})

    @torch.no_grad()
    def step(self, closure=None):
        loss = None if closure is None else closure()
        for group in self.param_groups:
            beta1, beta2 = group["betas"]
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                square = p.grad.pow(2)
                square = square.mean(tuple(range(1, p.ndim)), keepdim=True) if group["per_row"] else square.mean()
                if not state:
                    state["step"] = torch.zeros(())
                    state["exp_avg"] = torch.zeros_like(p)
                    state["exp_avg_sq"] = torch.zeros_like(square)
                state["step"] += 1
                n = float(state["step"])
                state["exp_avg"].lerp_(p.grad, 1 - beta1)
                state["exp_avg_sq"].lerp_(square, 1 - beta2)
                scale = (state["exp_avg_sq"] / (1 - beta2**n)).sqrt() + group["eps"]
                p.sub_(group["lr"] / (1 - beta1**n) * state["exp_avg"] / scale)
        return loss
