"""A small UNet that ComfyUI's detection takes for Stable Diffusion 1.5."""

# what detection looks at is as in SD 1.5: 320 channels, 768-wide context, convolutions in the transformers
SHAPE = dict(
    model_channels=320,
    channel_mult=[1, 1, 1],
    num_res_blocks=[1, 1, 1],
    transformer_depth=[0, 0, 1],  # attention where there are few tokens
    transformer_depth_output=[0, 0, 0, 0, 1, 1],
    context_dim=768,
    num_heads=8,
)
