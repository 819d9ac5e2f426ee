"""Properties of every guidance method, and the Gaussian inputs to check them on."""

from __future__ import annotations

import dataclasses
import json

import torch
from tbsd_pack.tbsd_core.guidance import GuidanceInputs
from tbsd_pack.tbsd_core.guidance.base import AT_SOURCE, SOURCE_NAMES
from tbsd_pack.tbsd_core.priors.gaussian import GaussianCondition, GaussianPrior
from tbsd_pack.tbsd_core.prompts.sets import SHARED

NAMES = ("target", "uncond", "negative", "target_negative", "lora", "lora_no_camera", *SOURCE_NAMES)
SHAPE = (3, 4, 4)
PROGRESS = (0.0, 0.3, 0.7, 1.0)
VARIANCE = 0.05  # of all conditions of `equal_variances`


def gaussian_prior() -> GaussianPrior:
    """One Gaussian per condition, with means that are pictures and different variances."""
    generator = torch.Generator().manual_seed(1)
    target = torch.rand(SHAPE, generator=generator)
    fault = 0.3 * torch.randn(SHAPE, generator=generator)
    return GaussianPrior(
        {
            "target": GaussianCondition(target, 0.05),
            "uncond": GaussianCondition(0.5, 0.2),
            "negative": GaussianCondition(0.5 + fault, 0.15),
            "target_negative": GaussianCondition(target + fault, 0.08),
            "lora": GaussianCondition(target - fault, 0.01),
            "lora_no_camera": GaussianCondition(target - 0.5 * fault, 0.1),
            "source": GaussianCondition(0.5 * target + fault, 0.06),
        }
    )


def make_inputs(progress: float = 0.5, batch: int = 4, names=NAMES, seed: int = 0, x: torch.Tensor | None = None):
    prior = gaussian_prior()
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(batch, *SHAPE, generator=generator)
    t = torch.randint(20, 980, (batch,), generator=generator)
    latents = torch.rand(batch, *SHAPE, generator=generator) if x is None else x
    source = torch.rand(batch, *SHAPE, generator=generator)
    eps = predictions(prior, names, latents, source, noise, t)
    a_bar = prior.schedule.alphas_cumprod[t]
    return GuidanceInputs(eps, noise, a_bar, t, progress, 1000, latents, source, prior.schedule)


def predictions(prior, names, latents, source, noise, t) -> dict[str, torch.Tensor]:
    """Those of a source at the source, each with the condition that it shares."""
    found = {}
    for name in names:
        x_t = prior.schedule.add_noise(source if name in AT_SOURCE else latents, noise, t)
        (found[name],) = prior.predict_noise(x_t, t, [[prior.encode_prompt(SHARED.get(name, name))] * len(t)])
    return found


def equal_variances() -> tuple[GaussianPrior, dict[str, torch.Tensor]]:
    """The shared prior with one variance, and its means: fixed points are then linear in the means."""
    prior = gaussian_prior()
    means = {n: torch.as_tensor(c.mean).expand(SHAPE) for n, c in prior.prompts.items()}
    return GaussianPrior({n: GaussianCondition(m, VARIANCE) for n, m in means.items()}), means


def gradient(method, prior, latents, source, t: int = 400, progress: float = 0.5, n: int = 1, seed: int = 0):
    """Of one picture [3, 4, 4] at one timestep, [3, 4, 4]."""
    noise = torch.randn(n, *SHAPE, generator=torch.Generator().manual_seed(seed))
    times = torch.full((n,), t)
    latents, source = (x.expand_as(noise) for x in (latents, source))
    eps = predictions(prior, method.required(progress), latents, source, noise, times)
    a_bar = prior.schedule.alphas_cumprod[times]
    return method(GuidanceInputs(eps, noise, a_bar, times, progress, 1000, latents, source, prior.schedule)).grad[0]


def a_source() -> torch.Tensor:
    return torch.rand(SHAPE, generator=torch.Generator().manual_seed(5))


def take(inputs: GuidanceInputs, index: slice) -> GuidanceInputs:
    eps = {name: e[index] for name, e in inputs.eps.items()}
    rows = {n: getattr(inputs, n)[index] for n in ("noise", "alphas_cumprod", "t", "latents", "source")}
    return dataclasses.replace(inputs, eps=eps, **rows)


def check_output_shapes(method) -> None:
    for u in PROGRESS:
        inputs = make_inputs(u)
        out = method(inputs)
        assert out.grad.shape == inputs.noise.shape and out.grad.dtype == torch.float32
        assert not out.grad.requires_grad and bool(torch.isfinite(out.grad).all())
        assert out.terms and all(term.shape == inputs.noise.shape for term in out.terms.values())
        assert out.scalars and all(s.shape == (4,) and bool(torch.isfinite(s).all()) for s in out.scalars.values())


def check_required_conditions_suffice(method) -> None:
    """The gradient is the same when nothing but the required conditions is there: no more is read."""
    for u in PROGRESS:
        names = method.required(u)
        assert len(set(names)) == len(names) and set(names) <= set(NAMES)
        assert torch.equal(method(make_inputs(u)).grad, method(make_inputs(u, names=names)).grad)


def check_samples_are_independent(method) -> None:
    for u in PROGRESS:
        inputs = make_inputs(u)
        whole = method(inputs).grad
        for i in range(len(whole)):
            torch.testing.assert_close(whole[i : i + 1], method(take(inputs, slice(i, i + 1))).grad)


def check_deterministic_and_stateless(method) -> None:
    """Progress may be visited in any order: a resumed run sees the same gradients."""
    first = {u: method(make_inputs(u)).grad for u in PROGRESS}
    for u in reversed(PROGRESS):
        assert torch.equal(first[u], method(make_inputs(u)).grad)


def check_scales_with_the_predictions(method) -> None:
    """Twice the predictions, the noise and the pictures make exactly twice the gradient: weights do not change."""
    for u in PROGRESS:
        inputs = make_inputs(u)
        eps = {name: 2 * e for name, e in inputs.eps.items()}
        twice = {name: 2 * getattr(inputs, name) for name in ("noise", "latents", "source")}
        doubled = dataclasses.replace(inputs, eps=eps, **twice)
        assert torch.equal(2 * method(inputs).grad, method(doubled).grad)


def check_config_is_plain_data(method) -> None:
    values = dataclasses.asdict(method.config)
    assert json.loads(json.dumps(values)) == values


ALL = (
    check_output_shapes,
    check_required_conditions_suffice,
    check_samples_are_independent,
    check_deterministic_and_stateless,
    check_scales_with_the_predictions,
    check_config_is_plain_data,
)
