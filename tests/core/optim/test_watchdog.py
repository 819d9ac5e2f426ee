from __future__ import annotations

import pytest
import torch
from tbsd_pack.tbsd_core.optim import StepRecord, Watchdog, not_finite
from tbsd_pack.tbsd_core.optim.watchdog import WatchdogConfig
from tbsd_pack.tbsd_core.scenes import ImageConfig, ImageScene, RenderOutput
from tbsd_pack.tbsd_core.transfer import Late

RENDER = RenderOutput(torch.zeros(1, 3, 2, 2), torch.zeros(1, 1, 2, 2), torch.zeros(1, 1, 2, 2))


def record(step: int, opacity: float = 0.4, rms: float = 1.0, skipped: bool = False) -> StepRecord:
    scalars = {"opacity": opacity, "grad_rms": rms}
    return StepRecord(step, 999, step / 999, RENDER, torch.zeros(1), scalars, {}, Late(torch.tensor([float(skipped)])))


def watch(records, has_opacity: bool = True) -> list[str]:
    """The messages, step by step."""
    watchdog = Watchdog(has_opacity)
    return [watchdog(r) for r in records]


@pytest.mark.parametrize("opacity, said", [(0.0, "has vanished"), (1.0, "filled to the edges")])
def test_a_collapse_is_told_once_after_so_many_steps(opacity, said):
    heard = watch([record(i, opacity) for i in range(60)])
    assert [i for i, text in enumerate(heard) if text] == [19] and said in heard[19] and "lower lr" in heard[19]
    assert not any(watch([record(i, opacity) for i in range(60)], has_opacity=False)), "pictures are always full"
    assert not any(watch([record(i, opacity if i % 19 else 0.4) for i in range(60)])), "it must be in a row"


def test_an_exploding_gradient_is_told_and_a_single_peak_is_not():
    calm = [record(i) for i in range(50)]
    assert not any(watch([*calm, record(50, rms=1e4), *(record(i) for i in range(51, 60))]))
    heard = watch([*calm, *(record(i, rms=1e4) for i in range(50, 60))])
    assert [i for i, text in enumerate(heard) if text] == [52] and "10000 times" in heard[52]
    assert not any(watch([record(i, rms=1.05**i) for i in range(400)])), "slow growth is no explosion"


def test_a_skipped_step_is_told_and_its_numbers_do_not_count():
    heard = watch([record(0), record(1, float("nan"), float("nan"), skipped=True), record(2, skipped=True)])
    assert "Step 1 was skipped" in heard[1] and not heard[0] and not heard[2]


def test_values_that_are_no_numbers_are_named():
    scene = ImageScene(ImageConfig(size=4))
    assert not_finite(scene) == ""
    with torch.no_grad():
        scene.pixels[0, 0, 1, 1] = float("inf")
    assert "in pixels" in not_finite(scene)


@pytest.mark.parametrize("field, value", [("empty_below", 1.0), ("window", 1), ("explosion", 1.0)])
def test_settings_out_of_range_are_refused(field, value):
    with pytest.raises(ValueError, match=field):
        WatchdogConfig(**{field: value})
