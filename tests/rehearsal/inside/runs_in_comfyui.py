"""Runs of the optimiser nodes on the pretend device: kernels and waits of a step, by scene and method."""

from __future__ import annotations

import json
import sys
import tempfile

import host

load = host.boot()
import device  # noqa: E402
import folder_paths  # noqa: E402
import torch  # noqa: E402

demo, run_module, sockets = load("nodes.bridge.demo"), load("nodes.bridge.run"), load("nodes.sockets")
prompts_module, core = load("nodes.bridge.prompts"), load("tbsd_core.guidance")
optim, scenes, cameras = load("tbsd_core.optim"), load("tbsd_core.scenes"), load("tbsd_core.cameras.sampling")
autograd = load("nodes.bridge.autograd")

SIZE, STEPS = 32, 4
METHODS = ("tbsd", "vsd")
laps: list[device.Lap] = []


class Progress(run_module.RunProgress):
    """Ends a lap of the watch with each step; what a panel shows is drawn now and then and left out of it."""

    def __call__(self, step, preview, record=None, last=False):
        for report in self.backlog.add(record):
            dict(report.scalars)
        laps.append(watch.lap())


def mesh_texture():
    mesh, core_mesh = load("tbsd_core.sample_meshes").sample_mesh("house"), load("tbsd_core.mesh")
    config = scenes.MeshTextureConfig(n_vertices=len(mesh.vertices), n_faces=len(mesh.faces), resolutions=(5, 9))
    return core_mesh.texture_scene(mesh, config, core_mesh.PlacementConfig(radius=None))


SCENES = {
    "image": lambda: scenes.ImageScene(scenes.ImageConfig(size=SIZE)),
    "latent": lambda: scenes.LatentImageScene(scenes.LatentImageConfig(size=SIZE // 4)),
    "nerf": lambda: scenes.NeRFScene(scenes.NeRFConfig(resolutions=(5, 9), n_samples=16, occupancy_resolution=8)),
    "mesh_texture": mesh_texture,
    "gaussian": lambda: scenes.GaussianScene(scenes.GaussianConfig(n_gaussians=100)),
}


def steps(name: str, method: str) -> dict[str, int]:
    with autograd.optimization_mode():
        scene = SCENES[name]()
    needed = ("target", "uncond", "negative", "target_negative")
    config = load("tbsd_core.prompts").PromptConfig(prompt="a brick house")
    prompts = prompts_module.Prompts(prompts_module.encode_prompts(clip, config, needed), clip, config)
    guided = sockets.GuidedModel(model, vae, prompts, core.build_guidance(method))
    settings = optim.OptimConfig(n_steps=STEPS, size=SIZE, views_per_step=2 if scene.uses_cameras else 1)
    laps.clear()
    config = load("nodes.bridge.config").config_of(guided, scene, cameras.CameraConfig(), settings)
    with tempfile.TemporaryDirectory() as output:
        folder_paths.set_output_directory(output)
        run_module.run(guided, scene, config, load("nodes.bridge.queued").Queued("1"))
    last = laps[-1]
    if "--places" in sys.argv:
        print(name, method, last.report(), file=sys.stderr)
    return {"kernels": last.kernels, "waits": last.syncs, "late_waits": last.late_waits}


run_module.RunProgress = Progress
load("tbsd_core.experiment.autosave").LEAST_SECONDS = 3600.0  # saving now and then does not belong to a step
with torch.inference_mode():
    model, clip, vae = demo.load_demo_models()
    with device.Watch(roots=["nodes/", "tbsd_core/"]) as watch:
        found = {f"{name} {method}": steps(name, method) for name in SCENES for method in METHODS}
print(json.dumps(found))
