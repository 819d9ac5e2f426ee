"""Every scene with every method on the pretend device; prints what the last of three steps took, as a JSON object.

    python steps.py [--places] [SCENE or SCENE,METHOD ...]

With --places it also tells on stderr where the waits and the most kernels are.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import torch  # noqa: E402
from pack import device  # noqa: E402

device.install()

from tbsd_pack.tbsd_core.cameras.sampling import CameraConfig  # noqa: E402
from tbsd_pack.tbsd_core.guidance import METHODS, build_guidance, has_source  # noqa: E402
from tbsd_pack.tbsd_core.guidance.hifa import HiFAConfig  # noqa: E402
from tbsd_pack.tbsd_core.mesh import PlacementConfig, texture_scene  # noqa: E402
from tbsd_pack.tbsd_core.optim import (  # noqa: E402
    Curves,
    Distillation,
    OptimConfig,
    OptimState,
    Watchdog,
    create_adapter,
    not_finite,
    optimize,
)
from tbsd_pack.tbsd_core.priors.small_world.learned import load_learned_prior  # noqa: E402
from tbsd_pack.tbsd_core.prompts import PromptConfig, build_texts, encode_texts  # noqa: E402
from tbsd_pack.tbsd_core.sample_meshes import sample_mesh  # noqa: E402
from tbsd_pack.tbsd_core.scenes import SCENES as ALL_SCENES  # noqa: E402
from tbsd_pack.tbsd_core.scenes import (  # noqa: E402
    GaussianConfig,
    GaussianScene,
    ImageConfig,
    ImageScene,
    LatentImageConfig,
    LatentImageScene,
    MeshTextureConfig,
    NeRFConfig,
    NeRFScene,
)
from tbsd_pack.tbsd_core.scenes.stored import copy_scene  # noqa: E402

SIZE, VIEWS = 32, 2


def nerf(encoding: str, resolutions: tuple[int, ...]) -> NeRFScene:
    return NeRFScene(NeRFConfig(encoding=encoding, resolutions=resolutions, n_samples=16, occupancy_resolution=8))


def mesh_texture():
    mesh = sample_mesh("house")
    config = MeshTextureConfig(n_vertices=len(mesh.vertices), n_faces=len(mesh.faces), resolutions=(5, 9))
    return texture_scene(mesh, config, PlacementConfig(radius=None))


SCENES = {
    "image": lambda: ImageScene(ImageConfig(n_images=2, size=SIZE)),
    "latent": lambda: LatentImageScene(LatentImageConfig(n_images=2, size=SIZE // 4)),
    "nerf dense": lambda: nerf("dense", (5, 9)),
    "nerf kplanes": lambda: nerf("kplanes", (8, 16)),
    "nerf hash": lambda: nerf("hash", (4, 8, 16)),
    "gaussian": lambda: GaussianScene(GaussianConfig(n_gaussians=100)),
    "mesh_texture": mesh_texture,
}
SCENES |= {name: spec.scene for name, spec in ALL_SCENES.items() if name not in (*SCENES, "nerf")}


def guidance_for(scene: str, method: str):
    if (scene, method) == ("latent", "hifa"):  # it has no pixels to compare
        return build_guidance(method, HiFAConfig(pixel_scale=0.0))
    return build_guidance(method)


def measure(prior, prompts, scene, guidance, with_places: bool) -> dict[str, int]:
    scene = scene.to(device.NAME)
    config = OptimConfig(n_steps=3, size=SIZE, views_per_step=VIEWS)
    state = OptimState.create(scene, config, create_adapter(prior, guidance, 0))
    state.step = 1  # one step is enough for moments and tables to be there
    before = [p.detach().clone() for p in scene.parameters()]
    curves, watchdog = Curves(), Watchdog(scene.uses_cameras)
    source = copy_scene(scene, device.NAME).requires_grad_(False) if has_source(guidance) else None
    run = Distillation(prior, prompts, guidance, scene, CameraConfig(), config, source=source)
    records = optimize(run, state)

    def step() -> None:
        record = next(records)
        curves.add(record)
        watchdog(record)

    step()
    with device.Watch(roots=["tbsd_core"] if with_places else []) as watch:
        step()
        lap = watch.lap()
    assert curves.steps == [1, 2] and curves.skipped == 0 and not not_finite(scene)
    assert any(bool((p != b).any()) for p, b in zip(scene.parameters(), before, strict=True))
    if with_places:
        print(lap.report(), file=sys.stderr)
    return {
        "kernels": lap.kernels,
        "waits": lap.syncs,
        "late_waits": lap.late_waits,
        "uploads": lap.uploads,
        "upload_bytes": lap.upload_bytes,
    }


def main() -> None:
    torch.set_num_threads(1)
    arguments = [a for a in sys.argv[1:] if a != "--places"]
    chosen = [(scene, method) for scene in SCENES for method in METHODS if not METHODS[method].flow_only]
    if arguments:
        chosen = [(s, m) for s, m in chosen if s in arguments or f"{s},{m}" in arguments]
    prior = load_learned_prior(device=device.NAME)
    prompts = encode_texts(build_texts(PromptConfig(prompt="a brick house")), prior.encode_prompt)
    found = {}
    for scene, method in chosen:
        if "--places" in sys.argv:
            print(f"\n{scene} {method}", file=sys.stderr)
        with_places = "--places" in sys.argv
        found[f"{scene} {method}"] = measure(prior, prompts, SCENES[scene](), guidance_for(scene, method), with_places)
    print(json.dumps(found))


main()
