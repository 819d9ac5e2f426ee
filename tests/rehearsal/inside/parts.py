"""The parts of a step on the pretend device; prints a JSON object of the findings."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).parent))

import torch  # noqa: E402
from pack import device  # noqa: E402

device.install(memory=1 << 30)

from tbsd_pack.tbsd_core.cameras.sampling import CameraConfig, orbit  # noqa: E402
from tbsd_pack.tbsd_core.experiment import (  # noqa: E402
    NEWEST,
    Experiment,
    StoredRun,
    default_config,
    read_file,
    read_newest,
    rendered,
    run,
    write_file,
)
from tbsd_pack.tbsd_core.guidance import build_guidance  # noqa: E402
from tbsd_pack.tbsd_core.mesh import ExportConfig, textured_mesh  # noqa: E402
from tbsd_pack.tbsd_core.mesh.isosurface import MeshConfig  # noqa: E402
from tbsd_pack.tbsd_core.optim import (  # noqa: E402
    Curves,
    Distillation,
    OptimConfig,
    OptimState,
    optimize,
)
from tbsd_pack.tbsd_core.optim.phases import Stopwatch  # noqa: E402
from tbsd_pack.tbsd_core.optim.shared_adam import SharedAdam  # noqa: E402
from tbsd_pack.tbsd_core.optim.skipping import make_optimizer, not_finite, step_unless  # noqa: E402
from tbsd_pack.tbsd_core.optim.state_tensors import load_state, state_tensors  # noqa: E402
from tbsd_pack.tbsd_core.priors.base import LoRAConfig  # noqa: E402
from tbsd_pack.tbsd_core.priors.gaussian import GaussianCondition, GaussianPrior  # noqa: E402
from tbsd_pack.tbsd_core.priors.lora import LoRAAdapter  # noqa: E402
from tbsd_pack.tbsd_core.priors.small_world.learned import load_learned_prior  # noqa: E402
from tbsd_pack.tbsd_core.prompts import PromptSet  # noqa: E402
from tbsd_pack.tbsd_core.scenes import ImageConfig, ImageScene, NeRFConfig, NeRFScene  # noqa: E402
from tbsd_pack.tbsd_core.transfer import Late, Table, all_to_device, to_device  # noqa: E402

torch.set_num_threads(1)
DEVICE = torch.device(device.NAME, 0)
SIZE = 8


def counted(do) -> dict[str, int]:
    with device.Watch() as watch:
        do()
    total = watch.total
    return {"waits": total.syncs, "late_waits": total.late_waits, "uploads": total.uploads}


def transfers() -> dict:
    a, b = torch.rand(3), torch.rand(2, 2)
    sent: list = []
    table, numbers = Table(torch.arange(5.0)), torch.arange(3.0, device=DEVICE)
    late = Late(numbers)
    numbers.add_(1)
    return {
        "together": counted(lambda: sent.extend(all_to_device((a, b), DEVICE))),
        "equal": all(x.device == DEVICE and torch.equal(x.cpu(), y) for x, y in zip(sent, (a, b), strict=True)),
        "one": counted(lambda: to_device(a, DEVICE)),
        "table": [table.on(DEVICE) is table.on(DEVICE), table.on(DEVICE).tolist(), table.on(a.device) is table.values],
        "is_here": late.is_here,
        "late": counted(late.read),
        "read": late.read(),
        "again": counted(late.read),
    }


def skipping(kind) -> dict:
    """A step that is left out and one that is not, of two optimisers that share their gradients' fate."""
    p, q = (torch.nn.Parameter(torch.linspace(-1, 1, 4, device=DEVICE)) for _ in range(2))
    optimizers = [make_optimizer(kind, [{"params": [x]}], lr=0.1) for x in (p, q)]
    steps = []
    for bad in (float("nan"), 1.0, float("inf"), 1.0):
        before = p.tolist(), q.tolist()
        p.grad, q.grad = torch.full((4,), bad, device=DEVICE), torch.ones(4, device=DEVICE)
        waits = counted(lambda: step_unless(not_finite([p.grad, q.grad], DEVICE), optimizers))["waits"]
        steps.append([waits, p.tolist() != before[0], q.tolist() != before[1]])
    twin = torch.nn.Parameter(torch.linspace(-1, 1, 4))
    alone = kind([{"params": [twin]}], lr=0.1)
    for _ in range(2):
        twin.grad = torch.ones(4)
        alone.step()
    return {
        "steps": steps,
        "equal": torch.allclose(p.detach().cpu(), twin.detach(), atol=1e-6),
        "count": float(optimizers[0].state[p].get("step", 0)),
    }


