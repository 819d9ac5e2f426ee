"""The optimisation loop: the one place where scene, prior, prompts and guidance meet.

It is a generator that yields one StepRecord per step and does nothing else with it. Progress bars,
previews, interrupts, checkpoints and logs belong to whoever consumes it; stopping to consume it is a
clean stop, since the state is only ever seen between steps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from ..cameras.sampling import CameraConfig, sample_cameras, view_name
from ..guidance.base import (
    Guidance,
    GuidanceInputs,
    GuidanceOutput,
    PixelGuidance,
    TrainingGuidance,
    TrajectoryGuidance,
)
from ..guidance.timesteps import sample_timesteps
from ..memory import free_cached, is_out_of_memory
from ..priors.base import Prior
from ..prompts.sets import PromptSet
from ..rng import named_generator
from ..scenes.base import AdaptiveScene, RenderOutput, Scene, ShrinkingScene
from ..transfer import Late, to_device
from .adapter import AdapterState, camera_poses
from .config import OptimConfig
from .distributed import WHOLE, Split, check_split
from .phases import Stopwatch
from .predictor import Predictor
from .records import LateScalars, StepRecord
from .resolution import LinearLatents, render_size
from .shared_adam import SharedAdam
from .skipping import BadSteps, make_optimizer, not_finite, step_unless
from .undo import Undo
from .uninterrupted import uninterrupted

REUSABLE = ("uncond", "negative", "target_negative")  # they change slowly while noise and timestep stay
LATENT_SUPERSAMPLING = 2  # rays along each side of a latent cell, in the phase without the encoder
OPTIMIZERS: dict[str, type[torch.optim.Optimizer]] = {
    "adam": torch.optim.Adam,
    "shared_adam": SharedAdam,
}


@dataclass
class OptimState:
    """What a checkpoint must hold besides the scene: the next step, the optimiser's moments, a LoRA."""

    step: int
    optimizer: torch.optim.Optimizer
    base_lrs: list[float]  # learning rates of its groups before any schedule
    adapter: AdapterState | None = None  # of methods that train one
    reused: dict[str, Tensor] = field(default_factory=dict)  # predictions by condition name, see reuse_steps
    split: Split = WHOLE  # the part of the views that this process has
    bad: BadSteps = field(default_factory=BadSteps)

    @property
    def bad_steps(self) -> int:
        """Consecutive steps skipped because of a gradient that is not finite; waits for the newest step."""
        return self.bad.n

    @bad_steps.setter
    def bad_steps(self, n: int) -> None:
        self.bad = BadSteps(n)

    @classmethod
    def create(cls, scene: Scene, config: OptimConfig, adapter: AdapterState | None = None) -> OptimState:
        """The state before the first step; `adapter` is that of `create_adapter`.

        Raises:
            ValueError: an unknown optimiser.
        """
        name = config.optimizer
        if name == "auto":
            name = "adam" if scene.uses_cameras else "shared_adam"
        if name not in OPTIMIZERS:
            raise ValueError(f"optimizer must be auto, {' or '.join(OPTIMIZERS)}, got {name!r}.")
        groups = scene.parameter_groups(config.lr)
        betas = (config.beta1, config.beta2)
        optimizer = make_optimizer(OPTIMIZERS[name], groups, lr=config.lr, betas=betas, eps=config.eps)
        return cls(0, optimizer, [group["lr"] for group in optimizer.param_groups], adapter=adapter)


