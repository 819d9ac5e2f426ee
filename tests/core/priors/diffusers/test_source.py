"""Finding and recognising pipelines."""

from __future__ import annotations

import json
import socket

import diffusers
import pytest
import torch
from tbsd_pack.tbsd_core.priors.diffusers import check_pipeline, load_diffusers_prior
from tbsd_pack.tbsd_core.priors.small_world.learned import WEIGHTS
from tiny_pipelines import save_pipeline, vae_config


@pytest.fixture
def connections(monkeypatch) -> list:
    """Every address that something tries to reach; each try fails."""
    tried: list = []

    def refuse(*arguments, **options):
        tried.append(arguments)
        raise OSError("no network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setenv("HF_HUB_CACHE", "nowhere")
    return tried


def test_a_hub_id_is_fetched_only_when_allowed(connections):
    with pytest.raises(FileNotFoundError, match="--allow-download"):
        load_diffusers_prior("nobody/no-such-pipeline")
    assert connections == []
    with pytest.raises(Exception):  # noqa: B017 (whatever the hub's client makes of it)
        load_diffusers_prior("nobody/no-such-pipeline", allow_download=True)
    assert connections != []


def test_a_path_that_is_not_there_is_never_taken_for_a_hub_id(connections):
    with pytest.raises(FileNotFoundError, match="There is no file or folder"):
        load_diffusers_prior("/models/sd15/model.safetensors", allow_download=True)
    assert connections == []


@pytest.mark.parametrize(
    "family, prediction, name",
    [("sd", "epsilon", "sd15"), ("sd", "v_prediction", "sd21_v"), ("sdxl", "epsilon", "sdxl"), ("sd3", "", "sd3")],
)
def test_the_family_is_read_from_the_configuration(family, prediction, name, tmp_path):
    found = check_pipeline(save_pipeline(tmp_path, family, prediction or "epsilon"))
    assert (found.family, found.latent_channels, found.spatial_factor) == (name, 4, 2)


def test_an_unknown_class_lists_what_is_supported(tmp_path):
    folder = save_pipeline(tmp_path, "sd3")
    (folder / "model_index.json").write_text(json.dumps({"_class_name": "FluxPipeline"}))
    with pytest.raises(ValueError, match="FluxPipeline, which is not supported.*StableDiffusionXLPipeline.*ComfyUI"):
        load_diffusers_prior(folder)


def test_pickled_parts_are_refused(tmp_path):
    folder = save_pipeline(tmp_path, "sd")
    weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
    weights.rename(weights.with_suffix(".bin"))
    with pytest.raises(ValueError, match="diffusion_pytorch_model.bin is a pickle file"):
        load_diffusers_prior(folder)


def test_weights_of_a_variant_are_found(tmp_path):
    plain = load_diffusers_prior(save_pipeline(tmp_path / "plain", "sd"))
    half = load_diffusers_prior(save_pipeline(tmp_path / "half", "sd", variant="fp16"))
    assert (tmp_path / "half" / "unet" / "diffusion_pytorch_model.fp16.safetensors").is_file()
    assert torch.equal(plain.unet.conv_in.weight, half.unet.conv_in.weight)


def test_missing_parts_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="no model_index.json"):
        load_diffusers_prior(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(FileNotFoundError, match="name one of them: model.safetensors"):
        load_diffusers_prior(tmp_path)
    (tmp_path / "model_index.json").write_bytes((WEIGHTS / "model_index.json").read_bytes())
    with pytest.raises(FileNotFoundError, match="it lacks unet, vae, text_encoder, scheduler, tokenizer/"):
        load_diffusers_prior(tmp_path)


def test_an_inpainting_network_is_refused(tmp_path):
    folder = save_pipeline(tmp_path, "sd")
    diffusers.AutoencoderKL(**vae_config("sd") | {"latent_channels": 2}).save_pretrained(folder / "vae")
    with pytest.raises(ValueError, match="inpainting or editing model"):
        load_diffusers_prior(folder)


def test_a_scheduler_without_betas_is_refused(tmp_path):
    folder = save_pipeline(tmp_path, "sd")
    path = folder / "scheduler" / "scheduler_config.json"
    path.write_text(json.dumps({"_class_name": "EDMEulerScheduler", "sigma_data": 0.5}))
    with pytest.raises(ValueError, match="EDMEulerScheduler"):
        load_diffusers_prior(folder)


def test_a_last_level_without_signal_is_left_out(tmp_path):
    folder = save_pipeline(tmp_path, "sd", "v_prediction")
    path = folder / "scheduler" / "scheduler_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"rescale_betas_zero_snr": True}))
    assert load_diffusers_prior(folder).schedule.n_timesteps == 999
