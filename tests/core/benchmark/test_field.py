from __future__ import annotations

import pytest
from tbsd_pack.tbsd_core.benchmark.field import FieldConfig, measure_setting, table


@pytest.mark.parametrize("name", ["dense", "hash"])
def test_a_fit_is_measured(name):
    config = FieldConfig(shape="cube", n_steps=6, size=16, settings=(name,))
    row = measure_setting(name, config, 1)
    assert row["rays_per_second"] > 100 and row["peak_gib"] >= 0
    assert 8 < row["psnr"] < 40 and 0 <= row["occupancy_iou"] < 1
    lines = table({"config": vars(config), "rows": [row]}).splitlines()
    assert lines[-1].startswith(f"| {name} |") and lines[-1].count("|") == lines[-3].count("|")


def test_unknown_settings_are_named():
    with pytest.raises(ValueError, match="triplane.*dense"):
        FieldConfig(settings=("triplane",))