class Poisoned(GaussianPrior):
    """The real prior with a NaN in its answer from a step on."""

    def __init__(self, good: int) -> None:
        super().__init__({})
        self.left = good

    def predict_noise(self, x_t, t, conditions):
        self.left -= 1
        found = super().predict_noise(x_t, t, conditions)
        return found if self.left >= 0 else [torch.full_like(x_t, float("nan")) for _ in conditions]


def gaussian_prompts() -> PromptSet:
    conditions = {"target": (0.8, 0.01), "uncond": (0.5, 0.2), "negative": (0.4, 0.1), "target_negative": (0.7, 0.1)}
    by_name = {name: {"": GaussianCondition(*value)} for name, value in conditions.items()}
    return PromptSet(conditions=by_name, texts={name: {"": name} for name in conditions})


def small_nerf() -> NeRFScene:
    return NeRFScene(NeRFConfig(resolutions=(5, 9), n_samples=12, occupancy_resolution=8))


def bad_run() -> dict:
    """How far a run comes whose gradients are not finite from its third step on."""
    scene = ImageScene(ImageConfig(size=SIZE)).to(DEVICE)
    config = OptimConfig(n_steps=9, size=SIZE, max_bad_steps=3)
    state = OptimState.create(scene, config)
    kept, error = [], ""
    try:
        parts = Distillation(Poisoned(2), gaussian_prompts(), build_guidance("sds"), scene, CameraConfig(), config)
        for _ in optimize(parts, state):
            kept.append(scene.pixels.tolist())
    except RuntimeError as raised:
        error = str(raised)
    moments = state.optimizer.state[scene.pixels]
    return {
        "error": error,
        "records": len(kept),
        "unchanged": all(x == kept[1] for x in kept[2:]) and scene.pixels.tolist() == kept[1] != kept[0],
        "count": float(moments["step"]),
        "step": [state.step, state.bad_steps],
    }


def go(scene, config, state, until: int) -> Curves:
    curves = Curves()
    parts = Distillation(GaussianPrior({}), gaussian_prompts(), build_guidance("tbsd"), scene, CameraConfig(), config)
    for record in optimize(parts, state):
        curves.add(record)
        if state.step == until:
            break
    return curves


def resumed() -> dict:
    """A run that changes from the device to the CPU and back, against one on the CPU."""
    config = OptimConfig(n_steps=6, views_per_step=2, size=SIZE)
    whole = small_nerf()
    expected = go(whole, config, OptimState.create(whole, config), 6)
    with TemporaryDirectory() as folder:
        scene, state, seconds = None, None, {}
        for until, place in ((2, DEVICE), (4, torch.device("cpu")), (6, DEVICE)):
            scene = small_nerf().to(place)
            state = OptimState.create(scene, config)
            if until > 2:
                found = read_file(Path(folder) / NEWEST)
                scene.load_state_dict(found.tensors)
                load_state(state, found.run.tensors, found.run.step, found.run.bad_steps)
            curves = go(scene, config, state, until)
            seconds = curves.seconds
            kept = StoredRun({}, state.step, state.bad_steps, state_tensors(state), curves)
            write_file(Path(folder) / NEWEST, scene, kept)
    gaps = [
        float((a - b.cpu()).detach().abs().max()) for a, b in zip(whole.parameters(), scene.parameters(), strict=True)
    ]
    return {"gap": max(gaps), "seconds": [sorted(seconds), min(seconds.values()) > 0], "steps": expected.steps}


def lora() -> dict:
    """A network that is elsewhere when its LoRA is made."""
    prior = load_learned_prior()
    adapter = LoRAAdapter(prior.unet, prior._predict, lambda t: torch.ones_like(t), LoRAConfig(), 0, device=DEVICE)
    places = {str(p.device) for p in adapter.parameters()}
    return {"places": sorted(places), "network": str(next(prior.unet.parameters()).device)}


