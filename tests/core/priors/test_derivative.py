from __future__ import annotations

import torch
from tbsd_pack.tbsd_core.priors.derivative import FLOAT32, HALF, accuracy, derivative_error
from tbsd_pack.tbsd_core.priors.small_world.learned import load_learned_prior

IMAGES = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))


class Streamed(torch.autograd.Function):
    """A linear layer whose weight is another one by the time of its backward."""

    @staticmethod
    def forward(ctx, x, weight, later):
        ctx.save_for_backward(later)
        return x @ weight

    @staticmethod
    def backward(ctx, grad):
        (later,) = ctx.saved_tensors
        return grad @ later.T, None, None


def linear(is_true: bool):
    weights = [torch.randn(20, 20, generator=torch.Generator().manual_seed(i)) for i in range(2)]
    later = weights[0 if is_true else 1]
    return lambda x: Streamed.apply(torch.tanh(x[0]), weights[0], later)


def test_a_true_gradient_has_no_error():
    x = torch.randn(3, 20, generator=torch.Generator().manual_seed(2))
    assert derivative_error(linear(True), [x]) < 0.01


def test_a_gradient_of_other_weights_is_far_off():
    x = torch.randn(3, 20, generator=torch.Generator().manual_seed(2))
    for seed in range(5):
        assert derivative_error(linear(False), [x], seed=seed) > 1.5 * HALF.tolerance


def test_no_gradient_and_one_that_is_not_finite_are_infinitely_wrong():
    x = torch.ones(3)
    assert derivative_error(lambda v: v[0] * 0 + 1, [x]) == float("inf")
    assert derivative_error(lambda v: (v[0] - 1).sqrt() + v[0], [x]) == float("inf")


def test_several_tensors_count_together():
    x, y = (torch.randn(4, generator=torch.Generator().manual_seed(i)) for i in range(2))
    assert derivative_error(lambda v: torch.sin(v[0]) * v[1], [x, y]) < 0.01


def test_a_network_that_bends_is_looked_at_from_nearby():
    x = torch.randn(50, generator=torch.Generator().manual_seed(0))
    assert derivative_error(lambda v: torch.sin(30 * v[0]), [x]) < FLOAT32.tolerance


def test_a_real_encoder_is_far_inside_the_tolerance_in_each_dtype():
    vae = load_learned_prior().vae
    for dtype in (torch.float32, torch.bfloat16):
        network = vae.to(dtype)
        encode = lambda x, n=network, d=dtype: n.encode((x[0] * 2 - 1).to(d)).latent_dist.mean.float()  # noqa: E731
        asked = accuracy(dtype)
        assert derivative_error(encode, [IMAGES], asked) < asked.tolerance / 3


def test_it_asks_no_generator_of_others():
    torch.manual_seed(0)
    state = torch.get_rng_state()
    derivative_error(linear(True), [torch.randn(3, 20, generator=torch.Generator().manual_seed(2))])
    assert torch.equal(state, torch.get_rng_state())


