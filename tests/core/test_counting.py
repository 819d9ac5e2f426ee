from __future__ import annotations

import torch
from tbsd_pack.tbsd_core.counting import counted
from torch import nn


def test_a_linear_and_a_convolution_count_as_their_closed_forms():
    """Two for a multiplication and an addition; backward by inputs and weights costs forward twice."""
    x = torch.randn(5, 7, requires_grad=True)
    linear = nn.Linear(7, 11)
    forward = 2 * 5 * 7 * 11
    assert counted(lambda: linear(x)).flops == forward
    assert counted(lambda: linear(x), lambda y: y.sum().backward()).flops == 3 * forward
    picture = torch.randn(2, 3, 8, 6, requires_grad=True)
    convolution = nn.Conv2d(3, 4, 3, padding=1, stride=2).requires_grad_(False)
    forward = 2 * 2 * 4 * 3 * 9 * (4 * 3)
    assert counted(lambda: convolution(picture)).flops == forward
    by_input = counted(lambda: convolution(picture), lambda y: torch.autograd.grad(y.sum(), [picture]))
    assert by_input.flops == 2 * forward, "no gradient of weights that have none"


def test_attention_counts_both_products_on_every_device():
    for device in ("cpu", "meta"):
        q, k, v = (torch.empty(1, 2, n, 8, device=device) for n in (16, 32, 32))
        found = counted(lambda q=q, k=k, v=v: torch.nn.functional.scaled_dot_product_attention(q, k, v))
        assert found.flops == 2 * 2 * (2 * 16 * 32 * 8), device


def test_bytes_are_those_of_new_tensors_at_their_peak_and_between_forward_and_backward():
    weight = torch.zeros(1000, 1000)
    assert counted(weight.t).bytes == 0, "a view of what was there"
    x = torch.zeros(1000, requires_grad=True)
    found = counted(lambda: (x * 2).exp(), lambda y: torch.autograd.grad(y.sum(), [x]))
    assert found.held == 4000, "exp keeps its result, and what it was made of is gone"
    assert 8000 <= found.bytes <= 16_000


def test_meta_tensors_are_counted_without_being_there():
    on_meta = torch.empty(1 << 20, device="meta")
    assert counted(lambda: on_meta + 1).bytes == 4 << 20
