"""A camera as further words of a prompt: how a text-to-image network that was fine-tuned for it is told the view.

Any host's network takes a longer context, so that a camera reaches it without a new input. MVDream adds the camera to
the timestep's embedding instead (arXiv:2308.16512, section 3.1).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

N_FEATURES = 6


def camera_features(azimuth: Tensor, elevation: Tensor) -> Tensor:
    """Features [B, 6] of angles [B] in degrees: azimuth, 0 = front, in two harmonics, and elevation."""
    a, e = torch.deg2rad(azimuth), torch.deg2rad(elevation)
    return torch.stack([a.sin(), a.cos(), (2 * a).sin(), (2 * a).cos(), e.sin(), e.cos()], -1)


class CameraTokens(nn.Module):
    """A small network from a camera to tokens of the text encoder's width.

    Args:
        width: channels of the context that the tokens are appended to.
        n_tokens: how many.
        hidden: units between.
    """

    def __init__(self, width: int, n_tokens: int = 2, hidden: int = 128) -> None:
        super().__init__()
        self.config = {"width": width, "n_tokens": n_tokens, "hidden": hidden}
        self.layers = nn.Sequential(
            nn.Linear(N_FEATURES, hidden),
            nn.SiLU(),
            nn.Linear(hidden, hidden),
            nn.SiLU(),
            nn.Linear(hidden, n_tokens * width),
        )

    def forward(self, azimuth: Tensor, elevation: Tensor) -> Tensor:
        """Tokens [B, n_tokens, width] of angles [B] in degrees."""
        return self.layers(camera_features(azimuth, elevation)).unflatten(-1, (self.config["n_tokens"], -1))
