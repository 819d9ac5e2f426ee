"""A step whose gradient is not finite changes nothing, decided on the host and on a device."""

from __future__ import annotations

import pytest
import torch
from tbsd_pack.tbsd_core.cameras.sampling import CameraConfig
from tbsd_pack.tbsd_core.guidance import build_guidance
from tbsd_pack.tbsd_core.optim import Distillation, OptimConfig, OptimState, create_adapter, optimize
from tbsd_pack.tbsd_core.optim.shared_adam import SharedAdam
from tbsd_pack.tbsd_core.optim.skipping import BadSteps, not_finite, step_unless
from tbsd_pack.tbsd_core.priors.small_world import load_prior
from tbsd_pack.tbsd_core.prompts import PromptConfig, build_texts, encode_texts
from tbsd_pack.tbsd_core.scenes import ImageConfig, ImageScene
from tbsd_pack.tbsd_core.transfer import Late

CPU = torch.device("cpu")
NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize("value, bad", [(0.0, 0.0), (3e38, 0.0), (-3e38, 0.0), (NAN, 1.0), (INF, 1.0), (-INF, 1.0)])
def test_one_number_that_is_not_finite_is_found_among_many(value, bad):
    gradients = [torch.ones(5), None, torch.zeros(0), torch.ones(2, 3)]
    gradients[3][1, 2] = value
    found = not_finite(gradients, CPU)
    assert found.shape == () and float(found) == bad
    assert float(not_finite([None, torch.zeros(0)], CPU)) == 0.0


def shared(found_inf: list[float | None], gradients: list[torch.Tensor]) -> tuple[torch.Tensor, dict]:
    """A parameter and its moments after steps in which an optimiser was told, on its device, to leave some out."""
    p = torch.nn.Parameter(torch.linspace(-1, 1, 6).view(2, 3))
    optimizer = SharedAdam([{"params": [p], "per_row": True}], lr=0.1)
    for bad, gradient in zip(found_inf, gradients, strict=True):
        p.grad = gradient.clone()
        if bad is not None:
            optimizer.found_inf = torch.tensor(bad)
        optimizer.step()
    return p.detach(), optimizer.state[p]


def test_a_shared_moment_is_left_alone_where_the_device_says_so():
    gradients = [torch.randn(2, 3, generator=torch.Generator().manual_seed(i)) for i in range(3)]
    broken = torch.full((2, 3), NAN)
    plain, moments = shared([None] * 3, gradients)
    skipping, same_moments = shared([1.0, 0.0, 1.0, 0.0, 0.0], [broken, gradients[0], broken, *gradients[1:]])
    torch.testing.assert_close(skipping, plain, rtol=1e-6, atol=1e-7)
    assert same_moments["step"] == 3
    for name, value in moments.items():
        torch.testing.assert_close(same_moments[name], value, rtol=1e-6, atol=0)
    untouched, _ = shared([1.0], [broken])
    assert torch.equal(untouched, torch.linspace(-1, 1, 6).view(2, 3))


@pytest.mark.parametrize("kind", [torch.optim.Adam, SharedAdam])
def test_on_the_host_no_optimiser_steps_where_one_gradient_is_bad(kind):
    a, b = (torch.nn.Parameter(torch.ones(3)) for _ in range(2))
    optimizers = [kind([a], lr=0.1), torch.optim.AdamW([b], lr=0.1)]
    for values in ([NAN, 1.0, 1.0], [1.0, 2.0, 3.0]):
        a.grad, b.grad = torch.tensor(values), torch.ones(3)
        step_unless(not_finite([a.grad, b.grad], CPU), optimizers)
        moved = [not torch.equal(p.detach(), torch.ones(3)) for p in (a, b)]
        assert moved == [values[0] == 1.0] * 2


def test_steps_are_counted_in_a_row_and_told_once():
    bad = BadSteps(2)
    assert bad.settle() == 0 and bad.n == 2, "what was counted before is not news"
    bad.add(Late(torch.tensor([0.5, 1.0])))
    assert bad.settle(n_open=1) == 3 and bad.settle() == 0
    bad.add(Late(torch.tensor([0.5, 0.0])))
    assert bad.n == 0


def test_a_lora_whose_gradient_is_not_finite_holds_the_scene_back_too():
    prior = load_prior("learned")
    prompts = encode_texts(build_texts(PromptConfig(prompt="a cube")), prior.encode_prompt)
    guidance, scene = build_guidance("vsd"), ImageScene(ImageConfig(size=16))
    config = OptimConfig(n_steps=3, size=16, max_bad_steps=2)
    state = OptimState.create(scene, config, create_adapter(prior, guidance, 0))
    steps = optimize(Distillation(prior, prompts, guidance, scene, CameraConfig(), config), state)
    assert not next(steps).skipped
    before = [p.detach().clone() for p in (*scene.parameters(), *state.adapter.adapter.parameters())]
    state.adapter.adapter.up[0].register_hook(lambda grad: grad * NAN)
    assert next(steps).skipped
    after = [*scene.parameters(), *state.adapter.adapter.parameters()]
    assert all(torch.equal(a, b) for a, b in zip(after, before, strict=True))
    with pytest.raises(RuntimeError, match="2 consecutive steps"):
        next(steps)
    assert (state.step, state.bad_steps) == (3, 2), "the step is over: a resume does not repeat it"
