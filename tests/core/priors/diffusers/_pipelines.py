"""Pipelines of every family, real classes with a few thousand random weights, and a checkpoint in one file."""

from __future__ import annotations

import json
import re
from pathlib import Path

import torch

FAMILIES = ("sd", "sdxl", "sd3")
SIZE, CELLS = 16, 8  # pixels and latent cells: the autoencoders halve once
START, END = "<|startoftext|>", "<|endoftext|>"
LETTERS = [chr(c) for c in range(33, 127)]
TOKENS = [*LETTERS, *(c + "</w>" for c in LETTERS), START, END]


def write_tokenizer(folder: Path) -> None:
    """CLIP's tokenizer without merges: one token per letter."""
    folder.mkdir(parents=True)
    (folder / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(TOKENS)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    special = dict(bos_token=START, eos_token=END, unk_token=END, pad_token=END)
    config = dict(tokenizer_class="CLIPTokenizer", model_max_length=77, **special)
    (folder / "tokenizer_config.json").write_text(json.dumps(config))


def write_t5_tokenizer(folder: Path) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(models.WordLevel({"<pad>": 0, "<unk>": 1, "house": 2, "brick": 3}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=words, pad_token="<pad>", unk_token="<unk>").save_pretrained(folder)


def text_config(hidden: int, act: str = "quick_gelu", layers: int = 2) -> dict:
    return dict(
        vocab_size=len(TOKENS),
        hidden_size=hidden,
        intermediate_size=2 * hidden,
        num_hidden_layers=layers,
        num_attention_heads=2,
        max_position_embeddings=77,
        projection_dim=hidden,
        hidden_act=act,
        bos_token_id=len(TOKENS) - 2,
        eos_token_id=len(TOKENS) - 1,
        pad_token_id=len(TOKENS) - 1,
    )


def unet_config(family: str) -> dict:
    config = dict(
        sample_size=CELLS,
        in_channels=4,
        out_channels=4,
        block_out_channels=[8, 16],
        layers_per_block=2,
        norm_num_groups=4,
        attention_head_dim=2,
        cross_attention_dim=16,
        down_block_types=["CrossAttnDownBlock2D", "DownBlock2D"],
        up_block_types=["UpBlock2D", "CrossAttnUpBlock2D"],
    )
    if family == "sdxl":
        added = dict(addition_embed_type="text_time", addition_time_embed_dim=8)
        added |= dict(projection_class_embeddings_input_dim=24 + 6 * 8, use_linear_projection=True)
        config |= added | dict(cross_attention_dim=16 + 24)
    return config


def vae_config(family: str) -> dict:
    config = dict(
        block_out_channels=[8, 8],
        down_block_types=["DownEncoderBlock2D"] * 2,
        up_block_types=["UpDecoderBlock2D"] * 2,
        layers_per_block=1,
        norm_num_groups=4,
        latent_channels=4,
        sample_size=SIZE,
        scaling_factor=0.3,
    )
    if family == "sd3":
        config |= dict(shift_factor=0.1, use_quant_conv=False, use_post_quant_conv=False)
    return config


def transformer_config() -> dict:
    return dict(
        sample_size=CELLS,
        patch_size=2,
        in_channels=4,
        out_channels=4,
        num_layers=2,
        attention_head_dim=8,
        num_attention_heads=2,
        joint_attention_dim=48,
        caption_projection_dim=16,
        pooled_projection_dim=40,
        pos_embed_max_size=16,
    )


def save_pipeline(
    folder: Path, family: str, prediction_type: str = "epsilon", with_t5: bool = False, variant: str | None = None
) -> Path:
    """Write a pipeline folder with random weights, seeded."""
    import diffusers
    import transformers

    torch.manual_seed(0)
    noise = dict(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", prediction_type=prediction_type)
    with_projection = transformers.CLIPTextModelWithProjection
    first = with_projection if family == "sd3" else transformers.CLIPTextModel
    parts = {"text_encoder": first(transformers.CLIPTextConfig(**text_config(16)))}
    if family != "sd":
        parts["text_encoder_2"] = with_projection(transformers.CLIPTextConfig(**text_config(24, "gelu")))
    if with_t5:
        size = dict(vocab_size=4, d_model=48, d_kv=8, d_ff=16, num_layers=1, num_heads=2)
        parts["text_encoder_3"] = transformers.T5EncoderModel(transformers.T5Config(**size))
        write_t5_tokenizer(folder / "tokenizer_3")
    for name in list(parts):
        if name != "text_encoder_3":
            write_tokenizer(folder / name.replace("text_encoder", "tokenizer"))
    parts["vae"] = diffusers.AutoencoderKL(**vae_config(family))
    if family == "sd3":
        parts["transformer"] = diffusers.SD3Transformer2DModel(**transformer_config())
        parts["scheduler"] = diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0)
        kind = "StableDiffusion3Pipeline"
    else:
        parts["unet"] = diffusers.UNet2DConditionModel(**unet_config(family))
        parts["scheduler"] = diffusers.DDIMScheduler(clip_sample=False, steps_offset=1, **noise)
        kind = "StableDiffusionPipeline" if family == "sd" else "StableDiffusionXLPipeline"
    index: dict = {"_class_name": kind}
    for name, part in parts.items():
        options = {} if name == "scheduler" else dict(variant=variant)
        part.save_pretrained(folder / name, **options)
        index[name] = [type(part).__module__.split(".")[0], type(part).__name__]
    for name in ("tokenizer", "tokenizer_2", "tokenizer_3"):
        if (folder / name).is_dir():
            kind = "PreTrainedTokenizerFast" if name == "tokenizer_3" else "CLIPTokenizer"
            index[name] = ["transformers", kind]
    absent = {"sd": ("safety_checker",), "sdxl": (), "sd3": () if with_t5 else ("text_encoder_3", "tokenizer_3")}
    index |= {name: [None, None] for name in (*absent[family], "feature_extractor", "image_encoder")}
    (folder / "model_index.json").write_text(json.dumps(index))
    return folder


RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "time_emb_proj": "emb_layers.1",
    "conv_shortcut": "skip_connection",
}


def ldm_unet_key(name: str, n: int = 2) -> str:
    """The original name of a UNet weight, for `n` layers per block."""
    fixed = {
        "conv_in.": "input_blocks.0.0.",
        "time_embedding.linear_1.": "time_embed.0.",
        "time_embedding.linear_2.": "time_embed.2.",
        "add_embedding.linear_1.": "label_emb.0.0.",
        "add_embedding.linear_2.": "label_emb.0.2.",
        "conv_norm_out.": "out.0.",
        "conv_out.": "out.2.",
        "mid_block.resnets.0.": "middle_block.0.",
        "mid_block.attentions.0.": "middle_block.1.",
        "mid_block.resnets.1.": "middle_block.2.",
    }
    for theirs, original in fixed.items():
        name = re.sub("^" + re.escape(theirs), original, name)
    place = re.match(r"(down|up)_blocks\.(\d+)\.(resnets|attentions|downsamplers|upsamplers)\.(\d+)\.(conv\.)?", name)
    if place:
        way, block, what, layer = place[1], int(place[2]), place[3], int(place[4])
        start = block * (n + 1)
        if way == "down":
            index = start + n + 1 if what == "downsamplers" else start + 1 + layer
        else:
            index = start + n if what == "upsamplers" else start + layer
        slot = {"resnets": "0.", "attentions": "1.", "downsamplers": "0.op.", "upsamplers": "1.conv."}[what]
        rest = name[place.end() :] if what.endswith("samplers") else name[place.end(4) + 1 :]
        name = f"{'input' if way == 'down' else 'output'}_blocks.{index}.{slot}{rest}"
    if "transformer_blocks" not in name:
        for theirs, original in RESNET.items():
            name = re.sub(rf"\.{theirs}\.", f".{original}.", name)
    return "model.diffusion_model." + name


def ldm_vae_key(name: str, levels: int = 2) -> str:
    """The original name of an autoencoder weight; decoder levels count from the other end."""
    name = re.sub(r"encoder\.down_blocks\.(\d)\.resnets\.", r"encoder.down.\1.block.", name)
    name = re.sub(r"encoder\.down_blocks\.(\d)\.downsamplers\.0\.", r"encoder.down.\1.downsample.", name)
    level = re.match(r"decoder\.up_blocks\.(\d)\.", name)
    if level:
        name = f"decoder.up.{levels - 1 - int(level[1])}." + name[level.end() :]
    name = name.replace("upsamplers.0.", "upsample.").replace("mid_block.attentions.0.", "mid.attn_1.")
    name = re.sub(r"^(decoder\.up\.\d\.)resnets\.", r"\1block.", name)
    name = re.sub(r"mid_block\.resnets\.(\d)\.", lambda m: f"mid.block_{int(m[1]) + 1}.", name)
    pairs = {"conv_shortcut": "nin_shortcut", "conv_norm_out": "norm_out"}
    if "attn_1" in name:
        pairs |= {"group_norm.": "norm.", "to_q.": "q.", "to_k.": "k.", "to_v.": "v.", "to_out.0.": "proj_out."}
    for theirs, original in pairs.items():
        name = name.replace(theirs, original)
    return "first_stage_model." + name


def open_clip(weights: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    """CLIP weights under OpenCLIP's names: one matrix for queries, keys and values."""
    out = {}
    names = {
        "embeddings.position_embedding.weight": "positional_embedding",
        "embeddings.token_embedding.weight": "token_embedding.weight",
        "final_layer_norm.weight": "ln_final.weight",
        "final_layer_norm.bias": "ln_final.bias",
    }
    parts = {"layer_norm1": "ln_1", "layer_norm2": "ln_2", "mlp.fc1": "mlp.c_fc", "mlp.fc2": "mlp.c_proj"}
    parts["self_attn.out_proj"] = "attn.out_proj"
    for key, value in weights.items():
        key = key.removeprefix("text_model.")
        if key == "text_projection.weight":
            out[prefix + "text_projection"] = value.T.contiguous()
        elif key in names:
            out[prefix + names[key]] = value
        elif ".q_proj." in key:
            rows = [weights["text_model." * ("text_model." + key in weights) + key.replace("q_proj", p)] for p in QKV]
            layer, kind = re.findall(r"layers\.(\d+)\..*\.(\w+)$", key)[0]
            out[f"{prefix}transformer.resblocks.{layer}.attn.in_proj_{kind}"] = torch.cat(rows)
        elif "_proj." not in key or "out_proj" in key or "mlp" in key:
            for theirs, original in parts.items():
                key = key.replace(theirs, original)
            out[prefix + "transformer." + key.replace("encoder.layers", "resblocks")] = value
    return out


QKV = ("q_proj", "k_proj", "v_proj")


def save_single_file(parts: dict, family: str, path: Path) -> Path:
    """Write the parts of a pipeline as one checkpoint in the names of the original code."""
    from safetensors.torch import save_file

    tensors = {ldm_unet_key(k): v for k, v in parts["unet"].state_dict().items()}
    for key, value in parts["vae"].state_dict().items():
        key = ldm_vae_key(key)
        tensors[key] = value[:, :, None, None] if ".attn_1." in key and value.ndim == 2 else value
    small = {"text_model." + k.removeprefix("text_model."): v for k, v in parts["text_encoder"].state_dict().items()}
    prefix = "cond_stage_model.transformer." if family == "sd" else "conditioner.embedders.0.transformer."
    tensors |= {prefix + k: v for k, v in small.items() if not k.endswith("position_ids")}
    if family == "sdxl":
        tensors |= open_clip(parts["text_encoder_2"].state_dict(), "conditioner.embedders.1.model.")
    save_file({k: v.detach().clone().contiguous() for k, v in tensors.items()}, str(path))
    return path
