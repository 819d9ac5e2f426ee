"""Every shipped workflow runs on a real server; its API twin is the same graph."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
NAMES = sorted(p.stem for p in (ROOT / "workflows").glob("*.json"))
FAST = {"steps": 3, "views_per_step": 4, "n_views": 3, "detail": 17, "n_samples": 12}  # in place of the real sizes


LOADERS = {"CheckpointLoaderSimple": "checkpoint", "ImageOnlyCheckpointLoader": "picture_checkpoint"}  # fixtures


def load(name: str) -> dict:
    return json.loads((ROOT / "tests" / "workflows" / f"{name}.json").read_text(encoding="utf-8"))


# what makes a type without the files of one of ComfyUI's own generators: class, nodes in its place, and its output
STAND_INS = {
    "VoxelToMesh": (
        {"made": {"class_type": "TBSD_SampleMesh", "inputs": {"shape": "house", "resolution": 16}}},
        ["made", 0],
    ),
    "VAEDecodeTripoSplat": (
        {
            "start": {"class_type": "TBSD_GaussianScene", "inputs": {"n_gaussians": 300, "relocate_every": 0} |
                      {"backend": "reference", "seed": 1}},
            "made": {"class_type": "TBSD_SaveSplats", "inputs": {"scene": ["start", 0], "filename_prefix": "made"}},
        },
        ["made", 2],
    ),
}  # fmt: skip


def without_generators(prompt: dict) -> dict:
    """A graph with a stand-in for a generator and all that only it needs, and the demo model for the checkpoint."""
    found = [key for key, node in prompt.items() if node["class_type"] in STAND_INS]
    if not found:
        return prompt
    (generator,), gone = found, set()
    nodes, output = STAND_INS[prompt[generator]["class_type"]]
    waiting = [generator]
    while waiting:
        key = waiting.pop()
        gone.add(key)
        waiting += [link[0] for link in prompt[key]["inputs"].values() if isinstance(link, list)]
    kept = {key: node for key, node in copy.deepcopy(prompt).items() if key not in gone}
    for node in kept.values():
        node["inputs"].update({k: output for k, v in node["inputs"].items() if v == [generator, 0]})
    return on_demo_model({**kept, **nodes})


def on_demo_model(prompt: dict) -> dict:
    """A graph with the demo model instead of the checkpoint, and words and sizes that it knows."""
    known = {"size": 48, "start_size": 24, "prompt": "a photo of a brick house"}
    changed = copy.deepcopy(prompt) | {"1": {"class_type": "TBSD_DemoModels", "inputs": {}}}
    for node in changed.values():
        node["inputs"].update({k: v for k, v in known.items() if k in node["inputs"]})
    return changed


def shortened(prompt: dict) -> dict:
    prompt = copy.deepcopy(prompt)
    for node in prompt.values():
        inputs = node["inputs"]
        inputs.update({k: v for k, v in FAST.items() if k in inputs})
        if node["class_type"] in ("TBSD_ExtractMesh", "TBSD_RefineAsMesh"):
            inputs |= {"resolution": 32, "faces": 500, "texture_size": 128}
    return prompt


def n_splats(prompt: dict) -> int:
    """Of its scene, which may start from others."""
    return prompt["start" if "start" in prompt else "5"]["inputs"]["n_gaussians"]


@pytest.fixture(scope="module")
def checkpoint(server, checkpoint_of) -> str:
    """Random weights in the shape of Stable Diffusion 1.5."""
    path = server.base / "models" / "checkpoints" / "shaped.safetensors"
    path.hardlink_to(checkpoint_of("sd15"))
    yield path.name
    path.unlink()


@pytest.fixture(scope="module")
def picture_checkpoint(server, checkpoint_of) -> str:
    """Random weights in the shape of Stable Zero123, and an object on a transparent background."""
    path = server.base / "models" / "checkpoints" / "picture.safetensors"
    path.hardlink_to(checkpoint_of("zero123"))
    picture = Image.new("RGBA", (64, 64))
    picture.paste((200, 60, 40, 255), (16, 8, 48, 56))
    picture.save(server.base / "input" / "example.png")
    yield path.name
    path.unlink()


@pytest.fixture(scope="module")
def controlnet(server, comfyui) -> str:
    """Random weights that go with those."""
    path = server.base / "models" / "controlnet" / "shaped.safetensors"
    comfyui.run_script(ROOT / "tests" / "comfy" / "inside" / "controlnet.py", path)
    yield path.name
    path.unlink()


def loads_checkpoint(name: str) -> bool:
    return load(name)["1"]["class_type"] in LOADERS


# a picture, and an object of each kind; the rest is alike on all hosts
KINDS = ("Text to image", "Text to 3D", "Text to splats", "Texture my mesh", "Text to 3D in stages")
WITHOUT_DEMO = [name for name in NAMES if "ControlNet" in name or "Zero123" in name]  # the demo model has none


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if name in KINDS else pytest.mark.once)
        for name in NAMES
        if name not in WITHOUT_DEMO
    ],
)
def test_workflow_runs_and_writes_its_files(server, name):
    """On the demo model; tests/web/test_templates.py sees that a press of Run sends the same."""
    prompt = without_generators(load(name))
    runs_and_writes(server, name, shortened(on_demo_model(prompt) if loads_checkpoint(name) else prompt))


@pytest.mark.once
@pytest.mark.parametrize("name", WITHOUT_DEMO)
def test_workflow_without_a_demo_model_validates(server, name, asked_for):
    server.takes(load(name))


@pytest.mark.slow  # test_real_models.py has one with a checkpoint
@pytest.mark.once
@pytest.mark.parametrize("name", [n for n in NAMES if loads_checkpoint(n) and without_generators(load(n)) == load(n)])
def test_workflow_runs_with_its_checkpoint(server, name, request):
    """Of random weights."""
    prompt = shortened(load(name))
    prompt["1"]["inputs"]["ckpt_name"] = request.getfixturevalue(LOADERS[prompt["1"]["class_type"]])
    for node in prompt.values():
        if node["class_type"] == "ControlNetLoader":
            node["inputs"]["control_net_name"] = request.getfixturevalue("controlnet")
        small = {"steps": 1, "views_per_step": 1, "size": 64}  # its views are enlarged to the size of its model
        node["inputs"].update({k: v for k, v in small.items() if k in node["inputs"]})
    runs_and_writes(server, name, prompt)


def runs_and_writes(server, name: str, prompt: dict) -> None:
    outputs = server.run(prompt)
    for node_id, node in prompt.items():
        if node["class_type"] in ("TBSD_OptimizeImage", "TBSD_Optimizer3D", "TBSD_RefineAsMesh"):
            assert len(outputs[node_id]["images"]) == 1, "the result with its curves"
        if node["class_type"].startswith(("Save", "TBSD_SaveMesh")):
            files = outputs[node_id].get("images") or outputs[node_id]["3d"]
            assert files and all(server.file(f).stat().st_size > 100 for f in files)
        if node["class_type"] == "TBSD_SaveSplats" and node_id in load(name):
            file = server.base / "output" / outputs[node_id]["text"][0]
            assert file.suffix == ".ply" and file.stat().st_size > 68 * n_splats(prompt)
    if name.startswith("Text to 3D"):
        assert outputs["13"]["result"][0].endswith(".glb")


@pytest.mark.parametrize("name", NAMES)
def test_api_twin_is_the_same_graph(server, name):
    graph = json.loads((ROOT / "workflows" / f"{name}.json").read_text(encoding="utf-8"))
    twin = load(name)
    nodes = {str(n["id"]): n for n in graph["nodes"] if n["type"] not in ("MarkdownNote", "Note")}
    assert {k: n["type"] for k, n in nodes.items()} == {k: n["class_type"] for k, n in twin.items()}
    links = {link[0]: (str(link[1]), link[2]) for link in graph["links"]}
    for node_id, node in nodes.items():
        values = twin[node_id]["inputs"]
        linked = {i["name"]: list(links[i["link"]]) for i in node["inputs"] if i.get("link") is not None}
        assert linked == {k: v for k, v in values.items() if isinstance(v, list)}
        for value in (v for v in values.values() if not isinstance(v, list)):
            assert value in node["widgets_values"], (node["type"], value)


@pytest.mark.parametrize("name", NAMES)
def test_workflow_has_a_thumbnail(name):
    with Image.open(ROOT / "workflows" / f"{name}.jpg") as picture:
        assert 256 <= picture.width <= 512 and picture.height <= 512
    assert (ROOT / "workflows" / f"{name}.jpg").stat().st_size <= 40_000


def test_comfyui_lists_the_workflows_as_templates(server):
    assert sorted(server.request("/api/workflow_templates")["tbsd-score-distillation"]) == NAMES
