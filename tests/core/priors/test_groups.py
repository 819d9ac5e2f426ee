"""A prior that sees the views of a group together: what a view gets, and what it gets of the others."""

from __future__ import annotations

import pytest
import torch
from tbsd_pack.tbsd_core.priors.base import Viewed, split_views, views_per_group, whole_groups
from tbsd_pack.tbsd_core.priors.camera_tokens import CameraTokens, camera_features
from tbsd_pack.tbsd_core.priors.diffusers.group_attention import attend_in_groups
from tbsd_pack.tbsd_core.priors.small_world import load_prior
from tbsd_pack.tbsd_core.priors.small_world.learned import load_learned_prior

CAMERAS = ((10.0, 20.0), (95.0, 20.0), (190.0, 20.0), (280.0, 20.0))


@pytest.fixture(scope="module")
def prior():
    return load_prior("multiview")


def noisy(n: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(n, 4, 8, 8, generator=torch.Generator().manual_seed(seed)), torch.full((n,), 600)


def seen(condition, cameras=CAMERAS) -> list[Viewed]:
    return [Viewed(condition, *camera) for camera in cameras]


def test_attention_over_one_view_is_the_ordinary_network_bit_for_bit():
    prior = load_learned_prior()
    x_t, t = noisy(4)
    rows = [[prior.encode_prompt("a brick house")] * 4]
    (before,) = prior.predict_noise(x_t, t, rows)
    attend_in_groups(prior.unet)
    (after,) = prior.predict_noise(x_t, t, rows)
    context = torch.cat(rows[0])
    one = prior.unet(x_t, t, context, cross_attention_kwargs={"views": 1}).sample
    four = prior.unet(x_t, t, context, cross_attention_kwargs={"views": 4}).sample
    assert torch.equal(before, after) and torch.equal(before, one)
    assert not torch.allclose(before, four, atol=1e-3)


def test_equal_views_attend_as_one_view():
    """Closed form: over copies of one view softmax gives each a quarter of the weight, and the same mean."""
    prior = load_learned_prior()
    attend_in_groups(prior.unet)
    x_t, t = noisy(1)
    context = prior.encode_prompt("a dotted cube")
    one = prior.unet(x_t, t, context).sample
    copies = prior.unet(
        x_t.expand(4, -1, -1, -1), t.expand(4), context.expand(4, -1, -1), cross_attention_kwargs={"views": 4}
    ).sample
    torch.testing.assert_close(copies, one.expand(4, -1, -1, -1), rtol=1e-4, atol=1e-5)


def test_permuted_views_are_permuted_predictions(prior):
    x_t, t = noisy(4)
    condition, order = prior.encode_prompt("a brick house"), [2, 0, 3, 1]
    (eps,) = prior.predict_noise(x_t, t, [seen(condition)])
    (permuted,) = prior.predict_noise(x_t[order], t, [seen(condition, [CAMERAS[i] for i in order])])
    torch.testing.assert_close(permuted, eps[order], rtol=1e-4, atol=1e-5)


def test_a_view_sees_the_others_of_its_group_and_no_other_group_or_condition(prior):
    x_t, t = noisy(8)
    target, empty = prior.encode_prompt("a brick house"), prior.encode_prompt("")
    rows = [seen(c, CAMERAS * 2) for c in (target, empty)]
    eps = prior.predict_noise(x_t, t, rows)
    (alone,) = prior.predict_noise(x_t[:4], t[:4], [seen(target)])
    torch.testing.assert_close(eps[0][:4], alone, rtol=1e-4, atol=1e-5)
    other = x_t.clone()
    other[0] += 1
    for was, now in zip(eps, prior.predict_noise(other, t, rows), strict=True):
        assert (now[1:4] - was[1:4]).abs().amax((1, 2, 3)).min() > 1e-4
        torch.testing.assert_close(now[4:], was[4:], rtol=1e-4, atol=1e-5)


def test_without_cameras_the_samples_are_pictures_by_themselves(prior):
    x_t, t = noisy(4)
    condition = prior.encode_prompt("a brick house")
    (eps,) = prior.predict_noise(x_t, t, [[condition] * 4])
    (first,) = prior.predict_noise(x_t[:1], t[:1], [[condition]])
    torch.testing.assert_close(eps[:1], first, rtol=1e-4, atol=1e-5)


def test_predictions_of_a_group_are_as_they_were(prior):
    x_t = torch.linspace(-1, 1, 4 * 4 * 8 * 8).view(4, 4, 8, 8)
    (eps,) = prior.predict_noise(x_t, torch.full((4,), 600), [seen(prior.encode_prompt("a brick house"))])
    assert eps[:, 0, 0, 0].tolist() == pytest.approx([-0.56372, -0.36197, -0.33677, -0.11180], abs=1e-4)
    assert float(eps.std()) == pytest.approx(0.30146, abs=1e-4)


def test_what_is_no_whole_group_is_one_clear_error(prior):
    x_t, t = noisy(3)
    condition = prior.encode_prompt("")
    with pytest.raises(ValueError, match="sees 4 views of an object at once, got 3: give it whole groups"):
        prior.predict_noise(x_t, t, [seen(condition, CAMERAS[:3])])
    with pytest.raises(ValueError, match="2 of the 3 conditions of a forward have cameras: give them to all"):
        prior.predict_noise(x_t, t, [[*seen(condition, CAMERAS[:2]), condition]])
    with pytest.raises(ValueError, match="this prior knows none: attach_cameras first"):
        load_learned_prior().predict_noise(x_t, t, [seen(condition, CAMERAS[:3])])


def test_groups_are_told_by_the_prior(prior):
    assert views_per_group(prior) == 4 and views_per_group(load_prior("learned")) == 1
    assert views_per_group(load_prior("exact")) == 1
    assert [whole_groups(n, 4) for n in (0, 1, 4, 7, 9)] == [0, 4, 4, 4, 8]
    assert split_views(["a", "b"], 4) == (["a", "b"], None)


def test_features_of_a_camera_are_its_sines_and_cosines_and_turn_with_it():
    features = camera_features(torch.tensor([0.0, 90.0, 450.0]), torch.tensor([0.0, 90.0, 90.0]))
    expected = torch.tensor([[0.0, 1, 0, 1, 0, 1], [1, 0, 0, -1, 1, 0], [1, 0, 0, -1, 1, 0]])
    torch.testing.assert_close(features, expected, rtol=0, atol=1e-5)
    torch.manual_seed(0)
    tokens = CameraTokens(8, n_tokens=3, hidden=5)
    assert tokens(torch.zeros(2), torch.zeros(2)).shape == (2, 3, 8)
