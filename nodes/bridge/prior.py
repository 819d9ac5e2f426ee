"""A MODEL and a VAE as the core's prior.

The whole optimisation runs as one comfy Sampler inside a CFGGuider, so that LoRAs, ControlNets, hooks and model patches
all apply, and MODEL and VAE are loaded together.

Noise levels. Every model brings a table of noise levels s and its own way of mixing: x_0 + s noise
(EPS, V_PREDICTION, EDM with any sigma_data) or (1 - s) x_0 + s noise (flow models: SD3, Flux). The core
sees the variance-preserving schedule of the same signal-to-noise ratios, which for a flow model is
s = sigma_t / (alpha_t + sigma_t). Timestep index i is entry i of the table, so indices drawn uniformly
are distributed as the model's own sampling visits them: for a flow model the entries are the shifted
times s = shift f / (1 + (shift - 1) f) of the fractions f = (i + 1) / T (Flux: e^mu in place of shift), and a fraction
f of the schedule in the loop's timestep range means that s.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeVar

import comfy.model_base
import comfy.model_management
import comfy.model_sampling
import comfy.patcher_extension
import comfy.samplers
import torch
from torch import Tensor

from ...tbsd_core.memory import is_out_of_memory
from ...tbsd_core.priors.base import Condition, LoRAConfig, split_hints, split_views
from ...tbsd_core.priors.derivative import accuracy, derivative_error
from ...tbsd_core.priors.lora import LoRAAdapter, Shown
from ...tbsd_core.transfer import Table
from .autoencoder import Autoencoder, without_frames
from .autograd import optimization_mode, own_tensors
from .conditioning import (
    ConditioningCondition,
    batches,
    cloned_conditions,
    merge_samples,
    spread_controls,
    without_distilled_guidance,
)
from .control import ViewControl, show, with_control, without_gradient
from .differentiable import advice, differentiated
from .distillable import check_models
from .noise_levels import is_flow, noise_levels
from .reserve import reserve_memory
from .resident import load_whole, static_patcher
from .sides import on_their_sides, with_sides
from .views import ViewGroups, in_groups, view_groups, with_cameras
from .zero123 import PICTURE, check_pictures, with_picture

Result = TypeVar("Result")
Within = Callable[[Sequence[int]], AbstractContextManager]  # of the samples that a forward sees

CHECKED_CELLS = 16  # sides of the latents on which a network's gradient is checked
WITH_HINT = " with hint"  # ends the names of conditions that a ControlNet goes with


class ComfyPrior:
    """The prior while its models are loaded; made by `with_prior` only."""

    def __init__(
        self,
        inner,
        vae,
        conds: dict[str, list[dict]],
        names: dict[int, str],
        model_options: dict,
        trains_network: bool,
        device: torch.device,
        controls: Sequence[Any] = (),  # copies of a ControlNet, in the conditions of the names with WITH_HINT
        hint_kind: str = "",
        groups: ViewGroups | None = None,
        negatives: Set[int] | None = None,
    ) -> None:
        self._negatives = negatives
        self._controls, self.hint_kind, self._groups = controls, hint_kind, groups
        self.views_per_group = 1 if groups is None else groups.size
        self.takes_cameras = any(PICTURE in entry for entries in conds.values() for entry in entries)
        self._trains_network = trains_network
        self._inner, self._conds, self._names, self._options = inner, conds, names, model_options
        self.schedule, sigmas, scales = noise_levels(inner.model_sampling)
        self._levels = Table(torch.stack([sigmas, scales]))  # [2, T]
        self._device = device
        own_tensors(inner.latent_format)
        self.is_flow = is_flow(inner.model_sampling)
        self._has_frames = inner.latent_format.latent_dimensions == 3
        self._autoencoder = Autoencoder(vae, self._has_frames)
        self.spatial_factor: int = self._autoencoder.spatial_factor
        self.latent_channels: int = inner.latent_format.latent_channels

    def make_adapter(self, config: LoRAConfig, seed: int) -> LoRAAdapter:
        """A LoRA on the attention projections of the network, below whatever patches the MODEL carries.

        Raises:
            RuntimeError: the network's gradient is wrong.
        """
        if not self._trains_network:
            raise RuntimeError("This run was not set up to train a LoRA: call with_prior with trains_network=True.")
        self._conds, shown = cloned_conditions(self._conds), Shown()

        def predict(x_t: Tensor, t: Tensor, row: Sequence[Condition]) -> Tensor:
            if not torch.is_grad_enabled():
                return self._predict(x_t, t, [row], shown.only)[0]
            plain = split_hints(split_views(row, self.views_per_group)[0])[0]
            if len({frozenset(map(id, condition.hooks())) for condition in plain}) > 1:
                raise ValueError(
                    "The views of a step have prompts with different LoRA hooks, and no LoRA can be trained on such a "
                    "batch. Give all views the same hooks, or set views_per_step to 1."
                )
            with differentiated(self._options):
                return self._predict(x_t, t, [row], shown.only)[0]

        network = self._inner.diffusion_model
        adapter = LoRAAdapter(network, predict, self._network_error, config, seed, self._device, shown)
        self._check_adapter(adapter)
        return adapter

    def _check_adapter(self, adapter: LoRAAdapter) -> None:
        """Compare one derivative of the network by a new LoRA with finite differences."""
        generator = torch.Generator().manual_seed(0)
        noise = torch.randn(1, self.latent_channels, CHECKED_CELLS, CHECKED_CELLS, generator=generator)
        x_t = noise.to(self._device)
        t = torch.tensor([self.schedule.n_timesteps // 2], device=self._device)
        row = [next(iter(self._conds.values()))]

        devices = [x_t.device] if x_t.device.type == "cuda" else []

        def predict(up: Sequence[Tensor]) -> Tensor:
            with torch.random.fork_rng(devices), adapter.with_up(up), differentiated(self._options):
                torch.manual_seed(0)  # patches such as ToMe draw numbers, and this must be one function
                return self._predict_entries(x_t, t, [row])[0]

        dtype = self._inner.manual_cast_dtype or self._inner.get_dtype()
        asked, network = accuracy(dtype), type(self._inner.diffusion_model).__name__
        try:
            error = derivative_error(predict, list(adapter.up), asked)
        except RuntimeError as reason:
            if is_out_of_memory(reason):
                raise
            why = "one of its operations has no gradient" if "autograd formula" in str(reason) else "it failed"
            raise RuntimeError(
                f"No LoRA can be trained through {network} as it is loaded here: {why}. "
                f"{advice(str(reason), self._options)} {reason}"
            ) from reason
        if not error <= asked.tolerance:
            raise RuntimeError(
                f"The gradient of {network} by a LoRA is wrong: autograd and finite differences differ by "
                f"{100 * error:.0f} %, at most {100 * asked.tolerance:.0f} % is rounding in "
                f"{str(dtype).removeprefix('torch.')}. Nothing was optimised. Something moves or replaces its "
                f"weights while it runs. {advice('', self._options)} Please report it."
            )

    def _network_error(self, t: Tensor) -> Tensor:
        """Weight [B] that turns the squared error of the noise into the error that the network was trained on."""
        sampling, alpha = self._inner.model_sampling, self.schedule.at(t).sqrt()
        if self.is_flow:  # velocity of a flow, 1 - s = alpha / (alpha + sigma)
            return ((alpha + (1 - alpha**2).sqrt()) / alpha) ** 2
        return alpha**-2 if isinstance(sampling, comfy.model_sampling.V_PREDICTION) else torch.ones_like(alpha)

    @torch.no_grad()
    def predict_noise(
        self,
        x_t: Tensor,  # [B, C, h, w]
        t: Tensor,  # [B] long
        conditions: Sequence[Sequence[Condition]],  # K ConditioningConditions, Hinted or Viewed, each a list of B
    ) -> list[Tensor]:
        """K noise predictions [B, C, h, w] float32 from one batched forward.

        It takes several where comfy cannot batch the conditions: other hooks, a ControlNet in its
        range of timesteps for some samples only, token sequences that the model cannot pad, or too
        little free memory.
        """
        return self._predict(x_t, t, conditions)

    def _predict(
        self, x_t: Tensor, t: Tensor, conditions: Sequence[Sequence[Condition]], within: Within = nullcontext
    ) -> list[Tensor]:
        rows, sides, hints, strength, angles = [], [], None, 0.0, None
        negatives = self._negatives
        for row in conditions:
            plain, angles = split_views(row, self.views_per_group)
            plain, hints, strength = split_hints(plain)  # samples have one hint and camera, whatever the condition
            end = "" if hints is None else WITH_HINT
            rows.append([self._conds[self._names[id(c)] + end] for c in plain])
            if negatives is not None:
                sides.append([int(id(c) in negatives) for c in plain])
        return self._predict_entries(x_t, t, rows, hints, strength, angles, within, sides)

    def _predict_entries(
        self,
        x_t: Tensor,
        t: Tensor,
        rows: Sequence[Sequence[list[dict]]],
        hints: Tensor | None = None,  # [B, 3, H, W]
        strength: float = 0.0,
        angles: tuple[Tensor, Tensor] | None = None,  # [B] each, of a model that takes cameras
        within: Within = nullcontext,  # entered for each forward
        sides: Sequence[Sequence[int]] = (),  # of the samples of each row; none: only the first row is positive
    ) -> list[Tensor]:
        """The same for conditions as comfy has prepared them."""
        alpha_t, sigma_t = self.schedule.alpha_sigma(t)
        sigma, scale = self._levels.on(x_t.device)[:, t]
        x = x_t.float() * scale.view(-1, 1, 1, 1)
        parts: list[list[Tensor]] = [[] for _ in rows]
        order = batches(list(zip(*rows, strict=True)), sigma)  # views of a group have one prompt: none is torn apart
        options = self._options if angles is None else in_groups(self._options, self.views_per_group)
        for batch in order:
            comfy.model_management.throw_exception_if_processing_interrupted()
            merged = [merge_samples([row[i] for i in batch]) for row in rows]
            some = slice(None) if len(order) == 1 else torch.tensor(batch, device=x.device)
            seen_from = None if angles is None else (angles[0][batch], angles[1][batch])
            if seen_from is not None and self._groups is not None:
                merged = [with_cameras(entries, self._groups, seen_from, x.device) for entries in merged]
            if self.takes_cameras:
                merged = [with_picture(entries, self._inner, x[some], seen_from) for entries in merged]
            if sides:
                options = with_sides(options, [[row[i] for i in batch] for row in sides])
            x_model = self._to_model(x[some])
            if hints is not None:
                show(self._controls, hints[some], strength)
            with without_gradient(merged, self._noted), within(batch) if len(order) > 1 else nullcontext():
                denoised = comfy.samplers.calc_cond_batch(self._inner, merged, x_model, sigma[some], options)
            for eps, x_0 in zip(parts, denoised, strict=True):
                eps.append((x_t[some] - alpha_t[some] * without_frames(x_0).float()) / sigma_t[some])
        if len(order) == 1:
            return [eps for (eps,) in parts]
        back = torch.tensor([i for batch in order for i in batch]).argsort().to(x.device)
        return [torch.cat(eps)[back] for eps in parts]

    def _noted(self) -> Callable[[], None]:
        """A function that brings the weights of a training back, with the hooks that they have now, if the host has
        moved them away by then."""
        patcher = self._inner.current_patcher
        hooks = patcher.current_hooks

        def back() -> None:
            if self._trains_network and any(p.device.type != self._device.type for p in self._inner.parameters()):
                load_whole(patcher)
                patcher.apply_hooks(hooks)

        return back

    @property
    def recompute_encoder(self) -> bool:
        """Whether backward computes the encoder's blocks again instead of keeping what they hold."""
        return self._autoencoder.recompute

    @recompute_encoder.setter
    def recompute_encoder(self, value: bool) -> None:
        self._autoencoder.recompute = value

    def encode(self, images: Tensor) -> Tensor:
        """Latents [B, C, h, w] of images [B, 3, H, W] in [0, 1] in the model's own scale; differentiable."""
        comfy.model_management.throw_exception_if_processing_interrupted()
        latents = self._to_model(self._autoencoder.encode(images))
        return without_frames(self._inner.process_latent_in(latents))

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        """Images [B, 3, H, W] in [0, 1] of latents in the model's own scale."""
        comfy.model_management.throw_exception_if_processing_interrupted()
        scaled = self._inner.process_latent_out(self._to_model(latents))
        return self._autoencoder.decode(without_frames(scaled))

    def _to_model(self, latents: Tensor) -> Tensor:
        """Latents [B, C, h, w] as the model takes them: [B, C, 1, h, w] where it knows frames."""
        return latents[:, :, None] if self._has_frames else latents


