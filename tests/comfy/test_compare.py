"""Compare Methods on the real server."""

from __future__ import annotations

import csv
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytestmark = pytest.mark.once  # of the core


def node(kind: str, /, **inputs) -> dict:
    return {"class_type": kind, "inputs": inputs}


def sharpening() -> dict:
    """One step on a mesh whose mean colours are pinned to those it has, which only its region says."""
    made = graph(scene=["mesh scene", 0], n_seeds=1, steps=1)
    chosen = dict(method="tbsd", scene="mesh_texture", task="sharpen")
    settings = node("TBSD_RecommendedSettings", model=["models", 0], **chosen)
    mesh = node("TBSD_SampleMesh", shape="cube", resolution=16, material="brick", fault="blurry")
    widgets = dict(mesh_file="", up="y", turn=0.0, detail=33, shading="soft", keep_colors=True, seed=0)
    scene = node("TBSD_MeshTextureScene", **widgets, mesh=["mesh", 0], settings=["settings", 10])
    return made | {"settings": settings, "mesh": mesh, "mesh scene": scene}


def graph(**changes) -> dict:
    """SDS and TBSD on one prompt with two seeds; `changes` replace inputs of the comparison."""
    models = dict(model=["models", 0], vae=["models", 2])
    inputs = dict(
        scene=["scene", 0],
        guidance_1=["sds", 0],
        guidance_2=["tbsd", 0],
        labels="",
        steps=3,
        match="steps",
        lr=0.02,
        seed=0,
        n_seeds=2,
        views_per_step=1,
        size=32,
        filename_prefix="compare/test",
    )
    return {
        "models": node("TBSD_DemoModels"),
        "plain": node("TBSD_PromptEncode", clip=["models", 1], prompt="a brick house", view_dependent=False),
        "prompts": node(
            "TBSD_TargetNegativePrompt", prompts=["plain", 0], kind="both", descriptors="blurry", target_modifier=""
        ),
        "sds": node("TBSD_SDSGuidance", **models, prompts=["prompts", 0], guidance_scale=5.0, weighting="sigma2"),
        "tbsd": node(
            "TBSD_Guidance",
            **models,
            prompts=["prompts", 0],
            guidance_scale=5.0,
            texture_scale=0.0,
            balancer="mgda_schedule",
            shape_floor=0.1,
            schedule="linear",
            anchor=1.0,
            weighting="sigma2",
        ),
        "scene": node("TBSD_ImageScene", size=64, n_images=1, seed=0),
        "compare": node("TBSD_Compare", **inputs | changes),
        "grid": node("PreviewImage", images=["compare", 0]),
        "results": node("PreviewImage", images=["compare", 1]),
        "table": node("PreviewAny", source=["compare", 2]),
    }


def table(server, folder: str) -> list[dict]:
    with (server.base / "output" / "compare" / folder / "table.csv").open() as file:
        return list(csv.DictReader(file))


def pixels(server, saved: dict) -> np.ndarray:
    return np.asarray(Image.open(server.file(saved)))


def test_columns_are_methods_rows_are_seeds_and_every_cell_is_kept(server):
    outputs = server.run(graph(labels="baseline", filename_prefix="compare/kept"))
    rows = table(server, "kept_00001")
    assert [(r["method"], r["seed"]) for r in rows] == [
        ("baseline", "0"),
        ("TBSD 5", "0"),
        ("baseline", "1"),
        ("TBSD 5", "1"),
    ]
    assert [r["evaluations"] for r in rows] == ["6", "8", "6", "8"], "TBSD begins with the shape alone"
    files = {p.name for p in (server.base / "output" / "compare" / "kept_00001").iterdir()}
    assert files == {"table.csv", "grid.png", *(f"cell_0{r}_0{c}.png" for r in (1, 2) for c in (1, 2))}
    assert len(outputs["results"]["images"]) == 4
    results = [pixels(server, s) for s in outputs["results"]["images"]]
    assert not any((a == b).all() for i, a in enumerate(results) for b in results[:i])
    assert pixels(server, outputs["grid"]["images"][0]).shape[1] > 2 * 256
    assert outputs["table"]["text"][0].startswith("| method | cells | steps | evaluations | seconds | saturation |")


