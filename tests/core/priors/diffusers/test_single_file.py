"""Checkpoints in one file."""

from __future__ import annotations

import socket

import diffusers
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from tbsd_pack.tbsd_core.priors.diffusers import FAMILIES, load_diffusers_prior, load_parts
from tbsd_pack.tbsd_core.priors.diffusers.architectures import ARCHITECTURES
from tbsd_pack.tbsd_core.priors.diffusers.clip_bpe import merges_file, vocabulary, write_tokenizer
from tbsd_pack.tbsd_core.priors.diffusers.parts import load_tokenizer, token_ids
from tbsd_pack.tbsd_core.priors.diffusers.single_file import architecture, load_single_file, recognise
from tbsd_pack.tbsd_core.priors.diffusers.source import inspect
from tiny_pipelines import CELLS, save_pipeline, save_single_file, text_config, unet_config, vae_config

KINDS = {"sd": "StableDiffusionPipeline", "sdxl": "StableDiffusionXLPipeline"}
NETWORK = "model.diffusion_model."


def tiny_configs(family: str) -> dict:
    scheduler = ARCHITECTURES["sd1"]["scheduler"] | {"prediction_type": "epsilon"}
    configs = {"model_index": {"_class_name": KINDS[family]}, "unet": unet_config(family), "vae": vae_config(family)}
    configs |= {"scheduler": scheduler, "text_encoder": text_config(16)}
    return configs | ({"text_encoder_2": text_config(24, "gelu")} if family == "sdxl" else {})


@pytest.mark.parametrize("family", KINDS)
def test_a_single_file_predicts_what_its_folder_predicts(family, tmp_path, monkeypatch):
    folder = save_pipeline(tmp_path / "folder", family)
    kind = FAMILIES[KINDS[family]]
    parts = load_parts(folder, kind.parts, torch.float32)
    path = save_single_file(parts, family, tmp_path / "model.safetensors")

    def refuse(*arguments):
        raise AssertionError(f"a connection to {arguments[1:]}")

    for name in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    loaded = load_single_file(path, tiny_configs(family), torch.float32)

    for name in ("unet", "vae", *(n for n in parts if n.startswith("text_encoder"))):
        expected, found = parts[name].state_dict(), loaded[name].state_dict()
        assert expected.keys() == found.keys()
        assert all(torch.equal(expected[k], found[k]) for k in expected), name
    ours = {n: p for n, p in loaded.items() if not n.startswith("tokenizer")}
    ours |= {n: p for n, p in parts.items() if n.startswith("tokenizer")}  # the tiny one has another vocabulary
    a, b = (kind.build(p, {}, torch.device("cpu")) for p in (parts, ours))
    x_t, t = torch.randn(1, 4, CELLS, CELLS, generator=torch.Generator().manual_seed(0)), torch.tensor([500])
    (eps_a,), (eps_b,) = (p.predict_noise(x_t, t, [[p.encode_prompt("brick")]]) for p in (a, b))
    torch.testing.assert_close(eps_a, eps_b, atol=1e-6, rtol=1e-5)
    assert torch.equal(a.schedule.alphas_cumprod, b.schedule.alphas_cumprod)


@pytest.mark.parametrize(
    "name",
    [
        NETWORK + "middle_block.0.in_layers.2.weight",
        "first_stage_model.decoder.conv_in.weight",
        "cond_stage_model.transformer.text_model.final_layer_norm.weight",
    ],
)
def test_missing_weights_are_reported(name, tmp_path):
    kind = FAMILIES[KINDS["sd"]]
    parts = load_parts(save_pipeline(tmp_path / "folder", "sd"), kind.parts, torch.float32)
    path = save_single_file(parts, "sd", tmp_path / "model.safetensors")
    tensors = load_file(str(path))
    del tensors[name]
    save_file(tensors, str(path))
    with pytest.raises(ValueError, match="lacks weights of its network, autoencoder or text encoder"):
        load_single_file(path, tiny_configs("sd"), torch.float32)


def shapes(width: int, vector: int | None = None, channels: int = 4) -> dict[str, list[int]]:
    """The names that tell a checkpoint's architecture."""
    found = {NETWORK + "input_blocks.0.0.weight": [320, channels, 3, 3]}
    found[NETWORK + "input_blocks.4.1.transformer_blocks.0.attn2.to_k.weight"] = [640, width]
    return found | ({NETWORK + "label_emb.0.0.weight": [1280, vector]} if vector else {})


def write(path, found: dict[str, list[int]], metadata: dict | None = None, **more: torch.Tensor):
    tensors = {k: torch.zeros(v, dtype=torch.float16) for k, v in found.items()}
    save_file(tensors | more, str(path), metadata)
    return path


