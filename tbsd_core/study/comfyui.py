"""The HTTP interface of ComfyUI servers that the user has named: the one file here that talks to a network."""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request
from http.client import HTTPException
from typing import Any

TIMEOUT = 10.0  # seconds without an answer
MAX_ANSWER = 512 * 2**20  # bytes
GONE = (OSError, HTTPException)  # what a server that does not answer raises (URLError and timeouts are OSErrors)


class Refused(ValueError):
    """A request that the server answered with an error; it would do so again."""


class ComfyUIServer:
    """One server. Every method raises an error of GONE if it does not answer, Refused if it says no."""

    def __init__(self, url: str) -> None:
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"A server is given as http://HOST:PORT, got {url!r}.")
        self.url = url.rstrip("/")

    def queue(self, workflow: dict[str, Any]) -> str:
        """Queue a workflow in API format; returns the id of its run."""
        answer = self._json("/prompt", {"prompt": workflow, "client_id": "tbsd_sweep"})
        if not isinstance(answer, dict) or not isinstance(answer.get("prompt_id"), str):
            raise Refused(f"{self.url} answered /prompt without an id: is it ComfyUI?")
        return answer["prompt_id"]

    def history(self, run: str) -> dict[str, Any] | None:
        """The results of a run that has ended, or None."""
        answer = self._json(f"/history/{urllib.parse.quote(run)}")
        return answer.get(run) if isinstance(answer, dict) else None

    def queued(self) -> tuple[set[str], set[str]]:
        """The ids of running and of waiting runs."""
        answer = self._json("/queue")
        running, waiting = ({str(item[1]) for item in answer.get(f"queue_{k}", [])} for k in ("running", "pending"))
        return running, waiting

    def describe(self, node_class: str) -> dict[str, Any]:
        """The inputs and outputs of a node class."""
        answer = self._json(f"/object_info/{urllib.parse.quote(node_class)}")
        if node_class not in answer:
            raise Refused(f"{self.url} has no node {node_class}: is this pack installed there?")
        return answer[node_class]

    def file(self, name: str, subfolder: str, kind: str) -> bytes:
        """A file that a run has left."""
        query = urllib.parse.urlencode({"filename": name, "subfolder": subfolder, "type": kind})
        return self._request(f"/view?{query}")

    def cancel(self, run: str) -> None:
        """Take a run out of the queue, or stop it if it is the one under way."""
        self._request("/queue", {"delete": [run]})
        if run in self.queued()[0]:  # older servers stop whatever runs
            self._request("/interrupt", {"prompt_id": run})

    def _json(self, path: str, payload: dict[str, Any] | None = None) -> Any:
        raw = self._request(path, payload)
        try:
            return json.loads(raw)
        except ValueError:
            raise Refused(f"{self.url}{path} did not answer with JSON: is it ComfyUI?") from None

    def _request(self, path: str, payload: dict[str, Any] | None = None) -> bytes:
        body = None if payload is None else json.dumps(payload).encode()
        request = urllib.request.Request(self.url + path, body, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
                raw = response.read(MAX_ANSWER + 1)
        except urllib.error.HTTPError as error:
            raise Refused(f"{self.url}{path} said {error.code}: {_reason(error.read(10_000))}") from None
        if len(raw) > MAX_ANSWER:
            raise Refused(f"{self.url}{path} sent more than {MAX_ANSWER} bytes.")
        return raw


def _reason(raw: bytes) -> str:
    """ComfyUI's reasons for refusing a workflow, in one line."""
    text = raw.decode(errors="replace")
    try:
        stored = json.loads(text)
        details = [
            f"{node['class_type']}: {error['message']} ({error['details']})"
            for node in stored["node_errors"].values()
            for error in node["errors"]
        ]
        return "; ".join(details) or stored["error"]["message"]
    except (ValueError, KeyError, TypeError, AttributeError):
        return " ".join(text.split())[:300]
