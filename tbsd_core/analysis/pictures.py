"""Pictures of the experiments of a study at chosen moments."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from ..cameras.pose import Cameras
from ..cameras.sampling import CameraConfig, orbit, view_name
from ..experiment import Experiment, plain_config
from ..metrics.image_stats import foreground, high_frequency_energy, saturation
from ..priors.base import Prior
from ..scenes import Scene
from ..study import Entry, Failure, Host, StudyStep, watch
from ..study.watch import PLAIN


@dataclass
class Result:
    """The results of an entry so far.

    Args:
        experiment: None if it could not begin.
        pictures: [3, H, W] by progress; several pictures of one scene side by side.
        failure: the reason why it ended early; "" if it did not.
    """

    entry: Entry
    experiment: Experiment | None
    pictures: dict[float, Tensor] = field(default_factory=dict)
    failure: str = ""

    def tile(self, progress: float) -> Tensor | str | None:
        """Its picture at a moment as a sheet shows it: words if it failed before, None if it did not get there."""
        return self.pictures.get(progress, f"failed\n{self.failure}" if self.failure else None)

    def statistics(self) -> dict[str, float]:
        """Measures of the final picture that need no ground truth."""
        return picture_statistics(self.pictures[1.0])

    def numbers(self) -> dict[str, Any]:
        """Plain data: what was run, and statistics of each picture."""
        begun = self.experiment
        return {
            "label": self.entry.label,
            **self.entry.facts,
            **({"error": self.failure} if self.failure else {}),
            "config": plain_config(self.entry.config),
            "steps_done": 0 if begun is None else begun.state.step,
            "pictures": {f"{p:g}": picture_statistics(image) for p, image in self.pictures.items()},
            "seconds": {} if begun is None else begun.curves.seconds,
        }


def watch_pictures(
    entries: Sequence[Entry],
    prior: Prior,
    results: list[Result],  # filled while this runs, so that the results so far survive a stop
    at: Sequence[float] = (1.0,),  # progress in [0, 1] at which pictures are taken
    look: Callable[[StudyStep], None] = lambda step: None,  # as of `study.watch`, after the pictures
    host: Host = PLAIN,
) -> Iterator[StudyStep | Failure]:
    """Run the entries as `study.watch` does, with pictures of each.

    Raises:
        ValueError: a progress outside [0, 1].
        Exception: every entry failed, see `study.watch`.
    """
    if not at or not all(0 <= p <= 1 for p in at):
        raise ValueError(f"The moments must be one or more numbers in [0, 1], got {tuple(at)}.")

    def take(step: StudyStep) -> None:
        config, state = step.entry.config, step.experiment.state
        if step.record is None:
            results.append(Result(step.entry, step.experiment))
        for progress in at:
            if round(progress * config.optim.n_steps) == state.step:
                images = view(step.experiment.scene, prior, config.cameras, config.optim.size)
                results[-1].pictures[progress] = torch.cat(list(images.cpu()), dim=-1)
        if step.is_last:
            rest(step.experiment)
        look(step)

    for step in watch(entries, prior, take, host):
        if isinstance(step, Failure):
            if len(results) == step.index:
                results.append(Result(step.entry, None))
            failed = results[step.index]
            failed.failure = step.reason
            if failed.experiment is not None:
                rest(failed.experiment)
        yield step


def rest(experiment: Experiment) -> None:
    """Free what only further steps need: the moments are twice as large as the scene, and no run continues from
    here."""
    experiment.state.optimizer.state.clear()
    experiment.state.reused, experiment.state.adapter = {}, None


@torch.no_grad()
def view(scene: Scene, prior: Prior, cameras: CameraConfig, size: int) -> Tensor:
    """The pictures [B, 3, H, W] of a scene; an object from the front, at the mean height of the cameras."""
    render = scene.render(front(scene, cameras)[0], size, size)
    return render.rgb if render.latents is None else prior.decode(render.latents)


def front(scene: Scene, cameras: CameraConfig) -> tuple[Cameras, list[str]]:
    """The camera in front of an object, or one camera per picture; and their view names, "" for pictures."""
    elevation = (cameras.elevation_min + cameras.elevation_max) / 2
    turn = orbit(1 if scene.uses_cameras else scene.n_images, elevation, *cameras.farthest)
    names = [view_name(0.0, elevation) if scene.uses_cameras else ""] * len(turn)
    return turn.to(next(scene.parameters()).device), names


def picture_statistics(image: Tensor) -> dict[str, float]:
    """Statistics of one picture [3, H, W] that need no ground truth."""
    images = image[None].float().cpu()
    mask = foreground(images)
    return {
        "foreground": float(mask.float().mean()),
        "saturation": float(saturation(images, mask)),
        "fine_detail": float(high_frequency_energy(images, mask)),
    }
