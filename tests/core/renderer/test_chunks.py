from __future__ import annotations

import torch
from tbsd_pack.tbsd_core.renderer.chunks import in_chunks


def test_chunks_give_the_same_values_and_gradients_in_less_memory_at_once():
    weight = torch.linspace(-1, 1, 5, requires_grad=True)
    sizes = []

    def march(rays: slice) -> dict[str, torch.Tensor]:
        x = torch.arange(10.0)[rays, None] * weight
        sizes.append(len(x))
        return {"wave": x.sin(), "size": x.square().sum(-1, keepdim=True)}

    grads, values = [], []
    for chunk in (0, 4):
        weight.grad = None
        a, b = in_chunks(march, 10, chunk).values()
        (a.sum() + b.mean()).backward()
        values.append((a.detach(), b.detach()))
        grads.append(weight.grad.clone())
    assert sizes == [10, 4, 4, 2, 2, 4, 4] or sorted(sizes[1:]) == [2, 2, 4, 4, 4, 4]  # forward, then again backward
    assert all(torch.equal(x, y) for x, y in zip(*values, strict=True))
    assert torch.allclose(*grads, rtol=1e-5)
    sizes.clear()
    with torch.no_grad():
        in_chunks(march, 10, 4)
    assert sizes == [4, 4, 2]
