"""Image and video files from tensors [N, 3, H, W] in [0, 1]. Files are complete or absent."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from .atomic import atomic_path
from .bits import eight_bits
from .optional import require


def to_uint8(images: Tensor) -> np.ndarray:
    """[..., 3, H, W] in [0, 1] -> uint8 [..., H, W, 3]."""
    return (images.detach().cpu().float().clamp(0, 1) * 255).round().to(torch.uint8).movedim(-3, -1).numpy()


def read_square(path: str | os.PathLike, size: int) -> Tensor:
    """A picture file as [3, size, size] in [0, 1]: its middle square, with white behind transparent pixels.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not a picture.
    """
    pil, picture = require("PIL.Image", "pillow"), _with_alpha(path)
    white = pil.new("RGBA", picture.size, "white")
    flat = pil.alpha_composite(white, picture).convert("RGB")
    side = min(flat.size)
    left, top = (flat.width - side) // 2, (flat.height - side) // 2
    cut = flat.crop((left, top, left + side, top + side)).resize((size, size), pil.Resampling.BICUBIC)
    return torch.from_numpy(np.asarray(cut).copy()).movedim(-1, 0).float() / 255


def read_cutout(path: str | os.PathLike) -> tuple[Tensor, Tensor]:
    """The colours [1, 3, H, W] and the opacity [1, 1, H, W] of a picture file, in [0, 1]. Raises as `read_square`."""
    found = torch.from_numpy(np.asarray(_with_alpha(path)).copy()).movedim(-1, 0)[None].float() / 255
    return found[:, :3], found[:, 3:]


def _with_alpha(path: str | os.PathLike):
    pil = require("PIL.Image", "pillow")
    try:
        with pil.open(path) as opened:
            return eight_bits(_upright(opened)).convert("RGBA")
    except FileNotFoundError as error:
        raise FileNotFoundError(f"There is no picture {path}.") from error
    except (OSError, ValueError, pil.DecompressionBombError) as error:
        raise ValueError(f"{path} is not a picture that can be read ({error}).") from error


def _upright(picture):
    """The picture as it is shown: photographs often lie on their side, and say so."""
    return require("PIL.ImageOps", "pillow").exif_transpose(picture)


def read_mask(path: str | os.PathLike) -> Tensor:
    """The brightness [H, W] in [0, 1] of a picture; transparent pixels are black.

    Raises:
        ValueError: it is missing, or no picture.
    """
    pil = require("PIL.Image", "pillow")
    try:
        with pil.open(path) as picture:
            found = np.asarray(eight_bits(_upright(picture)).convert("LA"), dtype=np.float32) / 255
    except (OSError, ValueError, pil.DecompressionBombError) as error:
        raise ValueError(f"The mask {path} cannot be read ({error}).") from error
    return torch.from_numpy(found[..., 0] * found[..., 1])


def write_png(image: Tensor, path: str | os.PathLike) -> Path:
    """Write one image [3, H, W]."""
    if image.ndim != 3 or image.shape[0] != 3:
        raise ValueError(f"write_png needs an image [3, H, W], got {list(image.shape)}.")
    pil = require("PIL.Image", "pillow")
    with atomic_path(path) as temporary:
        pil.fromarray(to_uint8(image)).save(temporary, format="PNG")
    return Path(path)


def write_strip(images: Tensor, path: str | os.PathLike, columns: int | None = None) -> Path:
    """Write images [N, 3, H, W] side by side, or in rows of `columns`; missing places of the last row are white."""
    n, channels, height, width = images.shape
    columns = min(columns or n, n)
    rows = -(-n // columns)
    sheet = torch.ones(rows * columns, channels, height, width)
    sheet[:n] = images.detach().cpu().float()
    sheet = sheet.view(rows, columns, channels, height, width).permute(2, 0, 3, 1, 4)
    return write_png(sheet.reshape(channels, rows * height, columns * width), path)


def write_mp4(frames: Tensor, path: str | os.PathLike, fps: int = 24) -> Path:
    """Write frames [N, 3, H, W] as H.264 in yuv420p, which every browser plays.

    That format needs even sides: an odd one loses its last row or column of pixels.
    """
    if frames.ndim != 4 or frames.shape[1] != 3 or len(frames) == 0 or min(frames.shape[2:]) < 2:
        raise ValueError(f"write_mp4 needs frames [N, 3, H, W] with sides of at least 2, got {list(frames.shape)}.")
    av = require("av")
    height, width = (side - side % 2 for side in frames.shape[2:])
    with atomic_path(path) as temporary, av.open(str(temporary), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=fps, options={"crf": "18"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for frame in frames[:, :, :height, :width]:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(to_uint8(frame), format="rgb24")))
        container.mux(stream.encode())
    return Path(path)
