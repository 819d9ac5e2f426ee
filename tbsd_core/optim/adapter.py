"""The LoRA that some methods train beside the scene: its optimiser, and the gradient of a step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..cameras.pose import Cameras
from ..guidance.base import Guidance, TrainingGuidance
from ..guidance.timesteps import shared_in_groups
from ..priors.base import AdaptablePrior, Adapter, Condition, Prior, whole_groups, without_views
from ..priors.schedule import NoiseSchedule
from ..prompts.sets import PromptSet
from ..rng import named_generator
from ..transfer import to_device
from .parts import parts_of
from .skipping import make_optimizer

ADAPTER_NAMES = ("lora", "lora_no_camera")  # names that a method's `required` may ask for


@dataclass
class AdapterState:
    """A LoRA in training."""

    adapter: Adapter
    optimizer: torch.optim.Optimizer

    def predict(
        self, name: str, x_t: Tensor, t: Tensor, conditions: Sequence[Condition], poses: Tensor | None
    ) -> Tensor:
        """Noise [B, C, h, w] for one of ADAPTER_NAMES. Without its camera, a view counts as a plain picture."""
        if name != "lora":
            conditions, poses = without_views(conditions), None
        return self.adapter.predict_noise(x_t, t, conditions, poses)

    def gradient(
        self,
        latents: Tensor,  # [B, C, h, w], the present renders, detached
        conditions: Sequence[Condition],  # B, see `adapter_conditions`
        poses: Tensor | None,  # [B, 16]
        schedule: NoiseSchedule,
        seed: int,
        step: int,
        at_once: int = 0,  # samples in one backward; 0 for all
        group: int = 1,  # samples in a row that the prior sees together
    ) -> Tensor:
        """Denoising score matching on the renders, over all timesteps: the loss []. Its gradient is left in the
        adapter's parameters, and nothing else changes.

        The whole batch loses its cameras together, with probability `camera_dropout`, so that the LoRA also
        knows the score of all views.
        """
        drawn = named_generator(seed, "lora", step)
        t = shared_in_groups(torch.randint(0, schedule.n_timesteps, (len(latents),), generator=drawn), group)
        noise = torch.randn(latents.shape, generator=drawn)
        dropped = float(torch.rand((), generator=drawn)) < self.adapter.config.camera_dropout
        t, noise = to_device(t, latents.device), to_device(noise, latents.device)
        x_t = schedule.add_noise(latents, noise, t)
        if dropped:
            conditions, poses = without_views(conditions), None
        self.optimizer.zero_grad(set_to_none=True)
        # of a sum, since float16 loses the gradient of a mean inside a network. A power of two is divided out exactly
        scale = 2.0 ** math.ceil(math.log2(noise.numel()))
        losses, n = [], len(latents)
        for rows in parts_of(n, whole_groups(at_once, group)):
            some = None if poses is None else poses[rows]
            loss = self.adapter.training_loss(x_t[rows], t[rows], conditions[rows], some, noise[rows])
            share = (rows.stop - rows.start) / n  # the loss is a mean
            (loss * (scale * share)).backward()
            losses.append(loss.detach() if share == 1 else loss.detach() * share)
        torch._foreach_div_([p.grad for p in self.adapter.parameters() if p.grad is not None], scale)
        return sum(losses[1:], losses[0])


def create_adapter(prior: Prior, guidance: Guidance, seed: int) -> AdapterState | None:
    """The LoRA that a method trains, untrained; None for a method that trains none.

    Raises:
        ValueError: the prior has no network to add a LoRA to.
    """
    if not isinstance(guidance, TrainingGuidance):
        return None
    if not isinstance(prior, AdaptablePrior):
        raise ValueError(
            f"{type(guidance).__name__} trains a LoRA on the prior's network, but the {type(prior).__name__} has "
            "none. Use the learned prior or a checkpoint, or a method that trains nothing, such as sds or tbsd."
        )
    adapter = prior.make_adapter(guidance.lora, seed)
    groups = [{"params": list(adapter.parameters())}]
    return AdapterState(adapter, make_optimizer(torch.optim.AdamW, groups, lr=guidance.lora.lr))


def adapter_conditions(prompts: PromptSet, n: int) -> list[Condition]:
    """The conditions of a LoRA for n samples, beside their poses: the target without view words, as in threestudio,
    which turns view-dependent prompting off for it (stable_diffusion_vsd_guidance.py). A camera that is left out is
    missing from the text, too."""
    return prompts.select("target", [""] * n)


def camera_poses(cameras: Cameras) -> Tensor:
    """Camera-to-world matrices as rows [B, 16], with positions in multiples of the cameras' distance."""
    poses = cameras.c2w().clone()
    poses[:, :3, 3] /= cameras.distance[:, None]
    return poses.flatten(1)
