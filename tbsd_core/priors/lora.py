"""A low-rank addition to a frozen network, with the camera as a further input: the score of the present renders.

Variational score distillation (ProlificDreamer, arXiv:2305.16213) distils the difference between the
prior and a copy of it that is fine-tuned on the present renders. The copy is the frozen network plus a LoRA
(arXiv:2106.09685) on its attention projections and an embedding of the camera pose.

Both are forward hooks that exist only inside `LoRAAdapter._active`: outside it the network is untouched,
bit for bit, and no weight of it is ever changed. So this works on any network of torch layers, also on one
that belongs to somebody else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from .base import Condition, LoRAConfig

# attention projections by the end of their names: diffusers and Stable Diffusion UNets, then diffusion transformers
PROJECTIONS = (
    *("to_q", "to_k", "to_v", "to_out.0", "attn.qkv", "attn.proj"),
    *("attention.qkv", "attention.out"),  # Lumina 2 and Z-Image
    *("attn.wq", "attn.wk", "attn.wv", "attn.wo"),  # Krea 2
    *("q_proj", "k_proj", "v_proj", "output_proj"),  # Cosmos and Anima
)
# the layer whose output [B, (1,) width] is the timestep's embedding, the first that there is: diffusers, ComfyUI's
# UNets, Qwen-Image, Cosmos and Anima (whose t_embedder has two outputs), SD3 and Lumina 2, Flux, Krea 2
TIME_EMBEDDINGS = (
    *("time_embedding", "time_embed", "time_text_embed.timestep_embedder"),
    *("t_embedding_norm", "t_embedder", "time_in", "tmlp"),
)
POSE_SIZE, POSE_WIDTH = 16, 64


@runtime_checkable
class Projection(Protocol):
    """A layer that maps features to features: nn.Linear, and quantised layers of hosts that do not extend it."""

    in_features: int
    out_features: int

    def register_forward_hook(self, hook: Callable[..., Any]) -> Any: ...


class Shown:
    """The samples of a batch that the network sees now; None for all."""

    def __init__(self) -> None:
        self.rows: list[int] | None = None

    @contextmanager
    def only(self, rows: Sequence[int]) -> Iterator[None]:
        """Inside, the network sees these samples."""
        self.rows = list(rows)
        try:
            yield
        finally:
            self.rows = None


class LoRAAdapter(nn.Module):
    """LoRA and camera embedding of one network; its parameters are float32 and start as an exact no-op.

    Args:
        network: the frozen network; only named layers inside it are looked at.
        predict: (x_t [B, C, h, w], t [B], B conditions) to noise [B, C, h, w] float32, with gradient where it is on.
        loss_weight: t [B] to the weight [B] of the squared error of the noise, which makes it the error of what
            the network predicts: 1 for eps, 1 / alpha_t^2 for v, 1 / (1 - s)^2 for a flow.
        seed: of the initial LoRA.
        device: where the network computes; None for where its first parameter is. A network that is moved in and
            out of that device's memory may be elsewhere when this is called.
        shown: what a `predict` that takes several forwards enters for each.

    Raises:
        ValueError: the network has no attention projection or no timestep embedding that is known.
    """

    def __init__(
        self,
        network: nn.Module,
        predict: Callable[[Tensor, Tensor, Sequence[Condition]], Tensor],
        loss_weight: Callable[[Tensor], Tensor],
        config: LoRAConfig,
        seed: int,
        device: torch.device | str | None = None,
        shown: Shown | None = None,
    ) -> None:
        super().__init__()
        layers = [m for name, m in network.named_modules() if name.endswith(PROJECTIONS) and isinstance(m, Projection)]
        named = dict(network.named_modules())
        times = [named[name] for name in TIME_EMBEDDINGS if name in named]
        if not layers or not times:
            what, known = ("timestep embedding", TIME_EMBEDDINGS) if layers else ("attention projection", PROJECTIONS)
            raise ValueError(
                f"{type(network).__name__} has no {what} that VSD knows ({', '.join(known)}). Use a method that trains "
                "nothing, such as SDS or TBSD."
            )
        # not as submodules: their weights are the prior's
        self._layers, self._time_embedding = tuple(layers), (times[0],)
        self._norms = tuple(m for m in network.modules() if isinstance(m, nn.LayerNorm))
        self._predict, self._loss_weight, self.config = predict, loss_weight, config
        self._shown = shown or Shown()
        generator = torch.Generator().manual_seed(seed)
        rank = config.rank
        self.down = nn.ParameterList(
            torch.randn(rank, m.in_features, generator=generator) / m.in_features**0.5 for m in layers
        )
        self.up = nn.ParameterList(torch.zeros(m.out_features, rank) for m in layers)
        width = list(times[0].parameters())[-1].shape[0]
        self.pose_in = nn.Parameter(torch.randn(POSE_WIDTH, POSE_SIZE, generator=generator) / POSE_SIZE**0.5)
        self.pose_out = nn.Parameter(torch.zeros(width, POSE_WIDTH))
        self.to(next(network.parameters()).device if device is None else device)

    @torch.no_grad()
    def predict_noise(
        self,
        x_t: Tensor,  # [B, C, h, w]
        t: Tensor,  # [B]
        conditions: Sequence[Condition],  # B
        poses: Tensor | None,  # [B, 16] camera-to-world matrices; None leaves the camera out
    ) -> Tensor:
        """Noise [B, C, h, w] float32 in pictures like the present renders."""
        with self._active(poses):
            return self._predict(x_t, t, conditions)

    def training_loss(
        self, x_t: Tensor, t: Tensor, conditions: Sequence[Condition], poses: Tensor | None, noise: Tensor
    ) -> Tensor:
        """Mean weighted squared error of the prediction, a scalar with gradient on the adapter's parameters."""
        with torch.enable_grad(), self._active(poses):
            error = (self._predict(x_t, t, conditions) - noise) ** 2
        return (error.flatten(1).mean(1) * self._loss_weight(t).to(error.device)).mean()

    @contextmanager
    def with_up(self, up: Sequence[Tensor]) -> Iterator[None]:
        """Inside, predictions of the network have the LoRA with these matrices instead of its own `up`."""
        with self._active(None, up):
            yield

    @contextmanager
    def _active(self, poses: Tensor | None, ups: Sequence[Tensor] | None = None) -> Iterator[None]:
        def low_rank(down: Tensor, up: Tensor):
            def hook(module, inputs, output):
                x = inputs[0].to(down.dtype, copy=True)  # a copy: networks reuse their activations in place
                return output + (x @ down.T @ up.T).to(output.dtype)

            return hook

        def with_pose(poses: Tensor):
            def hook(module, inputs, output):
                some = poses if self._shown.rows is None else poses[self._shown.rows]
                embedded = torch.tanh(some @ self.pose_in.T) @ self.pose_out.T
                return output + embedded.view(len(some), *[1] * (output.ndim - 2), -1).to(output.dtype)

            return hook

        def keep_input(module, inputs):
            # Flux adds to its activations in place after a norm has saved them for its backward pass
            return (inputs[0].clone(), *inputs[1:])

        handles = [
            layer.register_forward_hook(low_rank(down, up))
            for layer, down, up in zip(self._layers, self.down, self.up if ups is None else ups, strict=True)
        ]
        if torch.is_grad_enabled():
            handles += [norm.register_forward_pre_hook(keep_input) for norm in self._norms]
        if poses is not None:
            handles.append(self._time_embedding[0].register_forward_hook(with_pose(poses)))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()
