from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from tbsd_pack.tbsd_core.metrics.image_stats import (
    colourfulness,
    contrast,
    foreground,
    high_frequency_energy,
    image_statistics,
    iou,
    masked_mean,
    patch_distance,
    saturation,
    sharpness,
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


def test_patch_distance_of_a_picture_smaller_than_a_patch_is_its_own():
    small, texture = torch.full((1, 3, 4, 4), 0.2), torch.full((1, 3, 4, 4), 0.5)
    assert float(patch_distance(small, torch.ones(1, 1, 4, 4, dtype=torch.bool), texture)) == pytest.approx(0.3)


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


def random_images() -> torch.Tensor:
    return torch.rand(2, 3, 20, 24, generator=torch.Generator().manual_seed(3))


def test_colourfulness_is_the_published_formula():
    for image, value in zip(random_images(), colourfulness(random_images()), strict=True):
        r, g, b = (image * 255).double().numpy()
        rg, yb = r - g, 0.5 * (r + g) - b
        expected = np.hypot(rg.std(), yb.std()) + 0.3 * np.hypot(rg.mean(), yb.mean())
        assert float(value) == pytest.approx(expected, rel=1e-4)
    grey = torch.rand(1, 1, 8, 8).expand(1, 3, 8, 8)
    assert float(colourfulness(grey)) < 1e-3
    pure = torch.tensor([1.0, 0.0, 0.0]).view(1, 3, 1, 1).expand(1, 3, 8, 8)
    assert float(colourfulness(pure)) == pytest.approx(0.3 * math.hypot(255, 127.5), rel=1e-4)


def test_contrast_is_the_spread_of_the_brightness():
    half = torch.zeros(1, 3, 8, 8)
    half[..., 4:] = 0.6
    assert float(contrast(half)) == pytest.approx(0.3, abs=1e-5)
    grey = random_images().double().numpy() * np.array([0.299, 0.587, 0.114]).reshape(1, 3, 1, 1)
    assert contrast(random_images()).numpy() == pytest.approx(grey.sum(1).reshape(2, -1).std(1), rel=1e-4)


def test_sharpness_is_the_spread_of_scipys_laplacian_and_falls_with_blur():
    from scipy.ndimage import gaussian_filter, laplace

    image = random_images()[0, 0].double().numpy()
    as_rgb = [torch.from_numpy(x).float().expand(1, 3, -1, -1) for x in (image, gaussian_filter(image, 1.5))]
    assert float(sharpness(as_rgb[0])) == pytest.approx(laplace(image, mode="nearest").std(), rel=1e-4)
    assert float(sharpness(as_rgb[1])) < 0.2 * float(sharpness(as_rgb[0]))


def test_image_statistics_are_one_value_per_picture():
    found = image_statistics(random_images())
    assert set(found) == {"saturation", "colourfulness", "contrast", "sharpness"}
    assert all(v.shape == (2,) and bool(v.isfinite().all()) for v in found.values())


def test_one_pixel_has_no_fine_detail():
    mask = torch.zeros(1, 1, 20, 24, dtype=torch.bool)
    mask[..., 9, 9] = True
    assert float(high_frequency_energy(random_images()[:1], mask)) == 0
