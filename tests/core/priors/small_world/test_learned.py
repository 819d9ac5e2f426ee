from __future__ import annotations

import json

import pytest
import torch
from tbsd_pack.tbsd_core.priors.small_world import load_prior
from tbsd_pack.tbsd_core.priors.small_world.learned import WEIGHTS, load_learned_prior
from tbsd_pack.tbsd_core.priors.small_world.materials import MATERIALS
from tbsd_pack.tbsd_core.priors.small_world.shapes import SHAPES
from tbsd_pack.tbsd_core.priors.small_world.world import render_truth, view_cameras


@pytest.fixture(scope="module")
def prior():
    return load_learned_prior()


def test_the_weights_are_small_and_safe():
    files = [p for p in WEIGHTS.rglob("*") if p.is_file()]
    assert {p.suffix for p in files} == {".safetensors", ".json"}
    assert sum(p.stat().st_size for p in files) <= 12 * 2**20
    assert not [p for p in files if p.suffix == ".json" and not isinstance(json.loads(p.read_text()), dict)]


def test_the_parts_have_the_promised_form(prior):
    assert 2e6 <= sum(p.numel() for p in prior.unet.parameters()) <= 4e6
    assert (prior.latent_channels, prior.spatial_factor, prior.schedule.n_timesteps) == (4, 4, 1000)
    assert not any(p.requires_grad for part in (prior.unet, prior.vae, prior.text_encoder) for p in part.parameters())


def test_batched_predictions_equal_single_ones(prior):
    generator = torch.Generator().manual_seed(0)
    x_t, t = torch.randn(2, 4, 16, 16, generator=generator), torch.tensor([150, 800])
    a, b = prior.encode_prompt("a brick house, front view"), prior.encode_prompt("")
    together = prior.predict_noise(x_t, t, [[a, b], [b, b]])
    for k, condition in enumerate(([a, b], [b, b])):
        for i in range(2):
            (alone,) = prior.predict_noise(x_t[i : i + 1], t[i : i + 1], [[condition[i]]])
            torch.testing.assert_close(together[k][i : i + 1], alone, atol=1e-5, rtol=1e-5)
    assert not together[0].requires_grad and together[0].dtype == torch.float32


def test_the_prompt_matters_and_the_prediction_is_close_to_the_noise(prior):
    cameras = view_cameras(torch.tensor([20.0]), torch.tensor([15.0]))
    x_0 = prior.encode(render_truth("house", "brick", cameras).images)
    noise = torch.randn(x_0.shape, generator=torch.Generator().manual_seed(0))
    t = torch.tensor([500])
    x_t = prior.schedule.add_noise(x_0, noise, t)
    texts = ("a brick house, front view", "a marble sphere, back view")
    right, wrong = prior.predict_noise(x_t, t, [[prior.encode_prompt(text)] for text in texts])
    error, error_wrong = ((right - noise) ** 2).mean(), ((wrong - noise) ** 2).mean()
    assert error < 0.15 and error < 0.8 * error_wrong


def test_encode_is_differentiable(prior):
    images = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    latents = prior.encode(images)
    assert latents.shape == (1, 4, 16, 16) and latents.dtype == torch.float32
    latents.square().sum().backward()
    assert images.grad.isfinite().all() and (images.grad != 0).float().mean() > 0.99


@pytest.mark.parametrize("index, shape", enumerate(SHAPES))
def test_the_autoencoder_returns_the_image(prior, index, shape):
    material = list(MATERIALS)[index % len(MATERIALS)]
    truth = render_truth(shape, material, view_cameras(torch.tensor([30.0]), torch.tensor([20.0]))).images
    error = ((prior.decode(prior.encode(truth)) - truth) ** 2).mean()
    assert -10 * error.log10() > 24


def test_unknown_words_and_priors_are_refused(prior):
    with pytest.raises(ValueError, match="'dragon'.*"):
        prior.encode_prompt("a dragon")
    with pytest.raises(ValueError, match="'learnt'; choose one of learned, multiview, exact"):
        load_prior("learnt")


def test_a_folder_without_the_parts_is_refused(tmp_path):
    (tmp_path / "unet").mkdir()
    with pytest.raises(FileNotFoundError, match="it lacks vae, text_encoder, scheduler/"):
        load_learned_prior(tmp_path)