class LoopSampler(comfy.samplers.Sampler):
    """Runs a function with the loaded prior where ComfyUI expects a sampling loop."""

    def __init__(
        self,
        vae,
        names: dict[int, str],
        body: Callable[[ComfyPrior], Any],
        trains_network: bool,
        controls: Sequence[Any],
        hint_kind: str,
        groups: ViewGroups | None,
        negatives: Set[int] | None,
    ) -> None:
        self.vae, self.names, self.body, self.trains_network = vae, names, body, trains_network
        self.negatives = negatives
        self.controls, self.hint_kind, self.groups = controls, hint_kind, groups
        self.result: Any = None  # what the body returns

    def sample(
        self, model_wrap, sigmas, extra_args, callback, noise, latent_image=None, denoise_mask=None, disable_pbar=False
    ) -> Tensor:
        every = [entry for entries in model_wrap.conds.values() for entry in entries]
        if any("c_concat" in entry["model_conds"] and PICTURE not in entry for entry in every):
            raise ValueError(
                "This model needs a second picture besides the noisy one (inpainting, editing, upscaling, image to "
                "video), but the views of a scene have none. Connect the text-to-image version of the model."
            )
        with optimization_mode():
            prior = ComfyPrior(
                model_wrap.inner_model,
                self.vae,
                model_wrap.conds,
                self.names,
                extra_args["model_options"],
                self.trains_network,
                sigmas.device,
                self.controls,
                self.hint_kind,
                self.groups,
                self.negatives,
            )
            self.result = self.body(prior)
        return torch.zeros_like(noise)