@pytest.mark.parametrize(
    "name, counts",
    [
        ("sd1", {"unet": 859_520_964, "vae": 83_653_863, "text_encoder": 123_060_480}),
        ("sd2", {"unet": 865_910_724, "vae": 83_653_863, "text_encoder": 340_387_840}),
        (
            "sdxl",
            {
                "unet": 2_567_463_684,
                "vae": 83_653_863,
                "text_encoder": 123_060_480,
                "text_encoder_2": 694_659_840,
            },
        ),
    ],
)
def test_the_architectures_have_the_published_sizes(name, counts):
    kinds = {"unet": diffusers.UNet2DConditionModel, "vae": diffusers.AutoencoderKL}
    found = {}
    for part in counts:
        config = ARCHITECTURES[name][part]
        with torch.device("meta"):
            if part in kinds:
                model = kinds[part](**config)
            else:
                kind = FAMILIES[ARCHITECTURES[name]["model_index"]["_class_name"]].parts[part]
                model = getattr(transformers, kind)(transformers.CLIPTextConfig(**config))
        found[part] = sum(p.numel() for p in model.parameters())
    assert found == counts


@pytest.mark.parametrize(
    ("width", "prediction", "family", "size"),
    [
        (768, "epsilon", "sd15", 512),
        (768, "v", "sd15", 512),  # a fine-tuned one
        (1024, "epsilon", "sd21_base", 512),
        (1024, "v", "sd21_v", 768),
    ],
)
def test_family_and_size_are_those_of_the_training(width, prediction, family, size, tmp_path):
    path = write(tmp_path / "model.safetensors", shapes(width), {"modelspec.prediction_type": prediction})
    found = inspect(path)
    assert (found.family, found.native_size) == (family, size)


@pytest.mark.parametrize("width, vector, name", [(768, None, "sd1"), (1024, None, "sd2"), (2048, 2816, "sdxl")])
def test_the_architecture_is_told_by_shapes(width, vector, name, tmp_path):
    assert architecture(tmp_path, shapes(width, vector)) == name


@pytest.mark.parametrize(
    "found, message",
    [
        (shapes(768, channels=9), "input channels 9"),  # inpainting
        (shapes(1280, 2560), "vector width 2560"),  # SDXL's refiner
        (shapes(2048, 2816) | {"edm_mean": [1]}, "not a text-to-image checkpoint"),  # Playground
        ({NETWORK + "joint_blocks.0.x_block.attn.qkv.weight": [8, 8]}, "is a transformer"),
        ({"lora_unet_down.weight": [4, 4]}, "it may be a LoRA"),
    ],
)
def test_other_checkpoints_are_refused(found, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        recognise(write(tmp_path / "model.safetensors", found))


def test_the_prediction_type_is_told(tmp_path):
    norm = NETWORK + "output_blocks.11.1.transformer_blocks.0.norm1.bias"
    wide, narrow = torch.linspace(-1, 1, 8), torch.linspace(-0.05, 0.05, 8)

    def predicted(name, found, metadata=None, **more):
        return recognise(write(tmp_path / f"{name}.safetensors", found, metadata, **more))["scheduler"]

    assert predicted("a", shapes(768))["prediction_type"] == "epsilon"
    assert predicted("b", shapes(1024), **{norm: narrow})["prediction_type"] == "epsilon"
    assert predicted("c", shapes(1024), **{norm: wide})["prediction_type"] == "v_prediction"
    stated = {"modelspec.prediction_type": "epsilon"}
    assert predicted("d", shapes(1024), stated, **{norm: wide})["prediction_type"] == "epsilon"
    marked = predicted("e", shapes(2048, 2816) | {"v_pred": [1], "ztsnr": [1]})
    assert marked["prediction_type"] == "v_prediction" and marked["rescale_betas_zero_snr"]


@pytest.mark.parametrize("suffix", [".ckpt", ".bin", ".pt"])
def test_pickles_are_refused_unread(suffix, tmp_path):
    path = tmp_path / f"model{suffix}"
    path.write_bytes(b"\x80\x04cposix\nsystem\n.")
    with pytest.raises(ValueError, match="runs any code that is in it"):
        load_diffusers_prior(path)


def test_a_damaged_file_is_reported(tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"no tensors at all")
    with pytest.raises(ValueError, match="damaged"):
        load_diffusers_prior(path)


def test_the_vocabulary_is_clips(tmp_path):
    tokens = vocabulary()
    assert len(tokens) == len(set(tokens)) == 49408
    write_tokenizer(tmp_path / "tokenizer", "<|endoftext|>")
    ids = token_ids(load_tokenizer(tmp_path / "tokenizer"), "a photo of an astronaut riding a horse", 77)
    expected = [49406, 320, 1125, 539, 550, 18376, 6765, 320, 4558, 49407]
    assert ids.shape == (1, 77) and ids[0, :10].tolist() == expected and set(ids[0, 10:].tolist()) == {49407}
    write_tokenizer(tmp_path / "tokenizer_2", "!")
    padded = token_ids(load_tokenizer(tmp_path / "tokenizer_2"), "a horse", 77)
    assert padded[0, :4].tolist() == [49406, 320, 4558, 49407] and set(padded[0, 4:].tolist()) == {0}


def test_the_list_of_tokens_is_the_hosts_where_the_archive_has_none(tmp_path):
    here, host = tmp_path / "pack.txt", tmp_path / "host.txt"
    with pytest.raises(FileNotFoundError, match="a pipeline folder with a tokenizer of its own"):
        merges_file((here, host))
    host.write_text("#version: 0.2")
    assert merges_file((here, host)) == host
    here.write_text("#version: 0.2")
    assert merges_file((here, host)) == here