def optimize(
    prior: Prior,
    prompts: PromptSet,
    guidance: Guidance,
    scene: Scene,
    cameras: CameraConfig,
    config: OptimConfig,
    state: OptimState,
    seeds: Sequence[tuple[int, int]] | None = None,  # of each picture, see OptimConfig.draw_seeds
) -> Iterator[StepRecord]:
    """Distil the prior into the scene, from `state.step` to `config.n_steps`; updates scene and state in place.

    Every random number is a function of (seed, purpose, step), so a run that is interrupted, saved
    and resumed ends exactly where the uninterrupted run does (bit for bit on a CPU).

    Pictures side by side do not touch each other: each has its own gradient scale and moments. With
    `seeds` each also has the draws of a run of its own, so that the pictures are what that many runs
    of one picture would give, up to the rounding of batched arithmetic. (A method that trains a LoRA
    trains one for all of them, and a gradient that is not finite skips the step for all of them.)

    An exception, wherever in a step it comes from, leaves scene and state as they were before the step or as they are
    after it. On a device that computes while the host goes on nothing here waits for it, but for the step before:
    see StepRecord for what does.

    Raises:
        ValueError: the image size does not fit the prior, or the prompts lack a needed condition.
        RuntimeError: `max_bad_steps` consecutive gradients were not finite; a device that is not waited for may be one
            step further by then.
    """
    name, encoded = ("size", config.size) if config.encode_size is None else ("encode_size", config.encode_size)
    if config.reuse_steps > 1 and scene.uses_cameras:
        raise ValueError(
            f"reuse_steps works on pictures only, got {config.reuse_steps}: the views of a 3D scene change with each "
            "step. Set it to 1."
        )
    if config.reuse_steps > 1 and isinstance(guidance, TrajectoryGuidance):
        raise ValueError(
            f"{type(guidance).__name__} finds its noise anew in each step, so predictions cannot be taken again: got "
            f"reuse_steps {config.reuse_steps}. Set it to 1."
        )
    if seeds is not None and (scene.uses_cameras or len(seeds) != scene.n_images):
        have = "a 3D scene" if scene.uses_cameras else f"{scene.n_images} picture(s)"
        raise ValueError(f"seeds must be one pair per picture, got {len(seeds)} for {have}.")
    if isinstance(guidance, TrainingGuidance) and state.adapter is None:
        raise ValueError("This method trains a LoRA: make the state with OptimState.create(..., create_adapter(...)).")
    if encoded % prior.spatial_factor:
        raise ValueError(
            f"{name} must be a multiple of the prior's spatial factor {prior.spatial_factor}, got {encoded}."
        )
    check_split(state.split, config, scene, guidance)
    linear = None
    if config.latent_until > 0:
        if not scene.uses_cameras:
            raise ValueError(
                f"latent_until is for 3D scenes, got {config.latent_until}. Set it to 0; to "
                "optimise a picture as latents, make it a latent scene."
            )
        if isinstance(guidance, PixelGuidance) and guidance.decodes(0.0):
            raise ValueError(
                f"{type(guidance).__name__} compares pictures, and latent_until = {config.latent_until} begins with "
                "latents. Set one of latent_until and pixel_scale to 0."
            )
        if state.step < config.latent_until * config.n_steps:
            linear = LinearLatents(prior, encoded, next(scene.parameters()).device)
    for step in range(state.step, config.n_steps):
        yield _step(prior, prompts, guidance, scene, cameras, config, state, step, seeds, linear)


def predict_and_guide(
    prior: Prior,
    prompts: PromptSet,
    guidance: Guidance,
    latents: Tensor,  # [B, C, h, w]
    views: list[str],  # B view names, "" for none
    t: Tensor,  # [B] timestep indices; on the host a trajectory need not wait for them
    noise: Tensor,  # [B, C, h, w]
    progress: float,
    state: OptimState | None = None,  # for methods that train a LoRA, and predictions that may be taken again
    poses: Tensor | None = None,  # [B, 16], what a LoRA is told about the cameras
    images: Tensor | None = None,  # [B, 3, H, W] in [0, 1], what was encoded; None where latents are the scene
    generator: torch.Generator | None = None,  # of what trajectories draw; None as in the first step of seed 0
    angles: Sequence[tuple[float, float]] | None = None,  # B azimuths and elevations in degrees, for Perp-Neg
) -> GuidanceOutput:
    """Noise the latents, evaluate the conditions that the method needs in one forward, and ask the method.

    A method with a trajectory evaluates the prior on the way to its x_t, and one with a gradient on pixels
    has an estimate decoded.

    Raises:
        ValueError: a gradient on pixels where there are none.
    """
    names = guidance.required(progress)
    known = state.reused if state is not None else {}
    predict = Predictor(prior, prompts, views, state.adapter if state is not None else None, poses, angles)
    if isinstance(guidance, TrajectoryGuidance):
        generator = named_generator(0, "trajectory") if generator is None else generator
        end = guidance.trajectory(latents, noise, t.cpu(), progress, prior.schedule, predict, generator)
        x_t, noise, t = end.x_t, end.noise, to_device(t, latents.device)
    else:
        t = to_device(t, latents.device)
        x_t = prior.schedule.add_noise(latents, noise, t)
    missing = [name for name in names if name not in known]
    new = predict(missing, x_t, t)
    known |= {name: e for name, e in new.items() if name in REUSABLE}
    eps = {name: new[name] if name in new else known[name] for name in names}
    inputs = GuidanceInputs(eps, noise, prior.schedule.at(t), t, progress, prior.schedule.n_timesteps)
    out = guidance(inputs)
    if isinstance(guidance, PixelGuidance) and guidance.decodes(progress):
        if images is None:
            raise ValueError(
                f"{type(guidance).__name__} compares pictures, and this scene is made of latents. Set its pixel_scale "
                "to 0, or optimise pixels or a 3D scene."
            )
        side = images.shape[-1]
        pixel_grad = guidance.pixel_grad(inputs, latents, images, lambda z: enlarged(prior.decode(z), side))
        out = replace(out, pixel_grad=pixel_grad)
    return out


