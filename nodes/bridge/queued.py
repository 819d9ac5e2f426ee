"""The graph that a node runs in, as it was queued."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from comfy.cli_args import args
from comfy_api.latest import io

from .compat import current_prompt

MAX_GRAPH_ID = 64  # letters; a UUID has 36


@dataclass(frozen=True)
class Queued:
    """One queued graph, seen from one of its nodes.

    Args:
        node: the execution id of the node, such as "7", or "3:7" inside the subgraph node 3.
        id: of the graph in the queue; None if no server runs.
        prompt: the graph as the server was given it. workflow: as it was on the canvas; None for API clients.
    """

    node: str
    id: str | None = None
    prompt: Any = None
    workflow: Any = None

    @property
    def graph(self) -> str | None:
        """The id of the graph on the canvas, which the page stores with it."""
        found = self.workflow.get("id") if isinstance(self.workflow, dict) else None
        return found if isinstance(found, str) and len(found) <= MAX_GRAPH_ID else None

    def texts(self) -> dict[str, str]:
        """`workflow` and `prompt` as JSON, which ComfyUI's own savers write into files. Missing ones are left out, and
        both if the host was started with --disable-metadata."""
        found = {"workflow": self.workflow, "prompt": self.prompt}
        kept = {} if args.disable_metadata else found
        return {name: json.dumps(value) for name, value in kept.items() if value is not None}


def queued_by(node: type[io.ComfyNode]) -> Queued:
    """The graph of a node that asks for `prompt`, `extra_pnginfo` and, for its own id, `unique_id`."""
    hidden = node.hidden
    extra = hidden.extra_pnginfo
    workflow = extra.get("workflow") if isinstance(extra, dict) else None
    return Queued(str(hidden.unique_id or ""), current_prompt(), hidden.prompt, workflow)
