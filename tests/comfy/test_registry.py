"""The nodes as the server announces them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tbsd_pack.tbsd_core.experiment import load_scene
from tbsd_pack.tbsd_core.scenes import SCENES, MeshTextureConfig, NeRFConfig
from tbsd_pack.tbsd_core.settings import described

ROOT = Path(__file__).resolve().parents[2]
IDS = {
    "TBSD_DemoModels",
    "TBSD_PromptEncode",
    "TBSD_TargetNegativePrompt",
    "TBSD_PromptsFromConditioning",
    "TBSD_PerpNeg",
    "TBSD_Zero123Prompt",
    "TBSD_Guidance",
    "TBSD_SDSGuidance",
    "TBSD_CSDGuidance",
    "TBSD_BridgeGuidance",
    "TBSD_VSDGuidance",
    "TBSD_ESDGuidance",
    "TBSD_NFSDGuidance",
    "TBSD_BSDGuidance",
    "TBSD_ISMGuidance",
    "TBSD_SDIGuidance",
    "TBSD_HiFAGuidance",
    "TBSD_DDSGuidance",
    "TBSD_PDSGuidance",
    "TBSD_SSDGuidance",
    "TBSD_EditGuidance",
    "TBSD_DVRFGuidance",
    "TBSD_ImageScene",
    "TBSD_NeRFScene",
    "TBSD_GaussianScene",
    "TBSD_RegionFromView",
    "TBSD_RegionFromMask",
    "TBSD_RegionFromPart",
    "TBSD_Cameras",
    "TBSD_Timesteps",
    "TBSD_RecommendedSettings",
    "TBSD_Optimizer3D",
    "TBSD_OptimizeImage",
    "TBSD_RefineAsMesh",
    "TBSD_Compare",
    "TBSD_Metrics",
    "TBSD_RenderViews",
    "TBSD_ExtractMesh",
    "TBSD_SaveMesh",
    "TBSD_SaveSplats",
    "TBSD_SaveScene",
    "TBSD_LoadScene",
    "TBSD_InspectDirections",
    "TBSD_OverTime",
    "TBSD_SeedsGrid",
    "TBSD_SweepShape",
    "TBSD_ObjectivePath",
}


@pytest.fixture(scope="module")
def nodes(server) -> dict:
    return {k: v for k, v in server.request("/object_info").items() if k.startswith("TBSD_")}


def test_every_id_ever_released_is_still_there(nodes):
    assert set(nodes) >= IDS


def test_every_input_and_output_has_a_tooltip(nodes):
    for node_id, info in nodes.items():
        for group in ("required", "optional"):
            for name, (_, options) in info["input"].get(group, {}).items():
                assert options.get("tooltip"), f"{node_id}.{name}"
        assert all(info["output_tooltips"]), node_id


def test_every_node_has_a_name_a_description_and_a_place(nodes):
    for node_id, info in nodes.items():
        assert info["category"].startswith("TBSD/"), node_id
        assert info["description"] and info["display_name"] != node_id


def test_every_node_has_a_help_page_that_the_server_serves(nodes, server):
    assert {p.stem for p in (ROOT / "web" / "docs").glob("*.md")} == set(nodes)
    for node_id in nodes:
        page = server.request(f"/extensions/tbsd-score-distillation/docs/{node_id}.md")
        assert page.decode().startswith(f"# {nodes[node_id]['display_name']}")


def test_a_help_page_names_every_input_and_its_pictures_are_served(nodes, server):
    for node_id, info in nodes.items():
        text = (ROOT / "web" / "docs" / f"{node_id}.md").read_text(encoding="utf-8")
        bold = set(re.findall(r"\*\*([a-z0-9_]+)\*\*", text))
        inputs = {name for group in ("required", "optional") for name in info["input"].get(group, {})}
        assert inputs <= bold, f"{node_id}: {sorted(inputs - bold)}"
        for picture in re.findall(r"!\[.+?\]\((.+?)\)", text):
            assert len(server.request(f"/extensions/tbsd-score-distillation/docs/{picture}")) > 1000


# what a scene can start from, after its settings
STARTS = {"gaussian": ["splat", "file_3d", "splat_file", "up", "turn"]}


@pytest.mark.parametrize("spec", [s for s in SCENES.values() if s.description], ids=lambda spec: spec.name)
def test_the_widgets_of_a_scene_are_its_settings(nodes, spec):
    inputs = nodes[spec.node]["input"]
    said = [(name, value, hint) for name, value, hint in described(spec.config()) if hint and hint.tooltip]
    shown = [(hint.widget or name, value, hint) for name, value, hint in said]
    assert list(inputs["required"]) == [name for name, _, hint in shown if not hint.optional]
    own = [*(name for name, _, hint in shown if hint.optional), "settings"]
    assert list(inputs.get("optional", {})) == own + STARTS.get(spec.name, [])
    for name, value, hint in shown:
        options = {**inputs["required"], **inputs.get("optional", {})}[name][1]
        assert options["tooltip"] == hint.tooltip
        assert options["default"] == (hint.shown(value) if hint.shown else value)


def test_what_widgets_say_is_in_the_scene(server):
    values = {"encoding": "kplanes", "detail": 33, "n_samples": 20, "opacity_weight": 0.5, "tv_weight": 0.25, "seed": 3}
    graph = {
        "nerf": {"class_type": "TBSD_NeRFScene", "inputs": values | {"shaded": 0.125}},
        "sample": {"class_type": "TBSD_SampleMesh", "inputs": {"shape": "cube", "resolution": 16}},
        "mesh": {
            "class_type": "TBSD_MeshTextureScene",
            "inputs": {"mesh": ["sample", 0], "mesh_file": "", "up": "z", "turn": 30.0, "detail": 20}
            | {"shading": "none", "keep_colors": False, "seed": 5, "encoding": "hash"},
        },
    }
    for name in ("nerf", "mesh"):
        inputs = {"scene": [name, 0], "filename_prefix": f"widgets/{name}"}
        graph[f"save {name}"] = {"class_type": "TBSD_SaveScene", "inputs": inputs}
    outputs = server.run(graph)
    nerf, mesh = (load_scene(server.base / "output" / outputs[f"save {n}"]["text"][0]) for n in ("nerf", "mesh"))
    settings = {name: value for name, value in values.items() if name != "detail"}
    assert nerf.config == NeRFConfig(**settings, resolutions=(17, 33), shaded=0.125)
    sizes = {name: getattr(mesh.config, name) for name in ("n_vertices", "n_faces", "n_uvs")}
    own = {"encoding": "hash", "resolutions": (20,), "shading": "none", "seed": 5}
    assert mesh.config == MeshTextureConfig(**own, **sizes)


def test_seeds_can_be_randomised(nodes):
    for node_id in ("TBSD_OptimizeImage", "TBSD_Optimizer3D", *(s.node for s in SCENES.values() if s.description)):
        assert nodes[node_id]["input"]["required"]["seed"][1]["control_after_generate"]


def test_what_a_newcomer_needs_is_not_folded_away(nodes):
    """The same on every host, as older ones pass the flag on without knowing it."""
    folded = {}
    for node_id, info in nodes.items():
        for group in ("required", "optional"):
            for name, (_, options) in info["input"].get(group, {}).items():
                folded.setdefault(name, []).append((node_id, options.get("advanced", False), "default" in options))
    flagged = {name for name, uses in folded.items() if any(flag for _, flag, _ in uses)}
    assert len(flagged) > 30 and all(flag == uses[0][1] for uses in folded.values() for _, flag, _ in uses)
    assert all(has_default for name in flagged for _, _, has_default in folded[name]), "what is hidden has a value"
    assert not flagged & {"prompt", "steps", "size", "seed", "guidance_scale", "texture_scale", "balancer", "detail"}
