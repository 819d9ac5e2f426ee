"""Every family of pipelines as a prior."""

from __future__ import annotations

import socket
from types import SimpleNamespace

import diffusers
import pytest
import torch
from tbsd_pack.tbsd_core.priors.diffusers import load_diffusers_prior
from tiny_pipelines import CELLS, FAMILIES, SIZE, save_pipeline

VARIANTS = [("sd", "epsilon"), ("sd", "v_prediction"), ("sdxl", "epsilon"), ("sdxl", "v_prediction"), ("sd3", "flow")]
TEXTS = ("brick house", "")


def make(folder, family: str, kind: str = "epsilon"):
    return load_diffusers_prior(save_pipeline(folder / f"{family}_{kind}", family, kind))


@pytest.fixture(scope="module")
def priors(tmp_path_factory) -> dict:
    folder = tmp_path_factory.mktemp("pipelines")
    return {(family, kind): make(folder, family, kind) for family, kind in VARIANTS}


def network(prior):
    return "transformer" if hasattr(prior, "transformer") else "unet"


def noised(prior, batch: int = 2):
    generator = torch.Generator().manual_seed(0)
    x_0 = torch.randn(batch, prior.latent_channels, CELLS, CELLS, generator=generator)
    noise = torch.randn(x_0.shape, generator=generator)
    t = torch.tensor([900, 30])[:batch]
    return x_0, noise, t, prior.schedule.add_noise(x_0, noise, t)


