"""A graph whose model was distilled to a few steps says so, by the files that it loads."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

pytestmark = pytest.mark.once  # of the core

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def lora(server) -> str:
    """A LoRA of nothing under a telling name: merged into weights it could not be seen."""
    path = server.base / "models" / "loras" / "lcm-lora-demo.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({"lora_unet_nothing.alpha": torch.ones(())}, str(path))
    yield path.name
    path.unlink()


def graph(name: str, steps: int) -> dict:
    """A workflow with the LoRA between its model and what uses it."""
    found = json.loads((ROOT / "tests" / "workflows" / f"{name}.json").read_text(encoding="utf-8"))
    (models,) = (k for k, v in found.items() if v["class_type"] == "TBSD_DemoModels")
    for node in found.values():
        if node["inputs"].get("model") == [models, 0]:
            node["inputs"]["model"] = ["lora", 0]
        node["inputs"].update({k: steps for k in ("steps",) if k in node["inputs"]})
    return found | {"lora": {"class_type": "LoraLoaderModelOnly", "inputs": {"model": [models, 0]}}}


def test_a_run_warns_of_the_lora_of_a_distilled_model(server, lora):
    prompt = graph("Text to image", 2)
    prompt["lora"]["inputs"] |= {"lora_name": lora, "strength_model": 1.0}
    server.run(prompt)
    run = server.request("/tbsd/runs")["runs"][-1]
    (warning,) = server.request(f"/tbsd/runs/{run['run']}")["warnings"]
    assert warning.startswith(f"{lora} seems to be an LCM") and warning.endswith("a LoRA that makes it fast.")


def test_a_lora_of_another_branch_is_no_matter(server, lora):
    """It is a part of the graph, and not of the model that guides."""
    prompt = graph("Text to image", 3)
    prompt["lora"]["inputs"] |= {"lora_name": lora, "strength_model": 1.0}
    (models,) = (k for k, v in prompt.items() if v["class_type"] == "TBSD_DemoModels")
    for node in prompt.values():
        if node["inputs"].get("model") == ["lora", 0]:
            node["inputs"]["model"] = [models, 0]
    (clip,) = (v for v in prompt.values() if v["class_type"] == "TBSD_PromptEncode")
    prompt["both"] = {
        "class_type": "LoraLoader",
        "inputs": {"model": [models, 0], "clip": [models, 1], "lora_name": lora}
        | {"strength_model": 1.0, "strength_clip": 1.0},
    }
    clip["inputs"]["clip"] = ["both", 1]
    server.run(prompt)
    run = server.request("/tbsd/runs")["runs"][-1]
    assert server.request(f"/tbsd/runs/{run['run']}")["warnings"] == []


def test_a_comparison_says_it_below_its_table(server, lora):
    prompt = graph("Compare methods", 2)
    prompt["lora"]["inputs"] |= {"lora_name": lora, "strength_model": 1.0}
    (compare,) = (k for k, v in prompt.items() if v["class_type"] == "TBSD_Compare")
    prompt[compare]["inputs"] |= {"n_seeds": 1, "size": 32}
    (table,) = server.run(prompt)[compare]["text"]
    assert table.count("seems to be an LCM") == 1 and table.rstrip().endswith("makes it fast.")
