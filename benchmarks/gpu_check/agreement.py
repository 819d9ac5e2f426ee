"""The first steps of every scene on the device, compared with the CPU, and the tests that need CUDA.

All random numbers are drawn on the CPU, so both see the same cameras, timesteps and noise. They differ by rounding:
with TF32, which torch allows in convolutions unless told otherwise, by rounding to 10 bits.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from tbsd_core.cameras.sampling import orbit

from .cases import Cases, Failed, Skipped
from .report import ROOT
from .workload import PRIORS, scenes, workload

METHODS, QUICK_METHODS = ("sds", "tbsd", "vsd", "ism"), ("tbsd",)
SIZE, VIEWS, STEPS = 32, 2, 3
# seen with the prior's weights perturbed: 3e-5 by float32's rounding, 2e-3 by TF32's
TOLERANCE = {"float32": 0.005, "TF32": 0.03}  # of the first gradient, relative to its norm
PICTURE_TOLERANCE = {"float32": 0.002, "TF32": 0.01}  # mean difference of a pixel in [0, 1] after STEPS
NEEDS_CUDA = "torch.cuda.is_available()"
TEST_SECONDS = 120


def run(cases: Cases) -> None:
    make_prior, _ = PRIORS["demo"]
    priors = {device: make_prior(device) for device in {"cpu", cases.device}}
    for scene in scenes(cases.quick):
        for method in QUICK_METHODS if cases.quick else METHODS:
            cases.run(f"{scene} {method}", lambda scene=scene, method=method: compared(priors, scene, method, cases))
    cases.run("tests that need CUDA", lambda: device_tests(cases))


def compared(priors: dict[str, Any], scene: str, method: str, cases: Cases) -> dict[str, float]:
    exact = first_steps(priors["cpu"], scene, method, "cpu")
    found: dict[str, float] = {}
    for arithmetic in TOLERANCE if cases.device == "cuda" else ("float32",):
        with tf32(arithmetic == "TF32"):
            ours = first_steps(priors[cases.device], scene, method, cases.device)
        found[f"gradient {arithmetic}"] = float((ours[0] - exact[0]).norm() / exact[0].norm())
        found[f"picture {arithmetic}"] = float((ours[1] - exact[1]).abs().mean())
    limits = {f"gradient {k}": v for k, v in TOLERANCE.items()} | {
        f"picture {k}": v for k, v in PICTURE_TOLERANCE.items()
    }
    above = [name for name, value in found.items() if not value <= limits[name]]
    if above:
        raise Failed("not what the CPU computes: " + ", ".join(f"{k} above {limits[k]}" for k in above), found)
    return found


def first_steps(prior: Any, scene: str, method: str, device: str) -> tuple[torch.Tensor, torch.Tensor]:
    """The gradient of the first step on all parameters, and the look of the scene after some steps, on the CPU."""
    work = workload(prior, scene, method, device, SIZE, VIEWS)
    next(work.steps)
    grads = [p.grad for p in work.scene.parameters() if p.grad is not None]
    gradient = torch.cat([grad.detach().float().flatten().cpu() for grad in grads])
    for _ in range(STEPS - 1):
        next(work.steps)
    with torch.no_grad():
        n_views = VIEWS if work.scene.uses_cameras else work.scene.n_images
        render = work.scene.render(orbit(n_views).to(device), SIZE, SIZE)
    picture = render.rgb if render.latents is None else render.latents
    return gradient, picture.detach().float().cpu()


@contextmanager
def tf32(on: bool) -> Iterator[None]:
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = on
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


def device_tests(cases: Cases) -> dict[str, Any]:
    """The test files that ask for CUDA, run with it."""
    if cases.device != "cuda":
        raise Skipped("they need CUDA")
    if importlib.util.find_spec("pytest") is None:
        raise Skipped("pytest is not installed")
    files = [path for path in sorted((ROOT / "tests").rglob("test_*.py")) if NEEDS_CUDA in path.read_text("utf-8")]
    if not files:
        raise Skipped("no test needs CUDA")
    names = [str(Path(path).relative_to(ROOT)) for path in files]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *names]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ}, capture_output=True, text=True, timeout=TEST_SECONDS)
    lines = done.stdout.strip().splitlines()
    values = {"files": ", ".join(names), "result": lines[-1] if lines else ""}
    if done.returncode != 0:
        raise Failed("\n".join(lines[-15:]), values)
    return values
