from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from tbsd_pack.tbsd_core.priors.small_world.exact import ExactConfig, ExactPrior
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

SIZE = 8


@pytest.fixture(scope="module")
def prior() -> ExactPrior:
    return ExactPrior(ExactConfig(size=SIZE, n_azimuth=2, elevations=(20.0,), faults_per_view=1))


def centres(prior: ExactPrior) -> torch.Tensor:
    """The mixture's centres as latents, recovered through the public decoder's inverse."""
    return prior.encode(prior.decode(prior._x.view(-1, 3, SIZE, SIZE))).double()


def noisy(prior: ExactPrior, t: int, seed: int = 0) -> torch.Tensor:
    x_0 = centres(prior)[[3, 40]].float()
    noise = torch.randn(x_0.shape, generator=torch.Generator().manual_seed(seed))
    return prior.schedule.add_noise(x_0, noise, torch.tensor([t, t]))


@pytest.mark.parametrize("t", [20, 300, 900])
@pytest.mark.parametrize("text", ["", "a brick house, front view", "blurry"])
def test_prediction_is_the_score_of_the_mixture(prior, t, text):
    """eps = -sigma_t grad log p_t(x_t), with torch's own mixture density and automatic differentiation."""
    log_w = prior.encode_prompt(text)
    x_t, steps = noisy(prior, t), torch.tensor([t, t])
    a_bar = prior.schedule.alphas_cumprod[t].double()
    var = a_bar * prior.config.tau**2 + 1 - a_bar
    mixture = MixtureSameFamily(
        Categorical(logits=log_w.double()),
        Independent(Normal(a_bar.sqrt() * centres(prior).flatten(1), var.sqrt()), 1),
    )
    x = x_t.double().flatten(1).requires_grad_()
    (score,) = torch.autograd.grad(mixture.log_prob(x).sum(), x)
    (eps,) = prior.predict_noise(x_t, steps, [[log_w, log_w]])
    expected = (-(1 - a_bar).sqrt() * score).view_as(x_t).float()
    torch.testing.assert_close(eps, expected, atol=2e-3, rtol=2e-3)


def test_prediction_equals_the_sum_written_out(prior):
    t = 400
    log_w, x_t = prior.encode_prompt("a dotted mushroom"), noisy(prior, t)[:1]
    a_bar = float(prior.schedule.alphas_cumprod[t])
    alpha, sigma, tau = math.sqrt(a_bar), math.sqrt(1 - a_bar), prior.config.tau
    var = a_bar * tau**2 + sigma**2
    weights, denoised = [], []
    for w, x_i in zip(log_w.double().tolist(), centres(prior), strict=True):
        apart = x_t[0].double() - alpha * x_i
        weights.append(w - float((apart**2).sum()) / (2 * var))
        denoised.append(x_i + alpha * tau**2 / var * apart)
    p = [math.exp(w - max(weights)) for w in weights]
    mean = sum(q * d for q, d in zip(p, denoised, strict=True)) / sum(p)
    (eps,) = prior.predict_noise(x_t, torch.tensor([t]), [[log_w]])
    torch.testing.assert_close(eps[0].double(), (x_t[0].double() - alpha * mean) / sigma, atol=2e-3, rtol=2e-3)


def test_conditions_and_samples_of_a_batch_are_independent(prior):
    t = torch.tensor([100, 700])
    x_t = torch.randn(2, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    a, b = prior.encode_prompt("a brick cube"), prior.encode_prompt("")
    together = prior.predict_noise(x_t, t, [[a, b], [b, a]])
    alone = prior.predict_noise(x_t[1:], t[1:], [[b], [a]])
    assert len(together) == 2 and together[0].shape == x_t.shape
    for batch, single in zip(together, alone, strict=True):
        torch.testing.assert_close(batch[1:], single)


def test_a_prompt_moves_weight_to_what_it_names(prior):
    def mass(text: str, **wanted: str) -> float:
        p = prior.encode_prompt(text).exp()
        assert abs(float(p.sum()) - 1) < 1e-5
        chosen = [all(getattr(label, k) == v for k, v in wanted.items()) for label in prior.labels]
        return float(p[torch.tensor(chosen)].sum())

    assert abs(mass("", shape="house") - 1 / 8) < 1e-5
    assert mass("a house", shape="house") > 0.9
    assert mass("a brick house", shape="house", material="brick") > 0.8
    assert mass("back view", view="back") > mass("", view="back")
    assert mass("sharp", degradations=()) > 0.98 > mass("a house", degradations=()) > mass("blurry", degradations=())


def test_unknown_words_and_wrong_sizes_are_refused(prior):
    with pytest.raises(ValueError, match="'dragon'"):
        prior.encode_prompt("a dragon")
    with pytest.raises(ValueError, match=r"\[B, 3, 8, 8\], got \(1, 3, 16, 16\)"):
        prior.predict_noise(torch.zeros(1, 3, 16, 16), torch.tensor([1]), [[prior.encode_prompt("")]])


def test_encode_is_differentiable_and_undone_by_decode(prior):
    images = torch.rand(2, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0)).requires_grad_()
    latents = prior.encode(images)
    latents.sum().backward()
    torch.testing.assert_close(images.grad, torch.full_like(images, 2.0))
    torch.testing.assert_close(prior.decode(latents), images.detach())
    assert prior.encode(torch.rand(1, 3, 32, 32)).shape == (1, 3, SIZE, SIZE)


def test_posterior_finds_the_stored_image(prior):
    x_0 = centres(prior).float()
    p = prior.posterior(prior.decode(x_0), sigma=0.05)
    torch.testing.assert_close(p.sum(-1), torch.ones(len(p)))
    same = torch.cdist(x_0.flatten(1), x_0.flatten(1)) < 0.02  # a sphere has views that look alike
    assert ((p * same).sum(-1) > 0.9).float().mean() > 0.95


@pytest.mark.parametrize("bad", [{"tau": 0.0}, {"clean_share": 1.0}])
def test_config_refuses_values_out_of_range(bad):
    with pytest.raises(ValueError, match=f"{next(iter(bad))} must be"):
        ExactConfig(**bad)


def test_priors_of_one_configuration_share_what_is_rendered():
    small = ExactConfig(size=SIZE, n_azimuth=2, elevations=(20.0,), faults_per_view=0)
    first, same = ExactPrior(small), ExactPrior(ExactConfig(**vars(small)))
    assert same.labels is first.labels and torch.equal(same._x, first._x)
    assert len(ExactPrior(replace(small, n_azimuth=1)).labels) < len(first.labels)