def test_the_first_column_is_the_run_of_the_optimizer_with_that_seed(server):
    prompt = graph(n_seeds=1, seed=4, filename_prefix="compare/same")
    prompt["run"] = node("TBSD_OptimizeImage", guidance=["sds", 0], scene=["scene", 0], steps=3, lr=0.02, seed=4)
    prompt["alone"] = node("PreviewImage", images=["run", 0])
    outputs = server.run(prompt)
    alone, compared = (pixels(server, outputs[n]["images"][0]) for n in ("alone", "results"))
    assert (alone == compared).all()


def test_other_prompts_are_more_rows(server):
    """TBSD needs the target negative, which the second prompt lacks: that is said before anything runs."""
    prompt = graph(prompts_1=["prompts", 0], prompts_2=["torus", 0], n_seeds=1, filename_prefix="compare/rows")
    prompt["torus"] = node("TBSD_PromptEncode", clip=["models", 1], prompt="a wooden torus", view_dependent=False)
    assert "Target Negative Prompt" in server.error(prompt)
    prompt["compare"]["inputs"] |= {"guidance_2": ["strong", 0], "steps": 2}
    prompt["strong"] = node("TBSD_SDSGuidance", **prompt["sds"]["inputs"] | {"guidance_scale": 50.0})
    server.run(prompt)
    assert [(r["method"], r["prompt"]) for r in table(server, "rows_00001")] == [
        ("SDS 5", "a brick house"),
        ("SDS 50", "a brick house"),
        ("SDS 5", "a wooden torus"),
        ("SDS 50", "a wooden torus"),
    ]


def test_other_prompts_of_an_edit_start_from_the_same_source(server):
    prompt = graph(prompts_1=["torus", 0], n_seeds=1, guidance_1=["dds", 0], filename_prefix="compare/edits")
    del prompt["compare"]["inputs"]["guidance_2"]
    prompt["torus"] = node("TBSD_PromptEncode", clip=["models", 1], prompt="a wooden torus", view_dependent=False)
    models = dict(model=["models", 0], vae=["models", 2], prompts=["plain", 0])
    prompt["dds"] = node(
        "TBSD_DDSGuidance", **models, source_prompt="a striped torus", guidance_scale=5.0, weighting="sigma2"
    )
    prompt["picture"] = node("EmptyImage", width=64, height=64, batch_size=1, color=0x8090A0)
    prompt["scene"]["inputs"]["image"] = ["picture", 0]
    server.run(prompt)
    assert [row["prompt"] for row in table(server, "edits_00001")] == ["a wooden torus"]


def test_one_failing_cell_does_not_stop_the_rest(server):
    """EasyCache cannot guide an optimisation, which shows only when its cell runs."""
    prompt = graph(n_seeds=1, filename_prefix="compare/failing", guidance_1=["bad", 0], guidance_2=["sds", 0])
    cache = dict(reuse_threshold=0.2, start_percent=0.15, end_percent=0.95, verbose=False)
    prompt["cached"] = node("EasyCache", model=["models", 0], **cache)
    prompt["bad"] = node("TBSD_SDSGuidance", **prompt["sds"]["inputs"] | {"model": ["cached", 0]})
    server.run(prompt)
    first, second = table(server, "failing_00001")
    assert "EasyCache" in first["error"] and not second["error"] and float(second["contrast"]) > 0


def test_matching_noise_predictions_gives_fewer_steps_to_the_dearer_method(server):
    server.run(graph(match="noise predictions", steps=9, n_seeds=1, filename_prefix="compare/matched"))
    assert [(r["steps"], r["evaluations"]) for r in table(server, "matched_00001")] == [("9", "18"), ("6", "17")]


