"""Every guidance node runs on a real server with the values that its widgets begin with."""

from __future__ import annotations

import pytest
from tbsd_pack.tbsd_core.guidance import METHODS

GUIDANCE = {spec.node for spec in METHODS.values()}
EDITS = {spec.node for spec in METHODS.values() if spec.edits}  # see test_edits.py


# saved workflows hold values of widgets by position: what is new comes last
ORDERS = {
    "TBSD_Guidance": "guidance_scale texture_scale balancer shape_floor schedule anchor weighting schedule_start "
    "schedule_end conflict_aversion cutoff",
    "TBSD_SDSGuidance": "guidance_scale weighting",
    "TBSD_CSDGuidance": "negative_start negative_end anneal_end weighting",
    "TBSD_BridgeGuidance": "guidance_scale switch negative anchor weighting",
    "TBSD_VSDGuidance": "guidance_scale weighting lora_rank lora_lr",
    "TBSD_ESDGuidance": "guidance_scale entropy weighting lora_rank lora_lr",
    "TBSD_NFSDGuidance": "guidance_scale clean_below weighting",
    "TBSD_BSDGuidance": "guidance_scale weighting",
    "TBSD_ISMGuidance": "guidance_scale baseline stride interval interval_start interval_anneal weighting",
    "TBSD_SDIGuidance": "guidance_scale inversion_scale n_inversion_steps eta overshoot",
    "TBSD_HiFAGuidance": "guidance_scale pixel_scale weighting",
    "TBSD_DDSGuidance": "source_prompt guidance_scale weighting",
    "TBSD_PDSGuidance": "source_prompt guidance_scale stride",
    "TBSD_SSDGuidance": "source_prompt guidance_scale source_scale enhance_scale identity weighting",
    "TBSD_EditGuidance": "source_prompt guidance_scale texture_scale balancer shape_floor schedule anchor hold "
    "weighting schedule_start schedule_end conflict_aversion cutoff",
    "TBSD_DVRFGuidance": "source_prompt guidance_scale source_scale shift",
    "TBSD_Timesteps": "t_min t_max t_max_end anneal_end anneal draw",
}


def node(kind: str, /, **inputs) -> dict:
    return {"class_type": kind, "inputs": inputs}


@pytest.fixture(scope="module")
def nodes(server) -> dict:
    return {k: v for k, v in server.request("/object_info").items() if k.startswith("TBSD_")}


def widgets(nodes: dict, kind: str) -> dict:
    """The values that the widgets of a node begin with, optional ones included."""
    inputs = nodes[kind]["input"]
    found = {**inputs.get("required", {}), **inputs.get("optional", {})}
    return {name: options["default"] for name, (_, options) in found.items() if "default" in options}


def graph(nodes: dict, kind: str, seed: int, **changes) -> dict:
    """A picture from both negatives by a guidance node; `changes` replace nodes by id."""
    guidance = widgets(nodes, kind) | {"model": ["models", 0], "vae": ["models", 2], "prompts": ["prompts", 0]}
    return {
        "models": node("TBSD_DemoModels"),
        "plain": node("TBSD_PromptEncode", clip=["models", 1], prompt="a brick house", view_dependent=True),
        "prompts": node(
            "TBSD_TargetNegativePrompt",
            prompts=["plain", 0],
            kind="both",
            descriptors="blurry, dark",
            target_modifier="sharp",
        ),
        "guidance": node(kind, **guidance),
        "scene": node("TBSD_ImageScene", size=64, n_images=1, seed=0),
        "run": node("TBSD_OptimizeImage", guidance=["guidance", 0], scene=["scene", 0], steps=2, lr=0.02, seed=seed),
    } | changes


def in_3d(seed: int, **inputs) -> dict:
    return {
        "scene": node(
            "TBSD_NeRFScene", encoding="dense", detail=17, n_samples=12, opacity_weight=0.0, tv_weight=0.0, seed=seed
        ),
        "run": node(
            "TBSD_Optimizer3D",
            guidance=["guidance", 0],
            scene=["scene", 0],
            **{"steps": 2, "views_per_step": 3, "size": 32, "lr": 0.02, "seed": seed} | inputs,
        ),
    }


def test_the_list_of_guidance_nodes_is_whole(nodes):
    found = {k for k, v in nodes.items() if "TBSD_GUIDANCE" in v["output"]}
    assert found == GUIDANCE and {nodes[k]["category"] for k in found} == {"TBSD/guidance"}


@pytest.mark.parametrize("kind", ORDERS)
def test_widgets_keep_their_places(nodes, kind):
    assert list(widgets(nodes, kind))[: len(ORDERS[kind].split())] == ORDERS[kind].split()


