"""The load of a step of the Optimize nodes on a device, ComfyUI's own part of it included."""

from __future__ import annotations

from pathlib import Path

import pytest

INSIDE = Path(__file__).parent / "inside"
WAITS = {"image": 0, "latent": 0, "nerf": 1, "mesh_texture": 2, "gaussian": 2}  # of the host, the device idle meanwhile
LATE_WAITS = 2  # for what the step before has reported


@pytest.fixture(scope="module")
def report(comfyui) -> dict:
    return comfyui.run_script(INSIDE / "runs_in_comfyui.py", alone=True)


@pytest.mark.slow  # test_steps.py counts the steps without the host
@pytest.mark.parametrize("method", ["tbsd", "vsd"])
@pytest.mark.parametrize("scene", WAITS)
@pytest.mark.once
def test_a_step_hardly_waits(report, scene, method):
    found = report[f"{scene} {method}"]
    assert found["waits"] <= WAITS[scene] and found["late_waits"] <= LATE_WAITS
    assert found["kernels"] > 300, "the step was watched"