def test_cancelling_keeps_the_finished_cells(server):
    prompt = graph(steps=60, n_seeds=16, filename_prefix="compare/cancelled")
    prompt_id = server.queue(prompt)
    folder = server.base / "output" / "compare" / "cancelled_00001"
    end = time.monotonic() + 120
    while not list(folder.glob("cell_*.png")) and time.monotonic() < end:
        time.sleep(0.1)
    server.request("/interrupt", {})
    entry = server.wait(prompt_id, seconds=30)
    assert "execution_interrupted" in dict(entry["status"]["messages"])
    assert 1 <= len(list(folder.glob("cell_*.png"))) < 32 and table(server, "cancelled_00001")


def test_a_3d_scene_shows_four_sides(server):
    prompt = graph(n_seeds=1, steps=2, filename_prefix="compare/solid")
    prompt["scene"] = node(
        "TBSD_NeRFScene", encoding="dense", detail=17, n_samples=12, opacity_weight=0.0, tv_weight=0.0, seed=0
    )
    outputs = server.run(prompt)
    assert len(outputs["results"]["images"]) == 2 * 8
    assert len(table(server, "solid_00001")) == 2


def test_a_mesh_whose_colours_are_pinned_can_be_compared(server):
    rows = server.run(sharpening())["table"]["text"][0]
    assert rows.count("| 1/1 |") == 2, rows


@pytest.fixture(scope="module")
def labels(comfyui) -> dict:
    return comfyui.run_script(Path(__file__).parent / "inside" / "compare.py")


def test_two_columns_of_one_method_are_two_rows_of_the_table(labels):
    assert labels["balancer and prompt"]["table"] == [
        "TBSD 7.5 balancer mgda prompt a brick house",
        "TBSD 7.5 balancer fixed prompt a cone",
    ]
    assert labels["prompts alone"]["table"] == ["SDS 7.5 prompt a cone", "SDS 7.5 prompt a cube"]
    assert labels["given prompts"]["table"] == ["TBSD 7.5", "TBSD 7.5 #2"], "both run on the prompts that are given"
    assert labels["typed twice"]["table"] == ["mine method TBSD", "mine method SDS", "TBSD 7.5"]
    assert labels["typed as a default"]["table"] == ["TBSD 7.5 method SDS", "TBSD 7.5 method TBSD"]


def test_a_prompt_stands_at_its_row_or_at_its_column(labels):
    seeds = ["seed 0", "seed 1"]
    assert labels["one prompt"] == {
        "table": ["TBSD 7.5", "SDS 7.5"],
        "rows": ["a cone\nseed 0", "a cone\nseed 1"],
        "columns": ["TBSD 7.5", "SDS 7.5"],
    }
    assert labels["two methods"]["rows"] == labels["prompts alone"]["rows"] == seeds
    assert labels["two methods"]["columns"] == ["TBSD 7.5\na brick\nhouse", "SDS 7.5\na cone"]
    assert labels["prompts alone"]["columns"] == labels["prompts alone"]["table"], "which say the prompt already"
    assert labels["given prompts"]["rows"] == [f"{text}\n{seed}" for text in ("a torus", "a cube") for seed in seeds]


def test_studies_plan_their_memory_and_an_interrupt_ends_them(comfyui):
    report = comfyui.run_script(Path(__file__).parent / "inside" / "study_memory.py")
    plenty, little = report["plenty"], report["little"]
    assert plenty["compare"]["chunks"] == plenty["series"] == [0, 0]
    assert little["compare"]["chunks"] == little["series"] == [1, 1], "one view at a time"
    said = "A step of 4 views at 16 pixels needs"
    assert said not in plenty["compare"]["table"] and little["compare"]["table"].count(said) == 1
    assert report["interrupted after"] == 1, "the other seed is not begun"
