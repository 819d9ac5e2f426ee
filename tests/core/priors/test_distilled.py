"""Models that were distilled to a few steps are told where they can be."""

from __future__ import annotations

import json

import pytest
from tbsd_pack.tbsd_core.experiment import default_config, distilled_warning, run
from tbsd_pack.tbsd_core.priors.diffusers import check_pipeline
from tbsd_pack.tbsd_core.priors.distilled import named_warning
from tiny_pipelines import save_pipeline

MAX_WARNING = 300  # of a panel: nodes/bridge/runs.py


@pytest.mark.parametrize(
    "name, kind",
    [
        ("lcm-lora-sdv1-5.safetensors", "an LCM"),
        ("dreamshaper_8LCM.safetensors", "an LCM"),
        ("models--SimianLuo--Latent_Consistency", "an LCM"),
        ("pcm_sd15_4step_converted.safetensors", "a PCM or TCD model"),
        ("dmd2_sdxl_4step_lora.safetensors", "a DMD model"),
        ("sdxl_lightning_8step.safetensors", "Lightning"),
        ("juggernautXL_v9Rdphoto2Lightning.safetensors", "Lightning"),
        ("sd_xl_turbo_1.0_fp16.safetensors", "a turbo model"),
        ("Stable Diffusion XL 1.0 Turbo", "a turbo model"),
        ("flux1-schnell-fp8.safetensors", "Flux schnell"),
        ("Hyper-SD15-8steps-lora.safetensors", "Hyper-SD"),
        ("realisticVisionV60B1_v51HyperVAE.safetensors", "Hyper-SD"),
        ("flash_sdxl.safetensors", "Flash Diffusion"),
        ("my-fast-lora-4-steps.safetensors", "a model of a few steps"),
    ],
)
def test_names_tell(name, kind):
    said = named_warning(["v1-5-pruned-emaonly.safetensors", name])
    assert f"seems to be {kind}: distilled to a few steps" in said and "no score between its steps" in said


@pytest.mark.parametrize(
    "name",
    [
        *("v1-5-pruned-emaonly-fp16.safetensors", "sd_xl_base_1.0.safetensors", "flux1-dev.safetensors"),
        *("hyperrealism_v3.safetensors", "Hyper-Realistic.safetensors", "my_lora_1500steps.safetensors", "step12000"),
        *("sd3.5_medium.safetensors", "welcman.safetensors", "dreamshaper_8", ""),
    ],
)
def test_other_names_do_not(name):
    assert named_warning([name]) == ""


def test_a_long_name_leaves_room_for_the_sentence():
    assert len(named_warning(["a" * 200 + "-lightning.safetensors"])) <= MAX_WARNING


def changed(folder, file: str, **values) -> None:
    path = folder / file
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_the_network_of_a_guided_lcm_is_refused(tmp_path):
    folder = save_pipeline(tmp_path / "pipeline", "sd")
    check_pipeline(folder)
    changed(folder, "unet/config.json", time_cond_proj_dim=256)
    with pytest.raises(ValueError, match="not supported, because it is an LCM.*no score.*made from"):
        default_config("a brick house", "image", prior=f"diffusers:{folder}")


@pytest.mark.parametrize(
    "scheduler, said",
    [
        ({"_class_name": "LCMScheduler"}, "with the LCMScheduler seems to be an LCM"),
        ({"_class_name": "TCDScheduler"}, "a TCD or Hyper-SD model"),
        ({"_class_name": "EulerDiscreteScheduler", "timestep_spacing": "trailing"}, "a turbo model or Lightning"),
        ({"_class_name": "EulerAncestralDiscreteScheduler", "timestep_spacing": "trailing"}, "trailing timesteps"),
        ({"_class_name": "EulerDiscreteScheduler", "timestep_spacing": "leading"}, ""),
        ({"_class_name": "DDIMScheduler", "timestep_spacing": "trailing"}, ""),
    ],
)
def test_the_scheduler_of_a_pipeline_tells(scheduler, said, tmp_path):
    folder = save_pipeline(tmp_path / "pipeline", "sd")
    changed(folder, "scheduler/scheduler_config.json", **scheduler)
    found = distilled_warning(default_config("a brick house", "image", prior=f"diffusers:{folder}"))
    assert said in found and bool(said) == bool(found)


def test_a_pipeline_is_told_by_its_folder_its_repository_and_its_title(tmp_path):
    def said(folder):
        return distilled_warning(default_config("a house", "image", prior=f"diffusers:{save_pipeline(folder, 'sd')}"))

    assert "sd-turbo seems to be a turbo model" in said(tmp_path / "sd-turbo")
    assert "models--stabilityai--sd-turbo" in said(tmp_path / "models--stabilityai--sd-turbo" / "snapshots" / "0a1b")
    assert said(tmp_path / "lightning" / "sd") == "", "the folders around it say nothing"
    plain = tmp_path / "plain"
    assert said(plain) == ""
    changed(plain, "model_index.json", _name_or_path="ByteDance/SDXL-Lightning")
    assert "Lightning" in distilled_warning(default_config("a house", "image", prior=f"diffusers:{plain}"))


def test_the_title_inside_a_checkpoint_tells(tmp_path):
    import torch
    from safetensors.torch import save_file

    network = "model.diffusion_model."
    weights = {
        network + "input_blocks.0.0.weight": torch.zeros(320, 4, 3, 3),
        network + "input_blocks.4.1.transformer_blocks.0.attn2.to_k.weight": torch.zeros(640, 768),
    }
    path = tmp_path / "model.safetensors"
    save_file(weights, str(path), {"modelspec.title": "Stable Diffusion Turbo"})
    said = distilled_warning(default_config("a house", "image", prior=f"diffusers:{path}"))
    assert "Stable Diffusion Turbo seems to be a turbo model" in said


def test_a_run_says_it_and_keeps_it_in_its_report(tmp_path):
    heard = []
    config = default_config("a house", "latent", "sds", n_steps=1)
    assert distilled_warning(config) == ""
    folder = save_pipeline(tmp_path / "sd-turbo", "sd")
    config = default_config("a house", "latent", "sds", f"diffusers:{folder}", n_steps=1, size=64)
    report = run(config, tmp_path / "out", on_phase=heard.append)
    warning = distilled_warning(config)
    assert warning and warning in report["warnings"] and heard.count(warning) == 1
