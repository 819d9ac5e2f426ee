from __future__ import annotations

import json

import pytest
from tbsd_pack.tbsd_core.benchmark.models import random_prior
from tbsd_pack.tbsd_core.benchmark.speed import SpeedConfig
from tbsd_pack.tbsd_core.cli import main


def test_speed_writes_the_ratio_of_a_step_and_its_floor(tmp_path, capsys):
    file = tmp_path / "speed.json"
    assert main(["benchmark", "speed", "--rounds", "1", "--scenes", "image", "--json", str(file)]) == 0
    result = json.loads(file.read_text())
    seconds, ratio = result["seconds"]["image"], result["ratios"]["image"]
    assert set(seconds) == {"forward", "encode", "render", "step"} and min(seconds.values()) > 0
    assert ratio == pytest.approx(seconds["step"] / (seconds["forward"] + seconds["encode"] + seconds["render"]))
    assert f"{ratio:.3f}" in capsys.readouterr().out


def test_unknown_model_shapes_and_no_rounds_are_refused():
    with pytest.raises(ValueError, match="small, sd15, sd21"):
        random_prior("sd9")
    with pytest.raises(ValueError, match="rounds"):
        SpeedConfig(rounds=0)
