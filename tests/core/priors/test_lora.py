from __future__ import annotations

import pytest
import torch
from tbsd_pack.tbsd_core.cameras.sampling import orbit
from tbsd_pack.tbsd_core.guidance.sds import SDS
from tbsd_pack.tbsd_core.guidance.vsd import VSD, VSDConfig
from tbsd_pack.tbsd_core.optim.adapter import camera_poses, create_adapter
from tbsd_pack.tbsd_core.priors.base import LoRAConfig
from tbsd_pack.tbsd_core.priors.gaussian import GaussianPrior
from tbsd_pack.tbsd_core.priors.lora import LoRAAdapter
from tbsd_pack.tbsd_core.priors.small_world import load_prior


@pytest.fixture(scope="module")
def prior():
    return load_prior("learned")


@pytest.fixture
def batch(prior):
    generator = torch.Generator().manual_seed(0)
    x_t, noise = torch.randn(2, 2, 4, 16, 16, generator=generator)
    return x_t, torch.tensor([100, 800]), [prior.encode_prompt("a brick house")] * 2, camera_poses(orbit(2)), noise


def trained(adapter: LoRAAdapter) -> LoRAAdapter:
    """The adapter with every parameter away from its start."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for p in adapter.parameters():
            p.add_(0.1 * torch.randn(p.shape, generator=generator))
    return adapter


def test_a_new_adapter_is_the_prior_itself(prior, batch):
    x_t, t, conditions, poses, _ = batch
    adapter = prior.make_adapter(LoRAConfig(), seed=0)
    (base,) = prior.predict_noise(x_t, t, [conditions])
    assert torch.equal(adapter.predict_noise(x_t, t, conditions, poses), base)


def test_the_prior_is_untouched_by_a_trained_adapter(prior, batch):
    x_t, t, conditions, poses, noise = batch
    (before,) = prior.predict_noise(x_t, t, [conditions])
    adapter = trained(prior.make_adapter(LoRAConfig(), seed=0))
    assert not torch.allclose(adapter.predict_noise(x_t, t, conditions, poses), before, atol=1e-3)
    adapter.training_loss(x_t, t, conditions, poses, noise).backward()
    (after,) = prior.predict_noise(x_t, t, [conditions])
    assert torch.equal(before, after)
    assert all(p.grad is None for p in prior.unet.parameters())


def test_low_rank_addition_equals_merged_weights(prior, batch):
    """Adding `up @ down` to the weights themselves is another way to the same network."""
    x_t, t, conditions, _, _ = batch
    adapter = trained(prior.make_adapter(LoRAConfig(rank=3), seed=0))
    ours = adapter.predict_noise(x_t, t, conditions, None)
    layers = [m for n, m in prior.unet.named_modules() if n.endswith(("to_q", "to_k", "to_v", "to_out.0"))]
    kept = [m.weight.detach().clone() for m in layers]
    assert len(layers) == len(adapter.down) >= 8
    try:
        with torch.no_grad():
            for layer, down, up in zip(layers, adapter.down, adapter.up, strict=True):
                layer.weight += up @ down
        (merged,) = prior.predict_noise(x_t, t, [conditions])
    finally:
        with torch.no_grad():
            for layer, weight in zip(layers, kept, strict=True):
                layer.weight.copy_(weight)
    torch.testing.assert_close(ours, merged, rtol=1e-4, atol=1e-4)


def test_the_camera_matters_once_trained_and_is_left_out_on_request(prior, batch):
    x_t, t, conditions, poses, _ = batch
    adapter = trained(prior.make_adapter(LoRAConfig(), seed=0))
    one = adapter.predict_noise(x_t, t, conditions, poses)
    other = adapter.predict_noise(x_t, t, conditions, poses.flip(0))
    without = adapter.predict_noise(x_t, t, conditions, None)
    assert not torch.allclose(one, other, atol=1e-3) and not torch.allclose(one, without, atol=1e-3)


def test_every_parameter_learns_the_gradient_of_finite_differences(prior, batch):
    x_t, t, conditions, poses, noise = batch
    adapter = trained(prior.make_adapter(LoRAConfig(), seed=0))
    adapter.training_loss(x_t, t, conditions, poses, noise).backward()
    for p in (adapter.down[0], adapter.up[3], adapter.pose_in, adapter.pose_out):
        direction = p.grad / p.grad.norm()
        step = 1e-2
        with torch.no_grad():
            p.add_(step * direction)
            up = adapter.training_loss(x_t, t, conditions, poses, noise)
            p.sub_(2 * step * direction)
            down = adapter.training_loss(x_t, t, conditions, poses, noise)
            p.add_(step * direction)
        assert float((up - down) / (2 * step)) == pytest.approx(float(p.grad.norm()), rel=0.03)


def test_training_learns_the_score_of_one_picture(prior):
    """Of one picture the noise is known; the adapter gets closer to it, on noise that it was not trained on."""
    state = create_adapter(prior, VSD(VSDConfig(lora=LoRAConfig(lr=5e-3))), seed=0)
    picture = prior.encode(torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))).detach()
    latents, conditions = picture.repeat(8, 1, 1, 1), [prior.encode_prompt("a brick house")] * 8

    def error():
        t = torch.linspace(100, 900, 8).long()
        noise = torch.randn(latents.shape, generator=torch.Generator().manual_seed(9))
        x_t = prior.schedule.add_noise(latents, noise, t)
        return float(state.adapter.training_loss(x_t, t, conditions, None, noise))

    before = error()
    for step in range(40):
        state.gradient(latents, conditions, None, prior.schedule, 0, step)
        state.optimizer.step()
    assert error() < 0.7 * before


def test_seeds_decide_the_start(prior):
    a, b, c = (prior.make_adapter(LoRAConfig(), seed).down[0] for seed in (0, 0, 1))
    assert torch.equal(a, b) and not torch.equal(a, c)


def test_methods_and_priors_without_a_lora():
    assert create_adapter(GaussianPrior({}), SDS(), 0) is None
    with pytest.raises(ValueError, match="GaussianPrior has none. Use the learned prior or a checkpoint"):
        create_adapter(GaussianPrior({}), VSD(), 0)


def test_a_network_without_attention_is_refused():
    network = torch.nn.ModuleDict({"time_embed": torch.nn.Linear(4, 4)})
    with pytest.raises(ValueError, match="no attention projection that VSD knows"):
        LoRAAdapter(network, lambda x, t, c: x, torch.ones_like, LoRAConfig(), 0)


def test_a_step_leaves_the_gradient_of_the_mean_loss(prior):
    """It goes through the network as the gradient of a sum, and a power of two is divided out of it exactly."""
    latents = torch.randn(2, 4, 16, 16, generator=torch.Generator().manual_seed(0))
    conditions, known = [prior.encode_prompt("a brick house")] * 2, {}
    state = create_adapter(prior, VSD(VSDConfig()), 0)
    own = state.adapter.training_loss
    state.adapter.training_loss = lambda *batch: own(*known.setdefault("batch", batch))
    state.gradient(latents, conditions, None, prior.schedule, 0, 0)
    left = [p.grad.clone() for p in state.adapter.up]
    state.optimizer.zero_grad(set_to_none=True)
    own(*known["batch"]).backward()
    assert all(torch.equal(p.grad, grad) and grad.any() for p, grad in zip(state.adapter.up, left, strict=True))


def test_what_goes_through_the_network_does_not_shrink_with_the_picture(prior):
    """In float16 it would vanish: a mean over 4 x 128 x 128 numbers divides by 65,536."""
    largest = {}
    for side in (16, 32):
        seen: list[float] = []

        def watch(module, inputs, output, seen=seen):
            if torch.is_grad_enabled():
                output.register_hook(lambda grad: seen.append(float(grad.abs().mean())))

        handle = prior.unet.conv_out.register_forward_hook(watch)
        state = create_adapter(prior, VSD(VSDConfig()), 0)
        latents = torch.randn(1, 4, side, side, generator=torch.Generator().manual_seed(0))
        state.gradient(latents, [prior.encode_prompt("a brick house")], None, prior.schedule, 0, 0)
        handle.remove()
        (largest[side],) = seen
    assert largest[32] > 0.5 * largest[16] > 1e-3


def test_a_prediction_in_several_forwards_is_that_of_one(prior, batch):
    x_t, t, conditions, poses, _ = batch
    whole = trained(prior.make_adapter(LoRAConfig(), seed=0))
    expected = whole.predict_noise(x_t, t, conditions, poses)
    predict = whole._predict

    def in_two(x_t, t, conditions):
        eps = []
        for i in range(2):
            with whole._shown.only([i]):
                eps.append(predict(x_t[i : i + 1], t[i : i + 1], conditions[i : i + 1]))
        return torch.cat(eps)

    whole._predict = in_two
    torch.testing.assert_close(whole.predict_noise(x_t, t, conditions, poses), expected, rtol=1e-4, atol=1e-5)
