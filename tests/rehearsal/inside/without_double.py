"""Steps on a pretend device that has no float64, as Apple's have none; prints a JSON object of what was refused."""

from __future__ import annotations

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import torch  # noqa: E402
from pack import device  # noqa: E402

device.install(memory=1 << 31, double=False)

from tbsd_pack.tbsd_core import transfer  # noqa: E402
from tbsd_pack.tbsd_core.analysis.path import _dot  # noqa: E402
from tbsd_pack.tbsd_core.configuration import replaced  # noqa: E402
from tbsd_pack.tbsd_core.experiment import Experiment, default_config, read_prior  # noqa: E402
from tbsd_pack.tbsd_core.guidance.pds import coefficients  # noqa: E402
from tbsd_pack.tbsd_core.scenes.relocation import draw_targets, shared_opacity_and_scale  # noqa: E402

torch.set_num_threads(1)
transfer.WITHOUT_DOUBLE.add(device.NAME)
DEVICE = torch.device(device.NAME, 0)
SIZE = {"optim.size": 32, "optim.views_per_step": 1}
SMALL = {"nerf": {"scene.resolutions": (5, 9), "optim.latent_until": 1.0}, "gaussian": {"scene.n_gaussians": 50}}
SCHEDULE = read_prior(default_config("a brick house", "image")).schedule


def step(scene: str, settings: dict) -> str:
    config = default_config("a brick house", scene, "tbsd", n_steps=2, size=32, device=device.NAME)
    for name, value in {**SIZE, **settings}.items():
        config = replaced(config, name, value)
    return refused(lambda: list(Experiment(config, read_prior(config)).steps()))


def refused(do) -> str:
    try:
        do()
    except TypeError as error:
        return str(error)
    return ""


def same(do) -> float:
    """The largest difference between the CPU and the device."""
    here, there = do(torch.device("cpu")), do(DEVICE)
    assert all(x.device.type == device.NAME for x in there)
    return max(float((a - b.cpu()).abs().float().max()) for a, b in zip(here, there, strict=True))


opacities, counts = torch.linspace(0.1, 0.9, 9), torch.arange(9) % 4 + 1
dead = torch.arange(9) % 3 == 0
t = torch.tensor([20, 500, 980])
report = {
    "refused": refused(lambda: torch.ones(3, device=DEVICE).double()),
    "steps": {scene: step(scene, settings) for scene, settings in SMALL.items()},
    "shared": same(lambda at: shared_opacity_and_scale(opacities.to(at), counts.to(at))),
    "targets": same(lambda at: [draw_targets(opacities.to(at), dead.to(at), torch.Generator().manual_seed(0))]),
    "pds": same(lambda at: coefficients(SCHEDULE, t.to(at), 50)),
    "dot": _dot(opacities.to(DEVICE), opacities.to(DEVICE)) - _dot(opacities, opacities),
}
print(json.dumps(report))
