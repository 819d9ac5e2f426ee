"""The learned small-world prior as real ComfyUI objects: comfy's own UNet, CLIP and autoencoder classes.

Reads a pipeline folder in diffusers layout (unet/, vae/, text_encoder/, tokenizer/), so any small
Stable-Diffusion-like model that the training script writes loads the same way.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import comfy.latent_formats
import comfy.model_base
import comfy.model_management
import comfy.model_patcher
import comfy.sd
import comfy.sd1_clip
import comfy.supported_models_base
import comfy.utils
import torch

from ...tbsd_core.priors.small_world import MULTIVIEW, VIEWS_PER_GROUP
from ...tbsd_core.priors.small_world.captions import check_words
from ...tbsd_core.priors.small_world.learned import MULTIVIEW_UNET, WEIGHTS, load_camera_tokens
from ...tbsd_core.priors.small_world.quantized import read_weights
from .views import ViewGroups, view_groups, with_view_groups

LEARNED = "learned"
DEMO_PRIORS = (LEARNED, MULTIVIEW)


class ChannelMultiplier(float):
    """A channel multiplier such as 1.5 whose product with a channel count is a whole number again."""

    def __mul__(self, channels: float) -> int:
        return round(float(self) * channels)

    __rmul__ = __mul__


class SmallWorldTokenizer(comfy.sd1_clip.SDTokenizer):
    """ComfyUI's tokenizer (prompt weights, chunking, padding) over the word-level tokenizer file."""

    path = WEIGHTS / "tokenizer"
    embedding_size = 64

    def __init__(self, embedding_directory=None, tokenizer_data=None):
        from transformers import PreTrainedTokenizerFast

        super().__init__(
            tokenizer_path=str(self.path),
            tokenizer_class=PreTrainedTokenizerFast,
            embedding_directory=embedding_directory,
            embedding_size=self.embedding_size,
            tokenizer_data=tokenizer_data or {},
        )

    def tokenize_with_weights(self, text: str, return_word_ids: bool = False, **kwargs):
        escaped = comfy.sd1_clip.escape_important(text)
        for segment, _ in comfy.sd1_clip.token_weights(escaped, 1.0):
            check_words(comfy.sd1_clip.unescape_important(segment))
        return super().tokenize_with_weights(text, return_word_ids, **kwargs)


def load_demo_models(folder: Path = WEIGHTS, prior: str = LEARNED):
    """MODEL, CLIP and VAE of the pipeline in `folder`. Raises FileNotFoundError naming what is absent.

    `prior` is a name in DEMO_PRIORS; the one for groups of views has a network of its own, and shares the rest.
    """
    network = MULTIVIEW_UNET if prior == MULTIVIEW else "unet"
    parts = [f"{network}/config.json", "vae/config.json", "text_encoder/config.json", "tokenizer/tokenizer.json"]
    missing = [p for p in parts if not (folder / p).is_file()]
    if missing:
        raise FileNotFoundError(
            f"The demo weights are incomplete: {folder} lacks {', '.join(missing)}. Reinstall the node pack."
        )
    scale = float(read_config(folder / "vae")["scaling_factor"])
    model = load_model(folder / network, scale)
    if prior == MULTIVIEW:
        with_view_groups(model, ViewGroups(load_camera_tokens(folder), VIEWS_PER_GROUP))
    return model, load_clip(folder), load_vae(folder / "vae")


def demo_prior(model) -> str:
    """Which of DEMO_PRIORS a demo MODEL is."""
    return LEARNED if view_groups(model) is None else MULTIVIEW


def load_model(folder: Path, latent_scale: float) -> comfy.model_patcher.ModelPatcher:
    """comfy's UNetModel with the weights of a diffusers UNet2DConditionModel."""
    config = unet_config(read_config(folder))
    model = comfy.model_base.BaseModel(model_config(config, latent_scale), device="cpu")
    source = read_weights(folder)
    names = comfy.utils.unet_to_diffusers(config)
    load_strictly(model.diffusion_model, {names[k]: v for k, v in source.items() if k in names}, source)
    return comfy.model_patcher.ModelPatcher(
        model.eval(), comfy.model_management.get_torch_device(), comfy.model_management.unet_offload_device()
    )


def unet_config(config: dict) -> dict:
    """comfy's UNet arguments for a diffusers UNet config."""
    channels, n = config["block_out_channels"], config["layers_per_block"]
    attends_down = [int("CrossAttn" in kind) for kind in config["down_block_types"]]
    attends_up = [int("CrossAttn" in kind) for kind in config["up_block_types"]]
    return dict(
        image_size=config["sample_size"],
        in_channels=config["in_channels"],
        out_channels=config["out_channels"],
        model_channels=channels[0],
        channel_mult=[ChannelMultiplier(c / channels[0]) for c in channels],
        num_res_blocks=[n] * len(channels),
        transformer_depth=[a for a in attends_down for _ in range(n)],
        transformer_depth_output=[a for a in reversed(attends_up) for _ in range(n + 1)],
        transformer_depth_middle=1,
        use_spatial_transformer=True,
        use_linear_in_transformer=config["use_linear_projection"],
        context_dim=config["cross_attention_dim"],
        num_heads=config["attention_head_dim"],  # diffusers keeps the number of heads under this name
        num_head_channels=-1,
        adm_in_channels=None,
        legacy=False,
        use_checkpoint=False,
        use_temporal_resblock=False,
        use_temporal_attention=False,
        dtype=torch.float32,
    )