def enlarged(images: Tensor, size: int | None) -> Tensor:
    """Images [B, 3, H, W] resampled to `size` pixels along each side; as they are where it is None."""
    if size is None or images.shape[-2:] == (size, size):
        return images
    return F.interpolate(images, size=(size, size), mode="bilinear", align_corners=False)


@dataclass(frozen=True)
class _Gradient:
    """What a step has found out before it changes anything; the parameters hold their gradients, also a LoRA's."""

    render: RenderOutput
    t: Tensor  # on the host
    out: GuidanceOutput
    scalars: dict[str, Tensor]  # [] each
    reused: dict[str, Tensor]
    watch: Stopwatch


def _step(
    prior: Prior,
    prompts: PromptSet,
    guidance: Guidance,
    scene: Scene,
    camera_config: CameraConfig,
    config: OptimConfig,
    state: OptimState,
    step: int,
    seeds: Sequence[tuple[int, int]] | None,
    linear: LinearLatents | None,
) -> StepRecord:
    factor = lr_factor(config, step / config.n_steps)
    for group, lr in zip(state.optimizer.param_groups, state.base_lrs, strict=True):
        group["lr"] = lr * factor
    device = next(scene.parameters()).device

    def gradient() -> _Gradient:
        return _gradient(prior, prompts, guidance, scene, camera_config, config, state, step, seeds, linear)

    if isinstance(scene, AdaptiveScene):
        undo = Undo(scene, state.optimizer)
        try:
            scene.adapt(state.optimizer, step, config.n_steps)
            found = _in_memory(gradient, scene, config, state, step)
        except BaseException:
            undo()
            raise
    else:
        found = _in_memory(gradient, scene, config, state, step)

    bad = not_finite((p.grad for p in scene.parameters()), device)
    optimizers = [state.optimizer]
    if state.adapter is not None:
        bad = torch.maximum(bad, not_finite((p.grad for p in state.adapter.adapter.parameters()), device))
        optimizers.append(state.adapter.optimizer)
    with uninterrupted():
        step_unless(bad, optimizers)
        state.reused = {} if (step + 1) % config.reuse_steps == 0 else found.reused
        state.step = step + 1
    found.watch.mark("backward")

    names, numbers = _numbers(found, bad)
    late = Late(numbers)
    state.bad.add(late)
    n_bad = state.bad.settle(n_open=1)
    if n_bad >= config.max_bad_steps:
        raise RuntimeError(
            f"{n_bad} consecutive steps had a gradient that is not finite (now at step {step}). "
            "Lower lr or guidance_scale, or run the VAE in float32."
        )
    known = {"t": float(found.t.float().mean()) / prior.schedule.n_timesteps, "lr": config.lr * factor}
    scalars = LateScalars(names, late, known)
    progress = step / config.n_steps
    return StepRecord(step, config.n_steps, progress, found.render, found.t, scalars, found.watch.seconds, late)


def _numbers(found: _Gradient, bad: Tensor) -> tuple[list[str], Tensor]:
    """What a step reports and the names of it; last of all, without a name, whether it was skipped."""
    means = {}
    if found.out.scalars:
        per_sample = torch.stack([v.float() for v in found.out.scalars.values()])
        means = dict(zip(found.out.scalars, per_sample.mean(1), strict=True))
    first = {name: found.scalars[name] for name in ("grad_rms", "opacity")}
    scalars = first | means | found.scalars
    device = bad.device
    return list(scalars), torch.stack([*(v.to(device, torch.float32) for v in scalars.values()), bad])


def _in_memory(
    gradient: Callable[[], _Gradient], scene: Scene, config: OptimConfig, state: OptimState, step: int
) -> _Gradient:
    """The gradient of a step; a scene that can do with less memory is asked to where there is not enough."""
    while True:
        try:
            return gradient()
        except (RuntimeError, MemoryError) as error:
            alone = state.split.size == 1  # what one process did again, the others would wait for
            if not is_out_of_memory(error) or not isinstance(scene, ShrinkingScene) or not alone:
                raise
            if not scene.shrink():
                raise RuntimeError(
                    f"Out of memory in step {step}, although the views are rendered in the smallest pieces. Use a "
                    f"smaller size (now {config.size}) or fewer views_per_step (now {config.views_per_step}). {error}"
                ) from error
        # what the failed attempt held is only free out here
        state.optimizer.zero_grad(set_to_none=True)
        free_cached(next(scene.parameters()).device)