class Cramped(NeRFScene):
    """A scene that fails for memory until less than a view is rendered at once."""

    def render(self, *args, **kwargs):
        out = super().render(*args, **kwargs)
        if (self.chunk_rays or self._n_rays) > 300:
            torch.empty(2 * torch.pretend.mem_get_info()[1], dtype=torch.uint8, device=DEVICE)
        return out


def out_of_memory() -> list:
    scene = Cramped(small_nerf().config).to(DEVICE)
    config = OptimConfig(n_steps=2, views_per_step=4, size=3 * SIZE)
    state = OptimState.create(scene, config)
    return [go(scene, config, state, 2).steps, state.view_chunk, scene.chunk_rays]


def whole_runs() -> dict:
    """The demo on the device against the demo on the CPU."""
    found = {}
    for scene, prior in (("image", "learned"), ("latent", "exact")):
        metrics, tensors = [], []
        for place in ("cpu", device.NAME):
            config = default_config("a brick house", scene, "tbsd", prior, n_steps=2, size=32, device=place)
            with TemporaryDirectory() as folder:
                report = run(config, Path(folder))
                tensors.append(read_newest(Path(folder)).tensors)
            metrics.append({k: v for k, v in report["metrics"].items() if v is not None})  # of what has a foreground
        found[scene] = {
            "gap": max(float((tensors[0][k].double() - tensors[1][k].double()).abs().max()) for k in tensors[0]),
            "metrics": max(abs(metrics[0][k] - metrics[1].get(k, float("inf"))) for k in metrics[0]),
            "n_metrics": len(metrics[0]),
        }
    scene = small_nerf()
    views, _ = rendered(scene, orbit(3), SIZE, views_at_once=2)
    mesh, _ = textured_mesh(scene, ExportConfig(faces=0, texture=0, surface=MeshConfig(resolution=24)))
    scene.to(DEVICE)
    moved, _ = rendered(scene, orbit(3), SIZE, views_at_once=2)
    again, _ = textured_mesh(scene, ExportConfig(faces=0, texture=0, surface=MeshConfig(resolution=24)))
    found["views"] = [str(moved.device), float((views - moved).abs().max())]
    found["mesh"] = [len(mesh.faces), float(abs(mesh.vertices - again.vertices).max()), len(again.faces)]
    return found


def phases() -> dict:
    watch = Stopwatch(DEVICE)
    for name in ("render", "prior", "render"):
        torch.ones(10, device=DEVICE).sum()
        watch.mark(name)
    seconds = watch.seconds
    torch.ones(1, device=DEVICE)
    return {"names": list(seconds), "read": counted(lambda: dict(seconds)), "positive": min(seconds.values()) > 0}


def edit() -> dict:
    """The end of an edit in ComfyUI: the scene goes to the CPU, then the run is kept."""
    config = default_config("a wooden house", "image", "dds", size=32, device=device.NAME)
    scene = ImageScene(ImageConfig(size=32)).to(DEVICE)
    with torch.no_grad():
        scene.pixels += 1
    experiment = Experiment(config, load_learned_prior(), scene=scene)
    with torch.no_grad():
        scene.pixels += 1
    scene.cpu()
    tensors = experiment.stored().tensors
    kept = [name for name in tensors if name.startswith("source.")]
    return {"kept": kept, "device": sorted({str(tensors[name].device) for name in kept})}


with torch.inference_mode():
    shared = Table(torch.ones(2))
    shared.on(DEVICE)
report = {
    "transfers": transfers(),
    "adam": skipping(torch.optim.Adam),
    "shared": skipping(SharedAdam),
    "sgd": skipping(torch.optim.SGD),
    "bad run": bad_run(),
    "resumed": resumed(),
    "lora": lora(),
    "out of memory": out_of_memory(),
    "whole runs": whole_runs(),
    "phases": phases(),
    "edit": edit(),
    "normal": not shared.on(DEVICE).is_inference(),
}
print(json.dumps(report))
