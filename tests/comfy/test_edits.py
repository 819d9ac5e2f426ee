"""A picture that is there is changed by every method that edits; what cannot be is one sentence."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from tbsd_pack.tbsd_core.experiment import read_file
from tbsd_pack.tbsd_core.guidance import METHODS

pytestmark = pytest.mark.once  # of the core

EDITS = {spec.node for spec in METHODS.values() if spec.edits and not spec.flow_only}
IS, WANTED = "a brick house", "a wooden house"


def node(kind: str, /, **inputs) -> dict:
    return {"class_type": kind, "inputs": inputs}


@pytest.fixture(scope="module")
def defaults(server) -> dict:
    """The values that the widgets of the guidance nodes begin with."""
    nodes = server.request("/object_info")
    found = {}
    for spec in METHODS.values():
        inputs = {**nodes[spec.node]["input"]["required"], **nodes[spec.node]["input"].get("optional", {})}
        found[spec.node] = {name: options["default"] for name, (_, options) in inputs.items() if "default" in options}
    return found


def start() -> dict:
    """A picture of a brick house, as a scene."""
    return {
        "models": node("TBSD_DemoModels"),
        "prompts": node("TBSD_PromptEncode", clip=["models", 1], prompt=WANTED, view_dependent=False),
        "sample": node("TBSD_SampleMesh", shape="house", resolution=32, material="brick"),
        "mesh": node(
            "TBSD_MeshTextureScene",
            mesh=["sample", 0],
            mesh_file="",
            up="y",
            turn=0.0,
            detail=33,
            shading="soft",
            keep_colors=True,
            seed=0,
        ),
        "views": node(
            "TBSD_RenderViews", scene=["mesh", 0], n_views=1, size=64, elevation=20.0, distance=3.0, fov_y=36.0
        ),
        "scene": node("TBSD_ImageScene", size=64, n_images=1, seed=0, image=["views", 0]),
    }


def edit(defaults: dict, kind: str, **changes) -> dict:
    values = defaults[kind] | {"source_prompt": IS} | changes
    models = {"model": ["models", 0], "vae": ["models", 2], "prompts": ["prompts", 0]}
    return {
        kind: node(kind, **models, **values),
        f"run {kind}": node("TBSD_OptimizeImage", guidance=[kind, 0], scene=["scene", 0], steps=3, lr=0.02, seed=0),
    }


def test_every_method_changes_what_is_there_and_keeps_the_source(server, defaults):
    graph = start() | {"before": node("PreviewImage", images=["views", 0])}
    for kind in EDITS:
        graph |= edit(defaults, kind)
        graph[f"save {kind}"] = node("TBSD_SaveScene", scene=[f"run {kind}", 1], filename_prefix=f"edits/{kind}")
        graph[f"show {kind}"] = node("PreviewImage", images=[f"run {kind}", 0])
    outputs = server.run(graph)

    def seen(name: str) -> np.ndarray:
        return np.asarray(Image.open(server.file(outputs[name]["images"][0])).convert("RGB"), dtype=float)

    before, found = seen("before"), []
    for kind in EDITS:
        change = np.abs(seen(f"show {kind}") - before)
        assert 0.5 < change.mean() < 30, (kind, change.mean())
        found.append(seen(f"show {kind}").tobytes())
        stored = read_file(server.base / "output" / outputs[f"save {kind}"]["text"][0])
        assert stored.run.config["prompt"]["source"] == IS
        assert stored.run.source["kind"] == "image" and "source.pixels" in stored.run.tensors
    assert len(set(found)) == len(EDITS)


def test_what_cannot_be_edited_is_one_sentence(server, defaults):
    kind = "TBSD_DDSGuidance"
    graph = start() | edit(defaults, kind)
    graph["scene"] = node("TBSD_ImageScene", size=64, n_images=1, seed=0)
    assert "there is nothing yet in this ImageScene" in server.error(graph)
    assert "there is nothing to change" in server.error(start() | edit(defaults, kind, source_prompt=WANTED))
    assert "DVRF is for flow models" in server.error(start() | edit(defaults, "TBSD_DVRFGuidance"))


def test_ready_made_conditions_describe_the_source_and_another_scene_is_compared_with(server, defaults):
    graph = start() | edit(defaults, "TBSD_EditGuidance", source_prompt="")
    for name, text in (("target", WANTED), ("empty", ""), ("was", IS)):
        graph[name] = node("CLIPTextEncode", clip=["models", 1], text=text)
    conditions = {"target": ["target", 0], "uncond": ["empty", 0], "source": ["was", 0]}
    graph["prompts"] = node("TBSD_PromptsFromConditioning", **conditions)
    graph["original"] = node("TBSD_ImageScene", size=64, n_images=1, seed=3, image=["views", 0])
    graph["TBSD_EditGuidance"]["inputs"]["source"] = ["original", 0]
    graph["TBSD_EditGuidance"]["inputs"]["source_prompt"] = ""
    assert server.run(graph)["run TBSD_EditGuidance"]["images"]
    graph["TBSD_EditGuidance"]["inputs"]["source_prompt"] = IS
    assert "connect a CLIP Text Encode to source" in server.error(graph)
