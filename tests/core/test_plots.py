from __future__ import annotations

import math

import numpy as np
import pytest
from tbsd_pack.tbsd_core.optim import Curves
from tbsd_pack.tbsd_core.plots import plot_curves


def curves(n: int, **series: list[float]) -> Curves:
    return Curves(list(range(n)), series)


def test_the_plot_has_the_asked_size_and_shows_something():
    wave = [math.sin(i / 5) for i in range(50)]
    series = {"lambda_shape": wave, "lambda_texture": wave[::-1], "grad_rms": wave, "extra": wave}
    image = plot_curves(curves(50, **series), "t", (600, 400))
    assert image.shape == (400, 600, 3) and image.dtype == np.uint8
    assert len(np.unique(image.reshape(-1, 3), axis=0)) > 50
    assert 0.01 < (image.min(-1) < 250).mean() < 0.5


def test_different_curves_look_different():
    low, high = (plot_curves(curves(20, grad_rms=[i**p for i in range(20)]), "t", (400, 300)) for p in (1, 3))
    assert (low != high).any()


@pytest.mark.parametrize("series", [{}, {"cosine": [float("nan")] * 3}, {"opacity": [0.1]}])
def test_few_or_missing_values_still_plot(series):
    assert plot_curves(curves(3, **series), "t", (300, 200)).shape == (200, 300, 3)


def test_a_prompt_may_have_dollars():
    shown = plot_curves(curves(3, opacity=[0.1] * 3), "a $20 #1 sign, $5 and ($_$)", (300, 200))
    assert shown.shape == (200, 300, 3)
