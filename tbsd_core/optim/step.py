"""One step of the optimisation: render, ask the prior, apply the gradient. An exception leaves all as it was."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from ..cameras.pose import Cameras
from ..cameras.sampling import CameraConfig, sample_cameras, view_name
from ..guidance.base import Guidance, GuidanceOutput, has_source
from ..memory import free_cached, is_out_of_memory
from ..priors.base import Prior, RecomputingPrior, views_per_group
from ..prompts.sets import PromptSet
from ..rng import PartGenerator, named_generator
from ..scenes.base import AdaptiveScene, RenderOutput, Scene, ShrinkingScene
from ..transfer import Late, to_device
from .adapter import adapter_conditions, camera_poses
from .config import OptimConfig
from .draws import draw
from .guide import Batch, predict_and_guide
from .hints import NONE, ControlConfig, view_hints
from .linear_latents import LinearLatents
from .normalization import neighbour_moments, remembered, signal_part
from .parts import Seen, parts_of, pull_back, seen_in_parts, some_of
from .phases import Stopwatch
from .predictor import Predictor
from .records import LateScalars, StepRecord
from .reference import Reference, reference_losses
from .resolution import enlarged, render_size
from .skipping import not_finite, step_unless
from .state import OptimState
from .surface_noise import SURFACE, cell_size, surface_noise
from .undo import Undo
from .uninterrupted import uninterrupted

LATENT_SUPERSAMPLING = 2  # rays along each side of a latent cell, in the phase without the encoder


@dataclass(frozen=True)
class Distillation:
    """The parts of a run, the same from its first step to its last; OptimState holds what changes beside the scene.

    Args:
        seeds: of each picture of a scene, see OptimConfig.draw_seeds; None: all follow from the seeds of `config`.
        control: the settings of the hints for a ControlNet of the prior.
        source: the scene as it was, for a method that edits; nothing changes it.
        reference: a picture that the scene is held to from one camera.
    """

    prior: Prior
    prompts: PromptSet
    guidance: Guidance
    scene: Scene
    cameras: CameraConfig
    config: OptimConfig
    seeds: Sequence[tuple[int, int]] | None = None
    control: ControlConfig = field(default_factory=ControlConfig)
    source: Scene | None = None
    reference: Reference | None = None


@dataclass(frozen=True)
class _Gradient:
    """The results of a step before it changes anything; the parameters hold their gradients, also a LoRA's."""

    render: RenderOutput
    t: Tensor  # on the host
    out: GuidanceOutput
    scalars: dict[str, Tensor]  # [] each
    reusable: Mapping[str, Tensor]
    signal: Tensor | None
    watch: Stopwatch