def with_prior(
    model,
    vae,
    conditions: Sequence[ConditioningCondition],
    shape: tuple[int, int, int],  # batch size, image height, image width
    body: Callable[[ComfyPrior], Result],
    trains_network: bool = False,  # for methods that train a LoRA through the network
    control: ViewControl | None = None,  # what Hinted conditions are shown to
    # the conditions that attention patches take for negative; None: all but the first of each forward
    negatives: Sequence[ConditioningCondition] | None = None,
) -> Result:
    """Load MODEL and VAE together and run `body(prior)` with autograd on.

    For that time the VAE has weights of its own, and so does the network if asked: gradients go through them.

    Args:
        conditions: every condition that the body will ask for; ComfyUI prepares them once.
        shape: sizes of one step, from which ComfyUI estimates the memory.

    Raises:
        ValueError: the models are of a kind that cannot be distilled, with the reason.
        RuntimeError: weights do not fit that must, or a gradient is wrong.
    """
    check_models(model, vae)
    check_pictures(model, conditions)
    wrappers = comfy.patcher_extension.WrappersMP
    with optimization_mode():
        patcher = static_patcher(model) if trains_network else model.clone()
    patcher.add_wrapper_with_key(wrappers.APPLY_MODEL, "tbsd", on_their_sides)
    patcher.add_wrapper_with_key(wrappers.PREPARE_SAMPLING, "tbsd", reserve_memory(vae, shape, trains_network))
    unique = list({id(c): c for c in conditions}.values())
    names = {id(c): f"tbsd_{i}" for i, c in enumerate(unique)}
    batch, height, width = shape
    factor = vae.spacial_compression_encode()
    channels = model.get_model_object("latent_format").latent_channels
    with torch.inference_mode():  # some models prepare their conditions otherwise outside, as for their own training
        guider = comfy.samplers.CFGGuider(patcher)
        entries = spread_controls(unique)
        if model.model.model_config.unet_config.get("guidance_embed"):
            entries = [without_distilled_guidance(e) for e in entries]
        prepared = dict(zip(names.values(), entries, strict=True))
        controls: list[Any] = []
        if control is not None:
            hinted, controls = with_control(control, entries, vae)
            prepared |= {name + WITH_HINT: e for name, e in zip(names.values(), hinted, strict=True)}
        guider.inner_set_conds(prepared)
        kind = "" if control is None else control.config.kind
        known = None if negatives is None else set(map(id, negatives))
        sampler = LoopSampler(vae, names, body, trains_network, controls, kind, view_groups(model), known)
        frames = [1] if model.get_model_object("latent_format").latent_dimensions == 3 else []
        empty = torch.zeros(batch, channels, *frames, height // factor, width // factor)
        guider.sample(empty, empty, sampler, torch.tensor([1.0, 0.0]), disable_pbar=True, seed=0)
    return sampler.result


def prior_device(model) -> torch.device:
    """Where the optimisation runs: the device on which ComfyUI loads the model."""
    return model.load_device
