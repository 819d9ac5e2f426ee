"""The templates of real models with checkpoints of each family that the loaders know: random weights, true shapes.

Views reach the model at the size that it was trained at, or the run says that they do not.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tbsd_pack.tbsd_core.experiment import read_newest
from tbsd_pack.tbsd_core.presets import enlarged_to

pytestmark = pytest.mark.once  # long, and the versions do not differ in it
ROOT = Path(__file__).resolve().parents[2]
# what wants other files as well is in test_workflows.py
OTHERS = ("ControlNet", "Hunyuan3D", "TripoSplat")
ALL = sorted(path.stem for path in (ROOT / "workflows").glob("* with SD*.json"))
NAMES = [name for name in ALL if not any(other in name for other in OTHERS)]
# all with the family that most of them are named for, and one with each of the others
FAMILIES = {"sd15": NAMES, "sd3": NAMES[:1], "sdxl": ["Text to 3D with SDXL"]}
SHORTEST = ("sd15", "Text to splats with SD 1.5")
SECONDS = 900  # a step of SDXL sees 1024 pixels
OPTIMIZERS = ("TBSD_OptimizeImage", "TBSD_Optimizer3D")


@pytest.fixture(scope="module")
def family(request, server, checkpoint_of) -> str:
    """Its checkpoint lies where the loaders look."""
    path = server.base / "models" / "checkpoints" / f"{request.param}.safetensors"
    path.hardlink_to(checkpoint_of(request.param))
    yield request.param
    path.unlink()


def one_step(name: str, family: str, **inputs) -> dict:
    """A template up to its run, which takes one step of one small view."""
    prompt = json.loads((ROOT / "tests" / "workflows" / f"{name}.json").read_text(encoding="utf-8"))
    (run,) = (k for k, node in prompt.items() if node["class_type"] in OPTIMIZERS)
    prompt[run]["inputs"] |= {"steps": 1, "views_per_step": 1, "size": 64, **inputs}
    prompt[run]["inputs"].pop("start_size", None)
    prompt["2"]["inputs"]["view_dependent"] = False  # three texts for SDXL's text encoders instead of eleven
    prompt["1"]["inputs"]["ckpt_name"] = f"{family}.safetensors"
    waiting, kept = [run], {}
    while waiting:
        key = waiting.pop()
        kept[key] = prompt[key]
        waiting += [value[0] for value in prompt[key]["inputs"].values() if isinstance(value, list)]
    return kept


def ran(server, prompt: dict) -> tuple[dict, list[str]]:
    """The configuration of the run of a graph, and its warnings."""
    entry = server.wait(server.queue(prompt), SECONDS)
    assert entry["status"]["status_str"] == "success", entry["status"]["messages"][-1]
    run = server.request("/tbsd/runs")["runs"][-1]["run"]
    state = server.request(f"/tbsd/runs/{run}")
    assert (state["status"], state["step"]) == ("done", 1)
    return read_newest(server.base / "output" / "tbsd" / "runs" / run).run.config, state["warnings"]


@pytest.mark.parametrize(
    ("family", "name"),
    [
        pytest.param(f, name, marks=[] if (f, name) == SHORTEST else pytest.mark.slow)
        for f, names in FAMILIES.items()
        for name in names
    ],
    indirect=["family"],
)
def test_templates_run_with_every_family_at_its_native_size(server, family, name):
    config, warnings = ran(server, one_step(name, family))
    assert config["prior"] == f"comfyui:{family}"
    assert (config["optim"]["size"], config["optim"]["encode_size"]) == (64, enlarged_to(family))
    assert not any("trained on pictures" in text for text in warnings)


@pytest.mark.parametrize("family", ["sd15", pytest.param("sd3", marks=pytest.mark.slow)], indirect=True)
def test_any_other_size_is_said(server, family):
    size = enlarged_to(family) // 2
    config, warnings = ran(server, one_step(SHORTEST[1], family, encode_size=size))
    assert config["optim"]["encode_size"] == size
    assert any(f"and sees {size} here" in text for text in warnings)
