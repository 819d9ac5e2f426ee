"""The configurations that a single checkpoint does not carry, in the form of a diffusers pipeline folder.

diffusers would fetch them from the hub even when told to stay local. The numbers come from the published pipelines,
without the entries that equal diffusers' or transformers' own defaults.
"""

from __future__ import annotations

from typing import Any


def pipeline(kind: str, unet: dict[str, Any], vae_scale: float, size: int, *texts: dict[str, Any]) -> dict[str, Any]:
    """Config dictionaries by part, with the keys of a pipeline folder."""
    vae = {
        "block_out_channels": [128, 256, 512, 512],
        "down_block_types": ["DownEncoderBlock2D"] * 4,
        "up_block_types": ["UpDecoderBlock2D"] * 4,
        "latent_channels": 4,
        "layers_per_block": 2,
        "sample_size": size,
        "scaling_factor": vae_scale,
    }
    scheduler = {
        "beta_start": 0.00085,
        "beta_end": 0.012,
        "beta_schedule": "scaled_linear",
        "num_train_timesteps": 1000,
        "clip_sample": False,
        "set_alpha_to_one": False,
        "steps_offset": 1,
    }
    names = ["text_encoder", "text_encoder_2"][: len(texts)]
    encoders = {n: {"vocab_size": 49408, "max_position_embeddings": 77, **t} for n, t in zip(names, texts, strict=True)}
    return {
        "model_index": {"_class_name": kind},
        "unet": {"in_channels": 4, "out_channels": 4, "layers_per_block": 2, "sample_size": size // 8, **unet},
        "vae": vae,
        "scheduler": scheduler,
        **encoders,
    }


CLIP_L = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "projection_dim": 768,
    "hidden_act": "quick_gelu",
}
OPEN_CLIP_H = {  # 23 of its 24 layers: Stable Diffusion 2 takes the last but one
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 23,
    "num_attention_heads": 16,
    "projection_dim": 512,
    "hidden_act": "gelu",
}
OPEN_CLIP_G = {
    "hidden_size": 1280,
    "intermediate_size": 5120,
    "num_hidden_layers": 32,
    "num_attention_heads": 20,
    "projection_dim": 1280,
    "hidden_act": "gelu",
}

SD_BLOCKS = {
    "block_out_channels": [320, 640, 1280, 1280],
    "down_block_types": ["CrossAttnDownBlock2D"] * 3 + ["DownBlock2D"],
    "up_block_types": ["UpBlock2D"] + ["CrossAttnUpBlock2D"] * 3,
}

ARCHITECTURES: dict[str, dict[str, Any]] = {
    "sd1": pipeline(
        "StableDiffusionPipeline",
        {**SD_BLOCKS, "cross_attention_dim": 768, "attention_head_dim": 8},
        0.18215,
        512,
        CLIP_L,
    ),
    "sd2": pipeline(
        "StableDiffusionPipeline",
        {
            **SD_BLOCKS,
            "cross_attention_dim": 1024,
            "attention_head_dim": [5, 10, 20, 20],
            "use_linear_projection": True,
            "upcast_attention": True,  # its attention overflows in float16
        },
        0.18215,
        768,
        OPEN_CLIP_H,
    ),
    "sdxl": pipeline(
        "StableDiffusionXLPipeline",
        {
            "block_out_channels": [320, 640, 1280],
            "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
            "up_block_types": ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
            "cross_attention_dim": 2048,
            "attention_head_dim": [5, 10, 20],
            "transformer_layers_per_block": [1, 2, 10],
            "use_linear_projection": True,
            "addition_embed_type": "text_time",
            "addition_time_embed_dim": 256,
            "projection_class_embeddings_input_dim": 2816,
        },
        0.13025,
        1024,
        CLIP_L,
        OPEN_CLIP_G,
    ),
}
