"""Names and payloads of the messages to the browser (mirrored by web/js/events.js)."""

from __future__ import annotations

from .compat import running_server

STEP = "tbsd.step"
"""A run has moved or changed its status: what `Run.event` gives; below 2 KB."""


def send_step(event: dict) -> None:
    """Tell every open browser tab (each knows which nodes are its own); silent where no server runs."""
    server = running_server()
    if server is not None:
        server.send_sync(STEP, event)