def _gradient(
    prior: Prior,
    prompts: PromptSet,
    guidance: Guidance,
    scene: Scene,
    camera_config: CameraConfig,
    config: OptimConfig,
    state: OptimState,
    step: int,
    seeds: Sequence[tuple[int, int]] | None,
    linear: LinearLatents | None,
) -> _Gradient:
    """Render, ask the prior, and leave the gradient in the parameters of the scene and of a LoRA. Nothing else
    changes, so that it can be done again."""
    progress = step / config.n_steps
    device = next(scene.parameters()).device
    n_views = config.views_per_step if scene.uses_cameras else scene.n_images
    cameras = sample_cameras(camera_config, n_views, named_generator(config.seed, "camera", step))
    cameras = state.split.own(cameras)
    trial = replace(state, reused=dict(state.reused))
    with torch.enable_grad():
        watch = Stopwatch(device)
        jitter = state.split.generator(config.seed, "jitter", step)
        encoded = config.encode_size or config.size
        images = None
        if linear is not None and progress < config.latent_until:
            side = encoded // prior.spatial_factor * LATENT_SUPERSAMPLING
            render = scene.render(cameras.to(device), side, side, jitter)
            latents = linear(F.avg_pool2d(render.rgb, LATENT_SUPERSAMPLING))
        else:
            side = config.size
            if scene.uses_cameras and config.start_size is not None:
                side = render_size(config.start_size, config.size, config.full_size_from, progress)
            render = scene.render(cameras.to(device), side, side, jitter)
            if render.latents is None:
                images = enlarged(render.rgb, encoded if scene.uses_cameras else config.encode_size)
                latents = prior.encode(images)
            else:
                latents = render.latents
        watch.mark("render")
        batch = len(latents)
        if scene.uses_cameras:
            angles = list(zip(cameras.azimuth.tolist(), cameras.elevation.tolist(), strict=True))
            views = [view_name(*angle) for angle in angles]
        else:
            angles, views = None, [""] * batch
        first = step - step % config.reuse_steps  # the step in which this one's noise was new
        shape = (batch * state.split.size, *latents.shape[1:])
        t, noise = (state.split.own(x) for x in draw(config, prior.schedule.n_timesteps, shape, first, seeds))
        poses = to_device(camera_poses(cameras), device) if state.adapter and scene.uses_cameras else None
        on_the_way = named_generator(config.seed, "trajectory", step)
        with torch.no_grad():
            seen = None if images is None else images.detach()
            out = predict_and_guide(
                prior,
                prompts,
                guidance,
                latents.detach(),
                views,
                t,
                to_device(noise, device),
                progress,
                trial,
                poses,
                seen,
                on_the_way,
                angles,
            )
            rms = state.split.mean(out.grad.pow(2).mean()).sqrt()
            divisor: Tensor | float = 1.0
            if config.normalize_grad:
                own = rms if scene.uses_cameras else out.grad.pow(2).mean((1, 2, 3), keepdim=True).sqrt()
                divisor = own + 1e-8
        watch.mark("prior")
        losses = scene.regularization(render, progress)
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
        state.split.average_gradients(scene.parameters())
    watch.mark("backward")
    scalars = {"grad_rms": rms, "opacity": render.opacity.detach().mean()}
    scalars |= {f"loss_{name}": value.detach() for name, value in losses.items()}
    if state.adapter is not None:
        conditions = prompts.select("target", views)
        scalars["loss_lora"] = state.adapter.gradient(
            latents.detach(), conditions, poses, prior.schedule, config.seed, step
        )
        watch.mark("lora")
    return _Gradient(_detached(render), t, out, scalars, trial.reused, watch)


def lr_factor(config: OptimConfig, progress: float) -> float:
    """What learning rates are multiplied by at this progress in [0, 1]: 1 until halfway, lr_end at the end."""
    return config.lr_end ** max(0.0, 2 * progress - 1)


def draw(
    config: OptimConfig,
    n_timesteps: int,
    shape: Sequence[int],  # of the latents, [B, C, h, w]
    step: int,
    seeds: Sequence[tuple[int, int]] | None = None,  # one pair per sample
) -> tuple[Tensor, Tensor]:
    """Timesteps [B] and noise [B, C, h, w] of a step, on the CPU; with `seeds` row i is what a batch of one
    with that pair of seeds draws."""
    if seeds is not None:
        rows = [draw(replace(config, seed=s, timestep_seed=t), n_timesteps, (1, *shape[1:]), step) for s, t in seeds]
        return torch.cat([t for t, _ in rows]), torch.cat([noise for _, noise in rows])
    seed, timestep_seed = config.draw_seeds
    drawn = named_generator(timestep_seed, "timestep", step)
    t = sample_timesteps(config.timesteps, n_timesteps, shape[0], step / config.n_steps, drawn)
    return t, torch.randn(tuple(shape), generator=named_generator(seed, "noise", step))


def _detached(render: RenderOutput) -> RenderOutput:
    latents = None if render.latents is None else render.latents.detach()
    return RenderOutput(render.rgb.detach(), render.opacity.detach(), render.depth.detach(), None, latents)
