"""The analysis nodes on the real server: numbers, pictures and objects, cancelling, mistakes."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.once  # of the core; test_runs.py interrupts on all hosts


def node(kind: str, /, **inputs) -> dict:
    return {"class_type": kind, "inputs": inputs}


def graph(**changes) -> dict:
    """Demo models with both negatives, SDS and a small picture; `changes` add or replace nodes."""
    models = {"model": ["models", 0], "vae": ["models", 2], "prompts": ["prompts", 0]}
    return {
        "models": node("TBSD_DemoModels"),
        "text": node("TBSD_PromptEncode", clip=["models", 1], prompt="a brick house", view_dependent=False),
        "prompts": node(
            "TBSD_TargetNegativePrompt", prompts=["text", 0], kind="both", descriptors="blurry", target_modifier=""
        ),
        "guidance": node("TBSD_SDSGuidance", **models, guidance_scale=5.0, weighting="sigma2"),
        "scene": node("TBSD_ImageScene", size=64, n_images=1, seed=0),
    } | changes


RUN = {"guidance": ["guidance", 0], "scene": ["scene", 0], "steps": 2, "lr": 0.01, "seed": 0}
INSPECT = dict(progress="0.25", post="target", shown="decode", n_noises=1, seed=0, noise_levels="0.5")
SHOW = node("PreviewAny", source=["analysis", 1])


def inspect(**inputs) -> dict:
    return node("TBSD_InspectDirections", guidance=["guidance", 0], **(INSPECT | inputs))


def numbers(server, **changes) -> dict:
    """The numbers of the node "analysis", which also shows one picture."""
    outputs = server.run(graph(show=SHOW, **changes))
    assert len(outputs["analysis"]["images"]) == 1
    (text,) = outputs["show"]["text"]
    return json.loads(text)


def test_a_picture_of_any_size_can_be_inspected(server):
    picture = node("EmptyImage", width=70, height=53, batch_size=2, color=0x884422)
    found = numbers(server, picture=picture, analysis=inspect(image=["picture", 0], noise_levels="0.3, 0.7"))
    assert [(row["picture"], row["t"]) for row in found["rows"]] == [(0, 0.3), (0, 0.7), (1, 0.3), (1, 0.7)]
    assert list(found["rows"][0]["norm"]) == ["delta_cls", "delta_post_gnp", "delta_post_tnp", "delta_bridge", "sds"]


def test_a_latent_scene_and_an_object_can_be_inspected(server):
    latent = node("TBSD_ImageScene", size=64, n_images=1, seed=0, vae=["models", 2])
    assert numbers(server, scene=latent, analysis=inspect(scene=["scene", 0]))["rows"]
    nerf = node("TBSD_NeRFScene", encoding="dense", detail=17, n_samples=12, opacity_weight=0.0, tv_weight=0.0, seed=0)
    assert numbers(server, scene=nerf, analysis=inspect(scene=["scene", 0]))["rows"]


def test_a_scene_is_inspected_as_large_as_the_model_sees_it_in_a_run(comfyui):
    report = comfyui.run_script(Path(__file__).parent / "inside" / "directions.py")
    for name, pixels in {"nerf": 512, "image": 512, "latent": 64, "picture": 64}.items():
        found = report[name]
        assert (found["pixels"], found["reserved"]) == (pixels, [2, pixels, pixels])
        assert found.get("run", pixels) == pixels


def test_inspecting_needs_one_picture_and_both_negatives(server):
    assert "either an image or a scene" in server.error(graph(analysis=inspect()))
    alone = node(
        "TBSD_TargetNegativePrompt",
        prompts=["text", 0],
        kind="target negative (TNP)",
        descriptors="blurry",
        target_modifier="",
    )
    assert "GNP" in server.error(graph(prompts=alone, analysis=inspect(scene=["scene", 0])))


def test_a_text_that_is_no_list_of_numbers_is_refused(server):
    wrong = node("TBSD_OverTime", **RUN, moments="0.5; 1")
    assert "moments must be numbers separated by commas" in server.error(graph(analysis=wrong))


def test_an_unknown_setting_lists_what_there_is(server):
    vary = node("TBSD_SweepShape", **RUN, setting="balance.shape_share", values="0, 1")
    assert "it has guidance_scale, weighting" in server.error(graph(analysis=vary))
    vary = node("TBSD_SweepShape", **RUN, setting="guidance_scale", values="1, 9")
    found = numbers(server, analysis=vary)
    assert [case["config"]["guidance"]["guidance_scale"] for case in found["cases"]] == [1.0, 9.0]
    assert not found["identical"]


def test_a_value_that_fails_is_marked_and_the_others_are_kept(server):
    """With the first one no gradient is finite."""
    vary = node("TBSD_SweepShape", **(RUN | {"steps": 12}), setting="guidance_scale", values="1e39, 5")
    first, second = numbers(server, analysis=vary)["cases"]
    assert "not finite" in first["error"] and "error" not in second
    assert second["value"] == "5" and second["metrics"] and second["config"]["guidance"]["guidance_scale"] == 5.0


def test_a_path_that_cannot_be_measured_is_marked_and_the_others_are_kept(server):
    models = {"model": ["models", 0], "vae": ["models", 2], "prompts": ["text", 0]}  # without a target negative
    bad = node("TBSD_SDSGuidance", **models, guidance_scale=5.0, weighting="sigma2")
    run = RUN | {"guidance": ["bad", 0], "guidance_2": ["guidance", 0]}
    path = node("TBSD_ObjectivePath", **run, every=1, noise_levels="0.5", n_noises=1)
    first, second = numbers(server, bad=bad, analysis=path)["cases"]
    assert "Target Negative Prompt" in first["error"] and first["path"] == []
    assert "error" not in second and len(second["path"]) == 3


def test_objects_run_through_the_series_too(server):
    nerf = node("TBSD_NeRFScene", encoding="dense", detail=17, n_samples=12, opacity_weight=0.0, tv_weight=0.0, seed=0)
    seeds = node("TBSD_SeedsGrid", **RUN, n_seeds=2)
    found = numbers(server, scene=nerf, analysis=seeds)
    assert [case["config"]["optim"]["seed"] for case in found["cases"]] == [0, 1]
    assert found["cases"][0]["pictures"] != found["cases"][1]["pictures"]


def test_each_seed_paints_the_mesh_that_is_given(server):
    mesh = node("TBSD_SampleMesh", shape="cone", resolution=48)
    scene = node(
        "TBSD_MeshTextureScene",
        **{"mesh": ["mesh", 0], "mesh_file": "", "up": "y", "turn": 0.0, "detail": 17, "shading": "soft"},
        keep_colors=False,
        seed=0,
    )
    found = numbers(server, mesh=mesh, scene=scene, analysis=node("TBSD_SeedsGrid", **RUN, n_seeds=2))
    assert all(case["pictures"]["1"]["foreground"] > 0.02 for case in found["cases"])
    assert found["cases"][0]["pictures"] != found["cases"][1]["pictures"]


def test_cancel_stops_a_series_within_a_step(server):
    long = node("TBSD_SeedsGrid", **(RUN | {"steps": 5000, "seed": 7}), n_seeds=4)
    prompt_id = server.queue(graph(analysis=long))
    time.sleep(6)
    start = time.monotonic()
    server.request("/interrupt", {})
    entry = server.wait(prompt_id, seconds=30)
    assert time.monotonic() - start < 10
    assert "execution_interrupted" in dict(entry["status"]["messages"])
