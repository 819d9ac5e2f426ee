"""A pool of running ComfyUI servers: one job in each queue; one that stops answering gives its job to the others."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ..experiment.results import REPORT
from .comfyui import GONE, ComfyUIServer, Refused
from .jobs import Job, slug
from .pool import Outcome, Task, only

POLL, PATIENCE = 0.2, 1.0  # seconds
SILENCES = 3  # requests in a row without an answer, after which a server counts as gone
PAUSE = 1.0  # seconds between them


@dataclass
class _Running:
    index: int
    job: Job
    run: str
    start: float
    absent: int = 0  # times that the server knew nothing of it


class ServerPool:
    """It takes tasks with a single job. See pool.Pool. A server that is gone is not asked again in this sweep."""

    def __init__(self, servers: Sequence[ComfyUIServer], on_note: Callable[[str], None] = lambda text: None) -> None:
        self._servers = list(servers)
        self._running: dict[str, _Running] = {}
        self._silent: dict[str, int] = {}
        self._ended: list[Outcome] = []
        self._on_note = on_note

    def room(self) -> int:
        return len(self._servers) - len(self._running)

    def submit(self, task: Task) -> None:
        index, job = only(task)
        server = next(server for server in self._servers if server.url not in self._running)
        try:
            run = server.queue(job.config["workflow"])
        except Refused as error:
            self._ended.append(Outcome(index, error=str(error), again=False))
        except GONE as error:
            self._lose(server, error, index)
        else:
            self._running[server.url] = _Running(index, job, run, time.monotonic())

    def _lose(self, server: ComfyUIServer, error: Exception, index: int) -> None:
        self._servers.remove(server)
        self._running.pop(server.url, None)
        self._on_note(f"{server.url} does not answer ({error}); {len(self._servers)} left")
        self._ended.append(Outcome(index, error=f"{server.url} is gone", given_back=True))

    def wait(self) -> list[Outcome]:
        end = time.monotonic() + PATIENCE
        while True:
            for server in list(self._servers):
                if server.url in self._running:
                    self._look(server, self._running[server.url])
            ended, self._ended = self._ended, []
            if not self._servers:
                raise RuntimeError("No ComfyUI server answers any more.")
            if ended or time.monotonic() > end:
                return ended
            time.sleep(POLL)

    def _look(self, server: ComfyUIServer, running: _Running) -> None:
        try:
            outcome = self._outcome(server, running)
        except GONE as error:
            self._silent[server.url] = self._silent.get(server.url, 0) + 1
            if self._silent[server.url] >= SILENCES:
                self._lose(server, error, running.index)
            else:
                time.sleep(PAUSE)
            return
        except Refused as error:
            outcome = Outcome(running.index, error=str(error))
        self._silent[server.url] = 0
        if outcome is not None:
            del self._running[server.url]
            self._ended.append(outcome)

    def _outcome(self, server: ComfyUIServer, running: _Running) -> Outcome | None:
        """How a run ended; None while it is under way."""
        entry = server.history(running.run)
        if entry is None or not entry.get("status", {}).get("status_str"):
            known = entry is not None or running.run in set.union(*server.queued())
            running.absent = 0 if known else running.absent + 1
            # between queue and history there is a moment in which a run is in neither
            if running.absent < 5:
                return None
            return Outcome(running.index, error=f"{server.url} has forgotten it (restarted?)", given_back=True)
        if entry["status"]["status_str"] != "success":
            return Outcome(running.index, error=_failure(entry))
        files = fetched(server, entry.get("outputs", {}))
        if not files:
            return Outcome(running.index, error="the workflow has saved no file", again=False)
        report = {
            "config": running.job.config,
            "metrics": {},
            "seconds": {"total": time.monotonic() - running.start},
            "server": server.url,
            "files": sorted([*files, REPORT]),
        }
        return Outcome(running.index, {**files, REPORT: (json.dumps(report, indent=2) + "\n").encode()})

    def close(self) -> None:
        for server in self._servers:
            running = self._running.get(server.url)
            if running is not None:
                try:
                    server.cancel(running.run)
                except (*GONE, Refused) as error:
                    self._on_note(f"{server.url}: its last run could not be cancelled ({error})")
        self._running = {}


def _failure(entry: dict[str, Any]) -> str:
    for kind, details in entry["status"].get("messages", []):
        if kind == "execution_error":
            return f"{details.get('node_type')}: {str(details.get('exception_message')).strip()}"
    return f"the run ended with {entry['status']['status_str']}"


def fetched(server: ComfyUIServer, outputs: dict[str, Any]) -> dict[str, bytes]:
    """Every file that the nodes of a run name, under a name of its own."""
    files: dict[str, bytes] = {}
    for node, shown in outputs.items():
        for saved in (item for items in shown.values() if isinstance(items, list) for item in items):
            if not isinstance(saved, dict) or not isinstance(saved.get("filename"), str):
                continue
            content = server.file(saved["filename"], str(saved.get("subfolder", "")), str(saved.get("type", "output")))
            stem, dot, suffix = saved["filename"].rpartition(".")
            name = f"{slug(stem)}.{slug(suffix)}" if dot else slug(suffix)  # never the server's word as a path
            if name in files or name == REPORT:
                name = f"{slug(node)}_{len(files)}_{name}"
            files[name] = content
    return files
