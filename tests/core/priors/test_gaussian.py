from __future__ import annotations

import pytest
import torch
from tbsd_pack.tbsd_core.priors.gaussian import GaussianCondition, GaussianPrior


def make_prior() -> GaussianPrior:
    picture = torch.rand(3, 4, 4, generator=torch.Generator().manual_seed(0))
    return GaussianPrior({"": GaussianCondition(0.0, 1.0), "a picture": GaussianCondition(picture, 0.1)})


def log_density(x_t: torch.Tensor, condition: GaussianCondition, alpha, sigma) -> torch.Tensor:
    """log N(x_t; alpha mean, alpha^2 variance + sigma^2), up to a constant."""
    return -((x_t - alpha * condition.mean) ** 2 / (2 * (alpha**2 * condition.variance + sigma**2))).sum()


@pytest.mark.parametrize("t", [0, 300, 999])
@pytest.mark.parametrize("text", ["", "a picture"])
def test_prediction_is_the_score_of_the_noisy_density(text, t):
    """eps = -sigma_t grad log p_t(x_t), with the gradient by automatic differentiation."""
    prior = make_prior()
    condition, steps = prior.encode_prompt(text), torch.tensor([t])
    x_t = torch.randn(1, 3, 4, 4, generator=torch.Generator().manual_seed(1)).requires_grad_()
    alpha, sigma = prior.schedule.alpha_sigma(steps)
    (score,) = torch.autograd.grad(log_density(x_t, condition, alpha, sigma), x_t)
    (eps,) = prior.predict_noise(x_t, steps, [[condition]])
    torch.testing.assert_close(eps, -sigma * score)
    assert not eps.requires_grad


def test_exact_formula():
    prior = GaussianPrior({"c": GaussianCondition(2.0, 0.5)})
    t = torch.tensor([500])
    a_bar = prior.schedule.alphas_cumprod[500].double()
    x_t = torch.full((1, 3, 2, 2), 0.7)
    (eps,) = prior.predict_noise(x_t, t, [[prior.encode_prompt("c")]])
    expected = (1 - a_bar).sqrt() * (0.7 - a_bar.sqrt() * 2) / (a_bar * 0.5 + 1 - a_bar)
    torch.testing.assert_close(eps.double(), expected.expand(1, 3, 2, 2), rtol=1e-5, atol=1e-6)


def test_point_mass_is_denoised_exactly():
    prior = GaussianPrior({"point": GaussianCondition(0.3, 0.0)})
    t, noise = torch.tensor([10, 900]), torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    x_t = prior.schedule.add_noise(torch.full_like(noise, 0.3), noise, t)
    (eps,) = prior.predict_noise(x_t, t, [[prior.encode_prompt("point")] * 2])
    torch.testing.assert_close(eps, noise, rtol=1e-4, atol=1e-4)


def test_each_sample_has_its_own_condition():
    prior = make_prior()
    a, b = prior.encode_prompt(""), prior.encode_prompt("a picture")
    x_t, t = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0)), torch.tensor([100, 800])
    mixed, plain, picture = prior.predict_noise(x_t, t, [[a, b], [a, a], [b, b]])
    assert torch.equal(mixed[0], plain[0]) and torch.equal(mixed[1], picture[1])


def test_latents_are_the_images():
    prior, images = make_prior(), torch.rand(1, 3, 4, 4)
    assert torch.equal(prior.encode(images), images) and torch.equal(prior.decode(images), images)
    assert (prior.spatial_factor, prior.latent_channels) == (1, 3)


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="knows '', 'a picture'"):
        make_prior().encode_prompt("a dragon")
    with pytest.raises(ValueError, match="variance"):
        GaussianCondition(0.0, -1.0)
