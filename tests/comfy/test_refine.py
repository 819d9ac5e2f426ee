"""Refine as Mesh on a real server: where the mesh stands, how it begins, and how its run goes on."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest
import torch
import trimesh
from PIL import Image
from tbsd_pack.tbsd_core.experiment import read_newest

pytestmark = pytest.mark.once  # of the core


def node(kind: str, **inputs) -> dict:
    return {"class_type": kind, "inputs": inputs}


def graph(scene: dict | None = None, **refine) -> dict:
    """A NeRF that nothing has optimised, a grey ball, as a mesh."""
    inputs = {
        "guidance": ["sds", 0],
        "scene": ["nerf", 0],
        **{"steps": 3, "views_per_step": 1, "size": 32, "lr": 0.02, "t_max": 0.5, "seed": 0, "detail": 17},
        **{"resolution": 32, "faces": 300, "texture_size": 64},
    }
    nerf = {"encoding": "dense", "detail": 17, "n_samples": 24, "opacity_weight": 0.01, "tv_weight": 0.5, "seed": 0}
    sds = {"model": ["models", 0], "vae": ["models", 2], "prompts": ["prompts", 0], "guidance_scale": 5.0}
    sds |= {"weighting": "sigma2"}
    return {
        "models": node("TBSD_DemoModels"),
        "prompts": node("TBSD_PromptEncode", clip=["models", 1], prompt="a brick house", view_dependent=False),
        "sds": node("TBSD_SDSGuidance", **sds),
        "nerf": scene or node("TBSD_NeRFScene", **nerf),
        "run": node("TBSD_RefineAsMesh", **(inputs | refine)),
        "save": node("TBSD_SaveMesh", mesh=["run", 2], filename_prefix="refine/mesh", format="glb"),
        "keep": node("TBSD_SaveScene", scene=["run", 0], filename_prefix="refine/scene"),
    }


def views(of: str) -> dict:
    return node("TBSD_RenderViews", scene=[of, 0], n_views=4, size=64, elevation=15.0, distance=3.0, fov_y=36.0)


def pixels(server, saved: list[dict]) -> np.ndarray:
    return np.stack([np.asarray(Image.open(server.file(s)).convert("RGB"), dtype=np.float32) for s in saved]) / 255


def last_run(server) -> dict:
    found = [r for r in server.request("/tbsd/runs")["runs"] if r["node"] == "run"]
    return server.request(f"/tbsd/runs/{found[-1]['run']}")


def begun(server, known: set[str]) -> bool:
    """Whether a run that was not known has done some steps."""
    runs = server.request("/tbsd/runs")["runs"]
    return any(r["run"] not in known and server.request(f"/tbsd/runs/{r['run']}")["step"] >= 5 for r in runs)


def test_the_mesh_stands_where_the_nerf_does_and_begins_with_its_colours(server):
    """At half the density of Extract Mesh, whose half-value layer is 1/24 of the bound of 1."""
    cut = {"resolution": 32, "threshold": 12 * math.log(2), "keep_fraction": 0.1, "faces": 300, "texture_size": 64}
    prompt = graph(lr=0.00001) | {
        "cut": node("TBSD_ExtractMesh", scene=["nerf", 0], **cut),
        "cut file": node("TBSD_SaveMesh", mesh=["cut", 0], filename_prefix="refine/cut", format="glb"),
        **{f"views of {n}": views(n) for n in ("nerf", "run")},
        **{f"see {n}": node("PreviewImage", images=[f"views of {n}", 0]) for n in ("nerf", "run")},
        **{f"mask {n}": node("MaskToImage", mask=[f"views of {n}", 1]) for n in ("nerf", "run")},
        **{f"see mask {n}": node("PreviewImage", images=[f"mask {n}", 0]) for n in ("nerf", "run")},
    }
    outputs = server.run(prompt)
    refined, before = (
        trimesh.load(server.file(outputs[n]["3d"][0]), force="mesh", process=False) for n in ("save", "cut file")
    )
    assert np.abs(refined.bounds - before.bounds).max() < 1e-4
    assert refined.visual.material.baseColorTexture.size == (64, 64)
    nerf, mesh = (pixels(server, outputs[f"see {n}"]["images"]) for n in ("nerf", "run"))
    masks = [pixels(server, outputs[f"see mask {n}"]["images"])[..., 0] for n in ("nerf", "run")]
    inside = (masks[0] > 0.9) & (masks[1] > 0.9)  # the ball is fog at its rim
    assert inside.mean() > 0.02 and np.abs(nerf[inside].mean(0) - mesh[inside].mean(0)).max() < 0.05
    state = last_run(server)
    assert state["status"] == "done" and state["step"] == 3


def test_it_paints(server):
    outputs = server.run(graph(steps=12, lr=0.1))
    mesh = trimesh.load(server.file(outputs["save"]["3d"][0]), force="mesh", process=False)
    texture = np.asarray(mesh.visual.material.baseColorTexture.convert("RGB"), dtype=np.float32) / 255
    assert texture.std((0, 1)).max() > 0.03 and len(outputs["run"]["images"]) == 1


def test_a_cancelled_run_goes_on_without_the_nerf_to_the_same_bits(server):
    known = {run["run"] for run in server.request("/tbsd/runs")["runs"]}
    queued = server.queue(graph(steps=30, seed=7))
    end = time.monotonic() + 120
    while time.monotonic() < end and not begun(server, known):
        time.sleep(0.02)
    server.request("/interrupt", {})
    server.wait(queued)
    cancelled = last_run(server)
    assert cancelled["status"] == "interrupted" and cancelled["run"] not in known
    offers = {r["run"]: r for r in server.request("/tbsd/unfinished")["runs"]}
    assert offers[cancelled["run"]]["prompt"] == queued and offers[cancelled["run"]]["scene"] == "mesh_texture"
    # this scene cannot be made: it names no mesh
    inputs = {"mesh_file": "", "up": "y", "turn": 0.0, "detail": 17, "shading": "soft", "keep_colors": False, "seed": 0}
    broken = node("TBSD_MeshTextureScene", **inputs)
    assert "got none" in server.error(graph(broken))
    continued = server.run(graph(broken, steps=30, seed=7, continue_run=cancelled["run"]))
    assert last_run(server)["resumed"] >= 5
    whole = server.run(graph(steps=30, seed=7))
    assert last_run(server)["resumed"] == 0
    found, wanted = (read_newest(server.base / "output" / o["keep"]["text"][0]) for o in (continued, whole))
    assert found.run.step == wanted.run.step == 30
    pairs = [(found.tensors, wanted.tensors), (found.run.tensors, wanted.run.tensors)]
    assert all(a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a) for a, b in pairs)


@pytest.mark.parametrize(
    ("scene", "message"),
    [
        (node("TBSD_ImageScene", size=32, n_images=1, seed=0), "a picture has no surface"),
        (node("TBSD_GaussianScene", n_gaussians=1000, relocate_every=25, backend="auto", seed=0), "splats have none"),
    ],
)
def test_what_has_no_surface_is_refused(server, scene, message):
    assert message in server.error(graph(scene))


def test_a_mesh_is_not_made_a_mesh(server):
    inputs = {"mesh_file": "", "up": "y", "turn": 0.0, "detail": 17, "shading": "soft", "keep_colors": False, "seed": 0}
    prompt = graph(node("TBSD_MeshTextureScene", mesh=["sample", 0], **inputs))
    prompt["sample"] = node("TBSD_SampleMesh", shape="cube", resolution=16)
    assert "is a mesh already" in server.error(prompt)
