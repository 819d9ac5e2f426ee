"""Names and payloads of the messages to the browser (mirrored by web/js/events.js)."""

from __future__ import annotations

from server import PromptServer

STEP = "tbsd.step"
"""Once per drawn step: {"node": id, "step": int, "steps": int, "scalars": {name: number}}."""


def send_step(node_id: str | None, step: int, n_steps: int, scalars: dict[str, float]) -> None:
    """Tell the browser that queued the prompt how far its node is; silent where no server runs."""
    server = getattr(PromptServer, "instance", None)
    if server is not None and node_id is not None:
        payload = {"node": node_id, "step": step, "steps": n_steps, "scalars": scalars}
        server.send_sync(STEP, payload, server.client_id)
