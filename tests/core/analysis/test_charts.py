from __future__ import annotations

import pytest
import torch
from tbsd_pack.tbsd_core.analysis.charts import metric_charts


def test_charts_have_the_asked_width_and_show_their_values():
    flat, rising = (metric_charts(["0", "1", "2"], {"m": v}, "a", 600) for v in ([1.0, 1.0, 1.0], [0.0, 1.0, 2.0]))
    assert flat.shape == rising.shape and flat.shape[2] == 600
    assert not torch.equal(flat, rising)


@pytest.mark.parametrize("values", [[], ["linear", "cosine"], ["0.5"]])
def test_words_missing_numbers_and_single_values_are_drawn(values):
    nan = float("nan")
    image = metric_charts(values, {"a": [nan] * len(values), "b": [1.0] * len(values), "c": [0.0] * len(values)}, "x")
    assert image.shape[0] == 3 and bool((image >= 0).all()) and bool((image <= 1).all())