@pytest.mark.parametrize("kind", sorted(GUIDANCE - EDITS))
@pytest.mark.once
def test_a_picture_with_the_defaults(server, nodes, kind):
    assert server.run(graph(nodes, kind, seed=31))["run"]["images"]


@pytest.mark.parametrize("balancer", ["pcgrad", "cagrad_schedule", "band", "orthogonal_schedule"])
@pytest.mark.once
def test_balancers_of_tbsd(server, nodes, balancer):
    prompt = graph(nodes, "TBSD_Guidance", seed=32)
    prompt["guidance"]["inputs"] |= {"balancer": balancer, "conflict_aversion": 0.3, "cutoff": 0.2}
    assert server.run(prompt)["run"]["images"]


@pytest.mark.once
def test_timesteps_of_a_node_and_of_the_recommended_settings(server, nodes):
    times = node("TBSD_Timesteps", **widgets(nodes, "TBSD_Timesteps") | {"draw": "highest", "anneal": "sqrt"})
    prompt = graph(nodes, "TBSD_HiFAGuidance", seed=33, times=times)
    prompt["run"]["inputs"]["timesteps"] = ["times", 0]
    assert server.run(prompt)["run"]["images"]
    settings = node("TBSD_RecommendedSettings", model=["models", 0], method="sdi", scene="image")
    prompt = graph(nodes, "TBSD_SDIGuidance", seed=34, settings=settings)
    prompt["run"]["inputs"] |= {"timesteps": ["settings", 9], "t_max": ["settings", 6]}
    assert server.run(prompt)["run"]["images"]


@pytest.mark.once
def test_settings_of_a_method_take_the_place_of_the_widgets(server, nodes):
    """HiFA on latents is refused with the pixel_scale of its widget; the settings for latents leave that out."""
    scene = node("TBSD_ImageScene", size=64, n_images=1, seed=0, vae=["models", 2])
    settings = node("TBSD_RecommendedSettings", model=["models", 0], method="hifa", scene="latent")
    prompt = graph(nodes, "TBSD_HiFAGuidance", seed=39, scene=scene, settings=settings)
    prompt["guidance"]["inputs"]["settings"] = prompt["prompts"]["inputs"]["settings"] = ["settings", 10]
    assert server.run(prompt)["run"]["images"]
    prompt["settings"]["inputs"]["method"] = "sds"
    assert "settings are for SDS, expected settings for HiFA" in server.error(prompt)


@pytest.mark.once
def test_hifa_on_latents_says_what_to_do(server, nodes):
    scene = node("TBSD_ImageScene", size=64, n_images=1, seed=0, vae=["models", 2])
    prompt = graph(nodes, "TBSD_HiFAGuidance", seed=35, scene=scene)
    assert "Set its pixel_scale to 0" in server.error(prompt)
    prompt["guidance"]["inputs"]["pixel_scale"] = 0.0
    assert server.run(prompt)["run"]["images"]


@pytest.mark.once
def test_ism_names_the_negative_it_lacks(server, nodes):
    plain = node("TBSD_PromptEncode", clip=["models", 1], prompt="a brick house", view_dependent=False)
    prompt = graph(nodes, "TBSD_ISMGuidance", seed=36, prompts=plain)
    assert server.run(prompt)["run"]["images"]
    prompt["guidance"]["inputs"]["baseline"] = "negative"
    assert "Target Negative Prompt" in server.error(prompt)


@pytest.mark.parametrize("kind", ["TBSD_Guidance", "TBSD_ISMGuidance", "TBSD_SDIGuidance"])
@pytest.mark.once
def test_perp_neg_in_3d(server, nodes, kind):
    perp = node("TBSD_PerpNeg", prompts=["prompts", 0], strength=1.0)
    prompt = graph(nodes, kind, seed=37, perp=perp, **in_3d(37))
    prompt["guidance"]["inputs"]["prompts"] = ["perp", 0]
    assert server.run(prompt)["run"]["images"]


@pytest.mark.once
def test_perp_neg_without_views_says_what_to_turn_on(server, nodes):
    plain = node("TBSD_PromptEncode", clip=["models", 1], prompt="a brick house", view_dependent=False)
    perp = node("TBSD_PerpNeg", prompts=["plain", 0], strength=1.0)
    prompt = graph(nodes, "TBSD_SDSGuidance", seed=38, plain=plain, perp=perp, **in_3d(38))
    prompt["guidance"]["inputs"]["prompts"] = ["perp", 0]
    assert "view_dependent on" in server.error(prompt)
