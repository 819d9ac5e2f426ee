from __future__ import annotations

import torch
from guidance_properties import SHAPE
from tbsd_pack.tbsd_core.guidance.ddim import ddim_sigma, ddim_step, n_steps_up, walk_up
from tbsd_pack.tbsd_core.priors.gaussian import GaussianCondition, GaussianPrior


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_a_step_keeps_the_noise_and_the_clean_latents_it_stands_for():
    x_0, eps = draw(3, *SHAPE), draw(3, *SHAPE, seed=1)
    a, b = torch.tensor([0.9, 0.5, 0.1]), torch.tensor([0.4, 0.7, 0.01])
    x = a.view(-1, 1, 1, 1).sqrt() * x_0 + (1 - a).view(-1, 1, 1, 1).sqrt() * eps
    expected = b.view(-1, 1, 1, 1).sqrt() * x_0 + (1 - b).view(-1, 1, 1, 1).sqrt() * eps
    torch.testing.assert_close(ddim_step(x, eps, a, b), expected)


def test_up_and_down_with_one_prediction_is_where_it_began():
    x, eps = draw(2, *SHAPE), draw(2, *SHAPE, seed=1)
    a, b = torch.tensor([0.9, 0.5]), torch.tensor([0.3, 0.2])
    torch.testing.assert_close(ddim_step(ddim_step(x, eps, a, b), eps, b, a), x, atol=1e-5, rtol=1e-5)


def test_the_noise_of_a_step_is_that_of_the_posterior():
    """DDPM's posterior variance (1 - a) / (1 - b) beta with beta = 1 - b / a; none from a clean picture."""
    a, b = torch.tensor([0.9, 1.0]), torch.tensor([0.6, 0.99])
    sigma = ddim_sigma(a, b).flatten()
    torch.testing.assert_close(sigma[0] ** 2, torch.tensor(0.1 / 0.4 * (1 - 0.6 / 0.9)))
    assert sigma[1] == 0


def walk(x, start, end, stride, drawn=None):
    prior = GaussianPrior({}, latent_channels=SHAPE[0])
    asked = []

    def predict(x, t, samples):
        asked.append((t.tolist(), samples.tolist()))
        return prior.predict_noise(x, t, [[GaussianCondition(0.4, 0.05)] * len(t)])[0]

    return walk_up(x, start, end, stride, prior.schedule, predict, drawn), asked, prior


def test_samples_walk_each_on_its_own_way_and_are_evaluated_no_longer_than_that():
    start, end = torch.tensor([0, 0, 100, 5]), torch.tensor([450, 200, 100, 30])
    x, asked, _ = walk(draw(4, *SHAPE), start, end, 200)
    assert asked == [([0, 0, 5], [0, 1, 3]), ([200], [0]), ([400], [0])]
    assert n_steps_up(start, end, 200).tolist() == [3, 1, 0, 1]
    for i in range(4):
        alone, _, _ = walk(draw(4, *SHAPE)[i : i + 1], start[i : i + 1], end[i : i + 1], 200)
        torch.testing.assert_close(x[i : i + 1], alone)


def test_the_walk_up_does_not_change_what_it_is_given():
    x, start, end = draw(2, *SHAPE), torch.tensor([0, 0]), torch.tensor([500, 900])
    before = x.clone(), start.clone(), end.clone()
    walk(x, start, end, 100)
    assert all(torch.equal(a, b) for a, b in zip(before, (x, start, end), strict=True))


def test_many_small_steps_follow_the_flow_of_a_gaussian():
    """Along the exact trajectory (x_t - alpha_t mean) / sqrt(alpha_t^2 variance + sigma_t^2) does not change."""
    start, end = torch.tensor([0, 0]), torch.tensor([300, 900])
    x = 0.4 + 0.3 * draw(2, *SHAPE)
    there, _, prior = walk(x, start, end, 1)
    parts = []
    for latents, t in ((x, start), (there, end)):
        alpha, sigma = prior.schedule.alpha_sigma(t)
        parts.append((latents - alpha * 0.4) / (alpha**2 * 0.05 + sigma**2).sqrt())
    torch.testing.assert_close(parts[0], parts[1], atol=0.04, rtol=0)


def test_noise_on_the_way_is_that_of_the_step_and_the_sample():
    x, start, end = draw(2, *SHAPE), torch.tensor([0, 0]), torch.tensor([200, 100])
    drawn = draw(2, 2, *SHAPE, seed=3)
    still, _, prior = walk(x, start, end, 100)
    noisy, _, _ = walk(x, start, end, 100, drawn)
    a_bar = prior.schedule.alphas_cumprod
    torch.testing.assert_close(noisy[1], still[1] + ddim_sigma(a_bar[:1], a_bar[100:101])[0] * drawn[0, 1])
    assert not torch.allclose(noisy[0], still[0])