def model_config(config: dict, latent_scale: float) -> comfy.supported_models_base.BASE:
    """The model description that comfy attaches to a BaseModel."""

    class SmallWorldLatent(comfy.latent_formats.LatentFormat):
        scale_factor = latent_scale
        latent_channels = config["in_channels"]

    class SmallWorld(comfy.supported_models_base.BASE):
        latent_format = SmallWorldLatent
        unet_extra_config = {key: config[key] for key in ("num_heads", "num_head_channels")}
        memory_usage_factor = 1.0

    return SmallWorld(config)


def load_clip(folder: Path) -> comfy.sd.CLIP:
    """comfy's SD1ClipModel with the weights of a transformers CLIPTextModel."""
    config, source = read_config(folder / "text_encoder"), read_weights(folder / "text_encoder")
    ids = {"start": config["bos_token_id"], "end": config["eos_token_id"], "pad": config["pad_token_id"]}

    class Tokenizer(SmallWorldTokenizer):
        path = folder / "tokenizer"
        embedding_size = config["hidden_size"]

    class TextEncoder(comfy.sd1_clip.SDClipModel):
        def __init__(self, device="cpu", dtype=None, model_options=None):
            super().__init__(
                device=device,
                dtype=dtype,
                textmodel_json_config=dict(config),
                special_tokens=ids,
                return_projected_pooled=False,
                model_options=model_options or {},
            )
            # comfy sizes the table for Stable Diffusion's 49408 tokens
            self.transformer.set_input_embeddings(
                self.operations.Embedding(config["vocab_size"], config["hidden_size"], dtype=dtype, device=device)
            )

    class SmallWorldSD1Tokenizer(comfy.sd1_clip.SD1Tokenizer):
        def __init__(self, embedding_directory=None, tokenizer_data=None):
            super().__init__(embedding_directory, tokenizer_data or {}, tokenizer=Tokenizer)

    target = comfy.supported_models_base.ClipTarget(SmallWorldSD1Tokenizer, comfy.sd1_clip.SD1ClipModel)
    target.params = {"clip_model": TextEncoder}
    clip = comfy.sd.CLIP(target, model_options={"dtype": torch.float32})
    transformer = clip.cond_stage_model.clip_l.transformer
    prefix = "" if next(iter(source)).startswith("text_model.") else "text_model."
    weights = {prefix + k: v for k, v in source.items() if not k.endswith("position_ids")}
    # the pipeline has no projection; comfy's CLIP expects one, and the identity leaves the pooled vector as it is
    weights["text_projection.weight"] = torch.eye(config["hidden_size"])
    load_strictly(transformer, weights, weights)
    return clip


def load_vae(folder: Path) -> comfy.sd.VAE:
    """comfy's AutoencoderKL with the weights of a diffusers AutoencoderKL."""
    config = read_config(folder)
    channels = config["block_out_channels"]
    ddconfig = dict(
        double_z=True,
        z_channels=config["latent_channels"],
        resolution=config["sample_size"],
        in_channels=config["in_channels"],
        out_ch=config["out_channels"],
        ch=channels[0],
        ch_mult=[c // channels[0] for c in channels],
        num_res_blocks=config["layers_per_block"],
        attn_resolutions=[],
        dropout=0.0,
    )
    source = read_weights(folder)
    weights = {vae_key(k, len(channels)): v for k, v in source.items()}
    for k in [k for k in weights if "attn_1" in k and k.endswith("weight") and weights[k].ndim == 2]:
        weights[k] = weights[k][:, :, None, None]  # comfy's attention is made of 1x1 convolutions
    params = {"ddconfig": ddconfig, "embed_dim": config["latent_channels"]}
    vae = comfy.sd.VAE(sd=weights, config={"params": params}, dtype=torch.float32)
    load_strictly(vae.first_stage_model, weights, source)
    vae.downscale_ratio = vae.upscale_ratio = 2 ** (len(channels) - 1)
    vae.latent_channels = config["latent_channels"]
    return vae


def vae_key(name: str, n_levels: int) -> str:
    """comfy's name of a diffusers autoencoder weight; decoder levels count from the other end."""
    name = re.sub(r"encoder\.down_blocks\.(\d+)\.resnets\.", r"encoder.down.\1.block.", name)
    name = re.sub(r"encoder\.down_blocks\.(\d+)\.downsamplers\.0\.", r"encoder.down.\1.downsample.", name)
    level = re.match(r"decoder\.up_blocks\.(\d+)\.", name)
    if level:
        rest = name[level.end() :].replace("resnets.", "block.").replace("upsamplers.0.", "upsample.")
        name = f"decoder.up.{n_levels - 1 - int(level[1])}.{rest}"
    name = re.sub(r"mid_block\.resnets\.(\d)\.", lambda m: f"mid.block_{int(m[1]) + 1}.", name)
    pairs = {"mid_block.attentions.0.": "mid.attn_1.", "conv_shortcut": "nin_shortcut", "conv_norm_out": "norm_out"}
    if "attentions" in name:
        pairs |= {"group_norm.": "norm.", "to_q.": "q.", "to_k.": "k.", "to_v.": "v.", "to_out.0.": "proj_out."}
    for theirs, comfys in pairs.items():
        name = name.replace(theirs, comfys)
    return name


def read_config(folder: Path) -> dict:
    """The config.json of one part of a pipeline."""
    return json.loads((folder / "config.json").read_text(encoding="utf-8"))


def load_strictly(module: torch.nn.Module, weights: dict, source: dict) -> None:
    """Load `weights` and raise RuntimeError if anything is missing, left over or was dropped from `source`."""
    if len(weights) != len(source):
        raise RuntimeError(f"{len(source) - len(weights)} of {len(source)} weights have no place in the model.")
    missing, unexpected = module.load_state_dict(weights, strict=False)
    if missing or unexpected:
        raise RuntimeError(f"The weights do not fit: missing {missing[:3]}, left over {unexpected[:3]}.")
