"""Several optimisations one after another, with pictures of each at chosen moments."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from ..cameras.pose import Cameras
from ..cameras.sampling import CameraConfig, orbit
from ..configuration import all_settings, to_plain
from ..guidance import METHODS, Guidance
from ..metrics.image_stats import foreground, high_frequency_energy, saturation
from ..optim import Curves, OptimConfig, OptimState, StepRecord, create_adapter, optimize
from ..priors.base import Prior
from ..prompts import PromptSet
from ..scenes import Scene
from ..scenes.stored import copy_scene


@dataclass(frozen=True, kw_only=True)
class Case:
    """One optimisation.

    Args:
        label: what the sheet calls it.
        scene: the start; it is copied.
        settings: what distinguishes it, as plain data for the numbers.
    """

    label: str
    guidance: Guidance
    prompts: PromptSet
    scene: Scene
    optim: OptimConfig
    settings: dict[str, Any] = field(default_factory=dict)


@dataclass
class CaseResult:
    """What there is of a case so far.

    Args:
        scene: the copy that is optimised.
        pictures: [3, H, W] by progress; several pictures of one scene side by side.
    """

    case: Case
    scene: Scene
    pictures: dict[float, Tensor] = field(default_factory=dict)
    curves: Curves = field(default_factory=Curves)

    def statistics(self) -> dict[str, float]:
        """Measures of the final picture that need no ground truth."""
        return picture_statistics(self.pictures[1.0])

    def numbers(self) -> dict[str, Any]:
        """Plain data: what was run, and statistics of each picture."""
        return {
            "label": self.case.label,
            **self.case.settings,
            "method": method_name(self.case.guidance),
            "guidance": to_plain(self.case.guidance.config),
            "optim": to_plain(self.case.optim),
            "steps_done": len(self.curves.steps),
            "pictures": {f"{p:g}": picture_statistics(image) for p, image in self.pictures.items()},
            "seconds": self.curves.seconds,
        }


@dataclass(frozen=True)
class CaseStep:
    """Where a series of cases is: `done` of `total` steps of all cases together."""

    label: str
    done: int
    total: int
    record: StepRecord


def run_cases(
    prior: Prior,
    cases: Sequence[Case],
    cameras: CameraConfig,
    results: list[CaseResult],  # filled from the outside's view while this runs: what is there survives a stop
    at: Sequence[float] = (1.0,),  # progress in [0, 1] at which pictures are taken
    device: torch.device | str = "cpu",
) -> Iterator[CaseStep]:
    """Optimise each case in turn; yields once per step.

    Raises:
        ValueError: a progress outside [0, 1], or what `optim.optimize` refuses.
    """
    if not at or not all(0 <= p <= 1 for p in at):
        raise ValueError(f"The moments must be numbers in [0, 1], at least one, got {tuple(at)}.")
    done, total = 0, sum(case.optim.n_steps for case in cases)
    for case in cases:
        scene = copy_scene(case.scene, device)
        result = CaseResult(case, scene)
        results.append(result)
        moments = {p: round(p * case.optim.n_steps) for p in at}
        _take(result, prior, cameras, moments, 0)
        state = OptimState.create(scene, case.optim, create_adapter(prior, case.guidance, case.optim.seed))
        for record in optimize(prior, case.prompts, case.guidance, scene, cameras, case.optim, state):
            result.curves.add(record)
            _take(result, prior, cameras, moments, state.step)
            done += 1
            yield CaseStep(case.label, done, total, record)


def _take(result: CaseResult, prior: Prior, cameras: CameraConfig, moments: dict[float, int], step: int) -> None:
    for progress, moment in moments.items():
        if moment == step:
            images = view(result.scene, prior, cameras, result.case.optim.size)
            result.pictures[progress] = torch.cat(list(images.cpu()), dim=-1)


@torch.no_grad()
def view(scene: Scene, prior: Prior, cameras: CameraConfig, size: int) -> Tensor:
    """The pictures [B, 3, H, W] of a scene; an object from the front, at the mean height of the cameras."""
    render = scene.render(front(scene, cameras)[0], size, size)
    return render.rgb if render.latents is None else prior.decode(render.latents)


def front(scene: Scene, cameras: CameraConfig) -> tuple[Cameras, float]:
    """The camera in front of an object and its elevation in degrees; for pictures, as many as there are."""
    elevation = (cameras.elevation_min + cameras.elevation_max) / 2
    turn = orbit(1 if scene.uses_cameras else scene.n_images, elevation, cameras.distance, cameras.fov_y)
    return turn.to(next(scene.parameters()).device), elevation


def picture_statistics(image: Tensor) -> dict[str, float]:
    """Statistics of one picture [3, H, W] that need no ground truth."""
    images = image[None].float().cpu()
    mask = foreground(images)
    return {
        "foreground": float(mask.float().mean()),
        "saturation": float(saturation(images, mask)),
        "fine_detail": float(high_frequency_energy(images, mask)),
    }


def method_name(guidance: Guidance) -> str:
    """The name of a method in METHODS."""
    return next((name for name, spec in METHODS.items() if type(guidance) is spec.method), type(guidance).__name__)


def labels_of(guidances: Sequence[Guidance]) -> list[str]:
    """Short labels: the method, and for methods that occur more than once the settings in which they differ."""
    names = [method_name(g) for g in guidances]
    labels = []
    for name, guidance in zip(names, guidances, strict=True):
        alike = [all_settings(g.config) for g, n in zip(guidances, names, strict=True) if n == name]
        own = all_settings(guidance.config)
        differing = [key for key in own if any(other.get(key) != own[key] for other in alike)]
        parts = [WORDS.get((key, own[key]), f"{key.split('.')[-1]} {_short(own[key])}") for key in differing]
        labels.append(" ".join([name.upper() if len(name) <= 4 else name.capitalize(), *parts]))
    return labels


WORDS = {("negative", "target_negative"): "TNP", ("negative", "negative"): "GNP"}


def _short(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def reseeded(scene: Scene, seed: int) -> Scene:
    """A new scene of the same configuration that starts from another seed."""
    return type(scene)(replace(scene.config, seed=seed))
