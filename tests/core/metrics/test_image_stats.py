from __future__ import annotations

import math

import torch
from tbsd_pack.tbsd_core.metrics.image_stats import (
    foreground,
    high_frequency_energy,
    iou,
    masked_mean,
    patch_distance,
    saturation,
)


def square(size: int = 16, colour: tuple[float, float, float] = (1.0, 0.0, 0.0)) -> torch.Tensor:
    """A coloured square of half the width in the middle of a grey image."""
    image = torch.full((1, 3, size, size), 0.5)
    q = size // 4
    image[:, :, q:-q, q:-q] = torch.tensor(colour).view(1, 3, 1, 1)
    return image


def test_foreground_is_what_differs_from_the_border():
    mask = foreground(square())
    assert mask.shape == (1, 1, 16, 16) and mask.dtype == torch.bool
    assert mask.sum() == 64 and mask[0, 0, 4:-4, 4:-4].all()
    assert not foreground(square(colour=(0.6, 0.6, 0.6))).any()  # a pale halo is not object


def test_masked_mean_and_its_empty_mask():
    values = torch.arange(8.0).view(2, 1, 2, 2)
    mask = torch.tensor([[True, True, False, False], [False] * 4]).view(2, 1, 2, 2)
    assert masked_mean(values, mask).tolist() == [0.5, 0.0]


def test_saturation_is_hsv_saturation_over_the_mask():
    colours = torch.tensor([[0.8, 0.4, 0.6], [0.5, 0.5, 0.5]]).view(2, 3, 1, 1).expand(2, 3, 4, 4)
    torch.testing.assert_close(saturation(colours, torch.ones(2, 1, 4, 4)), torch.tensor([0.5, 0.0]))


def test_high_frequency_share_of_sine_waves():
    """A Gaussian of s pixels passes exp(-2 (pi s f)^2) of a wave of f cycles per pixel."""
    x = torch.arange(64.0)
    for cycles in (4, 8, 16):
        wave = (0.5 + 0.3 * torch.sin(2 * math.pi * cycles * x / 64)).expand(1, 3, 64, 64)
        inner = torch.zeros(1, 1, 64, 64)
        inner[..., 16:48] = 1  # whole periods, far from the replicated border
        passed = math.exp(-2 * (math.pi * 1.5 * cycles / 64) ** 2)
        assert abs(float(high_frequency_energy(wave, inner)) - (1 - passed) ** 2) < 0.01
    assert float(high_frequency_energy(torch.full((1, 3, 64, 64), 0.4), torch.ones(1, 1, 64, 64))) < 1e-3


def test_iou_by_hand():
    a = torch.tensor([[1, 1, 0, 0], [0, 0, 0, 0], [1, 0, 0, 0]]).bool()
    b = torch.tensor([[0, 1, 1, 0], [0, 0, 0, 0], [0, 0, 0, 1]]).bool()
    torch.testing.assert_close(iou(a, b), torch.tensor([1 / 3, 1.0, 0.0]))


def test_patch_distance_is_zero_for_the_same_texture_and_known_for_another_colour():
    texture = torch.rand(1, 3, 24, 24, generator=torch.Generator().manual_seed(0))
    everywhere = torch.ones(1, 1, 24, 24, dtype=torch.bool)
    moved = texture[..., 3:21, 5:23]  # the same patches at other places
    # distances of float32 patches by matrix products are exact to about 1e-3
    assert float(patch_distance(moved, everywhere[..., 3:21, 5:23], texture)) < 2e-3
    flat = torch.full((1, 3, 24, 24), 0.4)
    torch.testing.assert_close(
        patch_distance(flat + 0.2, everywhere, flat), torch.tensor([0.2]), atol=1e-3, rtol=0
    )
    assert patch_distance(flat, ~everywhere, flat).isnan().all()