def test_loading_opens_no_connection(tmp_path, monkeypatch):
    folders = [save_pipeline(tmp_path / family, family) for family in FAMILIES]

    def refuse(*arguments):
        raise AssertionError(f"a connection to {arguments[1:]}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket.socket, "connect_ex", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    for folder in folders:
        load_diffusers_prior(folder).encode_prompt("brick house")


@pytest.mark.parametrize("family, kind", VARIANTS)
def test_batched_predictions_equal_single_ones(priors, family, kind):
    prior = priors[family, kind]
    _, _, t, x_t = noised(prior)
    a, b = (prior.encode_prompt(text) for text in TEXTS)
    together = prior.predict_noise(x_t, t, [[a, b], [b, b]])
    for k, condition in enumerate(([a, b], [b, b])):
        for i in range(2):
            (alone,) = prior.predict_noise(x_t[i : i + 1], t[i : i + 1], [[condition[i]]])
            torch.testing.assert_close(together[k][i : i + 1], alone, atol=1e-5, rtol=1e-5)
    assert (together[0][0] - together[1][0]).abs().max() > 1e-5, "the prompt changes nothing"
    assert not together[0].requires_grad and together[0].dtype == torch.float32


@pytest.mark.parametrize("family, kind", VARIANTS)
def test_a_perfect_network_gives_back_the_noise(priors, family, kind, monkeypatch):
    """The network is replaced by what it should answer, given its own inputs and the true latents."""
    prior = priors[family, kind]
    x_0, noise, t, x_t = noised(prior)
    seen = {}

    def velocity_of_flow(hidden_states, timestep, **rest):
        s = (timestep / 1000).view(-1, 1, 1, 1)
        seen["input"] = (1 - s) * x_0 + s * noise - hidden_states
        return SimpleNamespace(sample=noise - x_0)

    def output_of_unet(x, steps, context, **rest):
        alpha, sigma = prior.schedule.alpha_sigma(steps)
        seen["input"] = alpha * x_0 + sigma * noise - x
        return SimpleNamespace(sample=noise if kind == "epsilon" else alpha * noise - sigma * x_0)

    real = getattr(prior, network(prior))
    ideal = velocity_of_flow if family == "sd3" else output_of_unet
    monkeypatch.setattr(real, "forward", ideal)
    (found,) = prior.predict_noise(x_t, t, [[prior.encode_prompt("brick house")] * 2])
    assert seen["input"].abs().max() < 1e-5, "the network was not given what it was trained on"
    torch.testing.assert_close(found, noise, atol=1e-5, rtol=0)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_gradient_of_encoding_is_that_of_finite_differences(priors, family):
    prior = next(p for (name, _), p in priors.items() if name == family)
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(1, 3, SIZE, SIZE, generator=generator).requires_grad_()
    latents = prior.encode(images)
    assert latents.shape == (1, 4, CELLS, CELLS) and latents.dtype == torch.float32
    weights = torch.randn(latents.shape, generator=generator)
    (grad,) = torch.autograd.grad((latents * weights).sum(), images)
    way = torch.randn(images.shape, generator=generator)
    prior.vae.double()
    step = 1e-4
    with torch.no_grad():
        ends = [(double_encode(prior, images + sign * step * way) * weights).sum() for sign in (1, -1)]
    prior.vae.float()
    assert float((grad * way).sum()) == pytest.approx(float(ends[0] - ends[1]) / (2 * step), rel=1e-3)


def double_encode(prior, images):
    config = prior.vae.config
    mean = prior.vae.encode(2 * images.double() - 1).latent_dist.mean
    return (mean - (config.shift_factor or 0)) * config.scaling_factor


@pytest.mark.parametrize("family", FAMILIES)
def test_decoding_is_that_of_diffusers(priors, family):
    prior = next(p for (name, _), p in priors.items() if name == family)
    latents = torch.randn(2, 4, CELLS, CELLS, generator=torch.Generator().manual_seed(3))
    config = prior.vae.config
    processor = diffusers.image_processor.VaeImageProcessor()
    with torch.no_grad():
        raw = prior.vae.decode(latents / config.scaling_factor + (config.shift_factor or 0)).sample
    torch.testing.assert_close(prior.decode(latents), processor.postprocess(raw, "pt"))


@pytest.mark.parametrize("with_t5", [False, True])
def test_sd3_text_is_that_of_the_pipeline(tmp_path, with_t5):
    folder = save_pipeline(tmp_path / "sd3", "sd3", with_t5=with_t5)
    prior = load_diffusers_prior(folder)
    absent = {} if with_t5 else {"text_encoder_3": None, "tokenizer_3": None}
    pipe = diffusers.StableDiffusion3Pipeline.from_pretrained(folder, local_files_only=True, **absent)
    for text in TEXTS:
        context, _, pooled, _ = pipe.encode_prompt(text, None, None, do_classifier_free_guidance=False)
        found = prior.encode_prompt(text)
        torch.testing.assert_close(found.context, context)
        torch.testing.assert_close(found.pooled, pooled)


def test_sdxl_text_is_that_of_the_pipeline(tmp_path):
    folder = save_pipeline(tmp_path / "sdxl", "sdxl")
    prior = load_diffusers_prior(folder)
    pipe = diffusers.StableDiffusionXLPipeline.from_pretrained(folder, local_files_only=True)
    context, empty, pooled, empty_pooled = pipe.encode_prompt("brick house")
    found, none = prior.encode_prompt("brick house"), prior.encode_prompt("")
    torch.testing.assert_close(found.context, context)
    torch.testing.assert_close(found.pooled, pooled)
    torch.testing.assert_close(none.context, empty)
    torch.testing.assert_close(none.pooled, empty_pooled)


def test_sdxl_time_ids_are_those_of_the_pipeline(tmp_path, monkeypatch):
    folder = save_pipeline(tmp_path / "sdxl", "sdxl")
    prior = load_diffusers_prior(folder)
    pipe = diffusers.StableDiffusionXLPipeline.from_pretrained(folder, local_files_only=True)
    seen = []
    hook = prior.unet.register_forward_pre_hook(
        lambda m, a, k: seen.append(k["added_cond_kwargs"]["time_ids"]), with_kwargs=True
    )
    _, _, t, x_t = noised(prior)
    prior.predict_noise(x_t, t, [[prior.encode_prompt("brick")] * 2])
    hook.remove()
    size = (SIZE, SIZE)
    expected = pipe._get_add_time_ids(size, (0, 0), size, torch.float32, text_encoder_projection_dim=24)
    torch.testing.assert_close(seen[0], expected.expand(2, 6))


def test_sd_text_is_that_of_the_pipeline(tmp_path):
    folder = save_pipeline(tmp_path / "sd", "sd")
    prior = load_diffusers_prior(folder)
    pipe = diffusers.StableDiffusionPipeline.from_pretrained(folder, local_files_only=True)
    context, empty = pipe.encode_prompt("brick house", "cpu", 1, True)
    torch.testing.assert_close(prior.encode_prompt("brick house"), context)
    torch.testing.assert_close(prior.encode_prompt(""), empty)


@pytest.mark.parametrize("family", FAMILIES)
def test_half_precision_leaves_the_autoencoder_in_float32(tmp_path, family):
    prior = load_diffusers_prior(save_pipeline(tmp_path / family, family), dtype=torch.bfloat16)
    assert getattr(prior, network(prior)).dtype == torch.bfloat16
    assert prior.vae.dtype == torch.float32
    _, _, t, x_t = noised(prior)
    (eps,) = prior.predict_noise(x_t, t, [[prior.encode_prompt("brick")] * 2])
    assert eps.dtype == torch.float32 and eps.isfinite().all()


def test_an_autoencoder_that_allows_half_precision_gets_it(tmp_path):
    folder = save_pipeline(tmp_path / "sdxl", "sdxl")
    config = folder / "vae" / "config.json"
    config.write_text(config.read_text().replace('"force_upcast": true', '"force_upcast": false'))
    assert load_diffusers_prior(folder, dtype=torch.bfloat16).vae.dtype == torch.bfloat16
    # but in float16 a step's gradient, divided by the number of latents, is too small for it
    assert load_diffusers_prior(folder, dtype=torch.float16).vae.dtype == torch.float32


def test_a_prompt_that_is_too_long_is_reported(tmp_path, caplog):
    prior = load_diffusers_prior(save_pipeline(tmp_path / "sd", "sd"))
    assert prior.encode_prompt("x" * 100).shape == (1, 77, 16)
    assert "reads 77 of the 102 tokens" in caplog.text
