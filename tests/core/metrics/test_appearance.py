from __future__ import annotations

import colorsys

import numpy as np
import pytest
import torch
from scipy import ndimage
from tbsd_pack.tbsd_core.metrics import describe_images
from tbsd_pack.tbsd_core.metrics.appearance import clipped_share, colourfulness, laplacian_variance, luma, rms_contrast


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    """Noise, blurred noise and a picture with a grey border."""
    noise = torch.rand(3, 3, 20, 28, generator=torch.Generator().manual_seed(0))
    noise[1] = torch.from_numpy(ndimage.gaussian_filter(noise[1].numpy(), (0, 2, 2)))
    noise[2, :, :4], noise[2, :, -4:], noise[2, ..., :4], noise[2, ..., -4:] = 0.5, 0.5, 0.5, 0.5
    return noise


def pixels(image: torch.Tensor) -> np.ndarray:
    """[H, W, 3] in double precision."""
    return image.permute(1, 2, 0).double().numpy()


def grey(image: torch.Tensor) -> np.ndarray:
    return pixels(image) @ np.array([0.299, 0.587, 0.114])


def test_colourfulness_is_that_of_hasler_and_suesstrunk(images):
    for image, found in zip(images, colourfulness(images), strict=True):
        r, g, b = np.moveaxis(pixels(image) * 255, -1, 0)
        rg, yb = r - g, 0.5 * (r + g) - b
        expected = np.hypot(np.std(rg), np.std(yb)) + 0.3 * np.hypot(np.mean(rg), np.mean(yb))
        assert float(found) == pytest.approx(expected, rel=1e-4)


def test_contrast_and_sharpness_agree_with_numpy_and_scipy(images):
    for image, contrast, sharp in zip(images, rms_contrast(images), laplacian_variance(images), strict=True):
        assert float(contrast) == pytest.approx(np.std(grey(image)), rel=1e-4)
        expected = np.var(ndimage.laplace(grey(image) * 255, mode="mirror"))
        assert float(sharp) == pytest.approx(expected, rel=1e-3)
    assert laplacian_variance(images)[1] < 0.05 * laplacian_variance(images)[0], "a blur is less sharp"


def test_a_grey_ramp_has_no_colour_and_a_known_contrast():
    ramp = torch.linspace(0, 1, 11).view(1, 1, 1, 11).expand(1, 3, 5, 11)
    assert float(colourfulness(ramp)) < 1e-3
    assert float(rms_contrast(ramp)) == pytest.approx(0.1**0.5, rel=1e-5)
    assert float(luma(torch.ones(1, 3, 2, 2)).amin()) == pytest.approx(1, abs=1e-6)


def test_clipped_are_the_pixels_that_8_bits_store_at_an_end():
    image = torch.full((1, 3, 2, 4), 0.5)
    image[0, 0, 0, 0] = 0.0
    image[0, 1, 0, 1] = 0.9985  # rounds to 255
    image[0, 2, 0, 2] = 0.9975  # rounds to 254
    image[0, :, 1, 0] = 1.0  # three channels are one pixel
    assert float(clipped_share(image)) == pytest.approx(3 / 8)
    assert set((image[0, :2, 0, :2] * 255).round().int().flatten().tolist()) >= {0, 255}


def test_the_description_is_the_mean_of_each_measure(images):
    described = describe_images(images)
    hsv = [[colorsys.rgb_to_hsv(*p)[1] for p in pixels(image).reshape(-1, 3)] for image in images]
    assert described["saturation"] == pytest.approx(np.mean(hsv), rel=1e-4)
    assert described["colourfulness"] == pytest.approx(float(colourfulness(images).mean()), rel=1e-6)
    assert described["rms_contrast"] == pytest.approx(np.mean([np.std(grey(i)) for i in images]), rel=1e-4)
    clipped = [np.isin(np.round(pixels(image) * 255), (0, 255)).any(-1).mean() for image in images]
    assert described["clipped_share"] == pytest.approx(np.mean(clipped), rel=1e-4) and np.mean(clipped) > 0
    framed = pixels(images[2])
    inside = np.linalg.norm(framed - 0.5, axis=-1) > 0.26
    alone = describe_images(images[2:])
    assert alone["foreground_share"] == pytest.approx(inside.mean(), rel=1e-5)
    expected = np.mean([colorsys.rgb_to_hsv(*p)[1] for p in framed[inside]])
    assert alone["saturation_foreground"] == pytest.approx(expected, rel=1e-4)


def test_what_is_not_a_batch_of_pictures_is_refused():
    for shape in ([3, 8, 8], [1, 4, 8, 8], [0, 3, 8, 8], [1, 3, 1, 8]):
        with pytest.raises(ValueError, match=r"\[B, 3, H, W\].*got"):
            describe_images(torch.zeros(shape))
