"""Self-attention over the views of a group, in a network that was made for single pictures (MVDream, arXiv:2308.16512).

The tokens of all views of an object form one sequence, so that each view sees the others. No weight is added.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor


class GroupProcessor:
    """An attention processor of diffusers around another one, which then sees `views` samples as one.

    Only self-attention, which has no context, is widened. With one view nothing changes, bit for bit.
    """

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,  # [B, N, C]; views of a group follow each other
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        views: int = 1,
    ) -> Tensor:
        if views == 1 or encoder_hidden_states is not None:
            return self.inner(attn, hidden_states, encoder_hidden_states, attention_mask)
        rows, tokens, width = hidden_states.shape
        whole = hidden_states.reshape(rows // views, views * tokens, width)
        return self.inner(attn, whole, None, attention_mask).reshape(rows, tokens, width)


def attend_in_groups(unet: Any) -> None:
    """Let the attention layers of a diffusers UNet take the number of views of a call, in `cross_attention_kwargs`."""
    processors = unet.attn_processors
    if not any(isinstance(p, GroupProcessor) for p in processors.values()):
        unet.set_attn_processor({name: GroupProcessor(inner) for name, inner in processors.items()})