@dataclass(frozen=True)
class Step:
    """The step `index` of a run."""

    run: Distillation
    state: OptimState
    index: int
    linear: LinearLatents | None  # for steps without the encoder
    known: dict[str, Tensor] = field(default_factory=dict)  # the parts of the source that are the same in all steps

    @property
    def progress(self) -> float:
        return self.index / self.run.config.n_steps

    @property
    def device(self) -> torch.device:
        return next(self.run.scene.parameters()).device

    @property
    def n_views(self) -> int:
        return self.run.config.views_per_step if self.run.scene.uses_cameras else self.run.scene.n_images

    @property
    def group(self) -> int:
        """How many views in a row the prior sees together."""
        return views_per_group(self.run.prior) if self.run.scene.uses_cameras else 1

    def __call__(self) -> StepRecord:
        config, scene, state = self.run.config, self.run.scene, self.state
        factor = lr_factor(config, self.progress)
        for group, lr in zip(state.optimizer.param_groups, state.base_lrs, strict=True):
            group["lr"] = lr * factor
        if isinstance(scene, AdaptiveScene):
            undo = Undo(scene, state.optimizer)
            try:
                scene.adapt(state.optimizer, self.index, config.n_steps)
                found = self._in_memory()
            except BaseException:
                undo()
                raise
        else:
            found = self._in_memory()

        bad = not_finite((p.grad for p in scene.parameters()), self.device)
        optimizers = [state.optimizer]
        if state.adapter is not None:
            bad = torch.maximum(bad, not_finite((p.grad for p in state.adapter.adapter.parameters()), self.device))
            optimizers.append(state.adapter.optimizer)
        with uninterrupted():
            step_unless(bad, optimizers)
            state.reused = {} if (self.index + 1) % config.reuse_steps == 0 else dict(found.reusable)
            state.signal = found.signal
            state.step = self.index + 1
        found.watch.mark("backward")
        return self._record(found, bad, config.lr * factor)

    def _record(self, found: _Gradient, bad: Tensor, lr: float) -> StepRecord:
        config = self.run.config
        names, numbers = _numbers(found, bad)
        late = Late(numbers)
        self.state.bad.add(late)
        n_bad = self.state.bad.settle(n_open=1)
        if n_bad >= config.max_bad_steps:
            raise RuntimeError(
                f"{n_bad} consecutive steps had a gradient that is not finite (now at step {self.index}). "
                "Lower lr or guidance_scale, or run the VAE in float32."
            )
        known = {"t": float(found.t.float().mean()) / self.run.prior.schedule.n_timesteps, "lr": lr}
        scalars, seconds = LateScalars(names, late, known), found.watch.seconds
        return StepRecord(self.index, config.n_steps, self.progress, found.render, found.t, scalars, seconds, late)

    def _in_memory(self) -> _Gradient:
        """The gradient. If memory runs out, it is computed with fewer views at once, then with a recomputed encoder,
        then with a scene that saves memory."""
        scene, config, state = self.run.scene, self.run.config, self.state
        while True:
            try:
                return self._gradient()
            except (RuntimeError, MemoryError) as error:
                alone = state.split.size == 1  # if one process tried again, the others would wait
                if not is_out_of_memory(error) or not alone:
                    raise
                n_views = self.n_views
                at_once = min(state.view_chunk or n_views, n_views)
                if at_once > 1:
                    state.view_chunk = at_once // 2
                elif isinstance(self.run.prior, RecomputingPrior) and not self.run.prior.recompute_encoder:
                    self.run.prior.recompute_encoder = True
                elif not isinstance(scene, ShrinkingScene) or not scene.shrink():
                    raise RuntimeError(
                        f"Out of memory in step {self.index}, although the views are rendered in the smallest pieces. "
                        f"Use a smaller size (now {config.size}) or fewer views_per_step (now "
                        f"{config.views_per_step}). {error}"
                    ) from error
            # the memory of the failed attempt is only free out here
            state.optimizer.zero_grad(set_to_none=True)
            free_cached(self.device)

    def _gradient(self) -> _Gradient:
        """Render, ask the prior, and leave the gradient in the parameters of the scene and of a LoRA. Nothing else
        changes, so that it can be done again."""
        run, state, config, scene = self.run, self.state, self.run.config, self.run.scene
        split, device, prior = state.split, self.device, run.prior
        at = named_generator(config.seed, "camera", self.index)
        cameras = split.own(sample_cameras(run.cameras, self.n_views, at, self.group))
        parts = parts_of(len(cameras), state.view_chunk)
        see = partial(self.see, cameras.to(device), {})
        with torch.enable_grad():
            watch = Stopwatch(device)
            source = self._source(cameras)  # before there is a graph: it then takes no memory of its own
            seen = see(parts[0]) if len(parts) == 1 else seen_in_parts(see, parts)
            render, images, latents = seen.render, seen.images, seen.latents
            watch.mark("render")
            batch = len(latents)
            angles, views = None, [""] * batch
            if scene.uses_cameras:
                angles = list(zip(cameras.azimuth.tolist(), cameras.elevation.tolist(), strict=True))
                if self.group == 1:  # else the prior is told the camera itself
                    views = [view_name(*angle, run.cameras.front) for angle in angles]
            first = self.index - self.index % config.reuse_steps  # the step in which this one's noise was new
            shape = (batch * split.size, *latents.shape[1:])
            drawn = draw(config, prior.schedule.n_timesteps, shape, first, run.seeds, self.group)
            t, noise = (split.own(x) for x in drawn)
            if config.noise == SURFACE and scene.uses_cameras:
                finer = max(render.depth.shape[-1], latents.shape[-1])  # neighbouring latents must not share a cell
                distance, fov_y = run.cameras.nearest
                cell = cell_size(distance, fov_y, finer)
                seen_by = (render.depth.detach(), render.opacity.detach(), cameras.to(device))
                noise = surface_noise(*seen_by, tuple(latents.shape), cell, distance, config.seed)
            poses = to_device(camera_poses(cameras), device) if state.adapter and scene.uses_cameras else None
            with torch.no_grad():
                hints = None
                if run.control.kind != NONE:
                    side = latents.shape[-1] * prior.spatial_factor
                    hints = view_hints(run.control, scene, cameras.to(device), render, side, state.view_chunk)
                predict = Predictor(prior, run.prompts, views, state.adapter, poses, angles, state.view_chunk, hints)
                encoded = None if images is None else images.detach()
                asked = Batch(latents.detach(), t, to_device(noise, device), encoded, source)
                on_the_way = named_generator(config.seed, "trajectory", self.index)
                said = predict_and_guide(run.guidance, predict, asked, self.progress, state.reused, on_the_way)
                out = said.out
                rms = split.mean(out.grad.pow(2).mean()).sqrt()
                divisor: Tensor | float = 1.0
                signal = state.signal
                if config.normalize_by != "none":
                    own = rms if scene.uses_cameras else out.grad.pow(2).mean((1, 2, 3), keepdim=True).sqrt()
                    divisor = own + 1e-8
                if config.normalize_by == "signal" and scene.uses_cameras:
                    signal = remembered(split.mean(neighbour_moments(out.grad)), signal)
                    divisor = divisor * signal_part(signal)
            watch.mark("prior")
            losses = scene.regularization(render, self.progress)
            if run.reference is not None and self.index % run.reference.config.every == 0:
                losses |= reference_losses(run.reference, scene, run.cameras, render.rgb.shape[-1])
            # the surrogate whose gradient on the latents is grad: summed over a sample, averaged over the
            # views of an object (pictures have nothing in common to average), and divided by the number of latent
            # cells so that regularisers keep their weight at any size
            shared = batch if scene.uses_cameras else 1
            loss = (latents * (out.grad / divisor)).sum() / shared / latents[0].numel()
            if images is not None and out.pixel_grad is not None:  # divided alike: their ratio is the method's
                loss = loss + (images * (out.pixel_grad / divisor)).sum() / shared / latents[0].numel()
            for value in losses.values():
                loss = loss + value
            state.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            if len(parts) > 1:
                pull_back(see, parts, seen)
            split.average_gradients(scene.parameters())
        watch.mark("backward")
        scalars = {"grad_rms": rms, "opacity": render.opacity.detach().mean()}
        scalars |= {f"loss_{name}": value.detach() for name, value in losses.items()}
        if state.adapter is not None:
            conditions = predict.told(adapter_conditions(run.prompts, batch), range(batch))
            drawn_by = (prior.schedule, config.seed, self.index, state.view_chunk, predict.group)
            scalars["loss_lora"] = state.adapter.gradient(latents.detach(), conditions, poses, *drawn_by)
            watch.mark("lora")
        return _Gradient(_detached(render), t, out, scalars, said.reusable, signal, watch)

    @torch.no_grad()
    def _source(self, cameras: Cameras) -> Tensor | None:
        """Latents [B, C, h, w] of the source, seen as the scene is: size, draws of light and background, encoder.

        Pictures look the same in each step, and are encoded once.
        """
        if self.run.source is None or not has_source(self.run.guidance):
            return None
        if "latents" in self.known:
            return self.known["latents"]
        draws: dict = {}
        parts, on_device = parts_of(len(cameras), self.state.view_chunk), cameras.to(self.device)
        latents = torch.cat([self.see(on_device, draws, rows, self.run.source).latents for rows in parts])
        if not self.run.source.uses_cameras:
            self.known["latents"] = latents
        return latents

    def see(self, cameras: Cameras, known: dict, rows: slice, scene: Scene | None = None) -> Seen:
        """Some of the views of the step, with a gradient where that is on; draws are the same as for all views at once.

        Args:
            cameras: of all views of this process.
            known: empty at first; kept for the other parts.
            scene: which scene is seen; None for the one that is optimised.
        """
        config, prior = self.run.config, self.run.prior
        scene = self.run.scene if scene is None else scene
        all_rows = slice(0, len(cameras))
        # pictures are cheap to compute, and none is seen alone
        drawn = rows if scene.uses_cameras else all_rows
        own, n_views = self.state.split.views(drawn, len(cameras))
        jitter = PartGenerator.of(named_generator(config.seed, "jitter", self.index), own, n_views, known)

        def rendered(side: int) -> RenderOutput:
            seen_by = cameras if drawn == all_rows else cameras[drawn]
            render = scene.render(seen_by, side, side, jitter, progress=self.progress)
            return render if drawn == rows else some_of(render, rows)

        encoded = config.encode_size or config.size
        if self.linear is not None and self.progress < config.latent_until:
            render = rendered(encoded // prior.spatial_factor * LATENT_SUPERSAMPLING)
            return Seen(render, None, self.linear(F.avg_pool2d(render.rgb, LATENT_SUPERSAMPLING)))
        side = config.size
        if scene.uses_cameras and config.start_size is not None:
            side = render_size(config.start_size, config.size, config.full_size_from, self.progress)
        render = rendered(side)
        if render.latents is not None:
            return Seen(render, None, render.latents)
        images = enlarged(render.rgb, encoded if scene.uses_cameras else config.encode_size)
        return Seen(render, images, prior.encode(images))


def lr_factor(config: OptimConfig, progress: float) -> float:
    """The factor of the learning rates at this progress in [0, 1]: 1 until halfway, lr_end at the end."""
    return config.lr_end ** max(0.0, 2 * progress - 1)


def _numbers(found: _Gradient, bad: Tensor) -> tuple[list[str], Tensor]:
    """The numbers that a step reports, and their names; the last, without a name, says whether it was skipped."""
    means = {}
    if found.out.scalars:
        per_sample = torch.stack([v.float() for v in found.out.scalars.values()])
        means = dict(zip(found.out.scalars, per_sample.mean(1), strict=True))
    first = {name: found.scalars[name] for name in ("grad_rms", "opacity")}
    scalars = first | means | found.scalars
    device = bad.device
    return list(scalars), torch.stack([*(v.to(device, torch.float32) for v in scalars.values()), bad])


def _detached(render: RenderOutput) -> RenderOutput:
    latents = None if render.latents is None else render.latents.detach()
    return RenderOutput(render.rgb.detach(), render.opacity.detach(), render.depth.detach(), None, latents)
