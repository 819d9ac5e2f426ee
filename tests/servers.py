"""Real ComfyUI servers with this pack, run by their own Python as users run them."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.hosts import ROOT, RUN_SECONDS, ComfyUI

PACK_NAME = "tbsd-score-distillation"
BOOT_SECONDS = 180


class RunError(AssertionError):
    """A prompt that ComfyUI refused or that failed; `details` is what it said."""

    def __init__(self, details: dict) -> None:
        super().__init__(json.dumps(details, indent=1)[:4000])
        self.details = details


@dataclass
class Server:
    """HTTP access to a running server."""

    url: str
    base: Path  # its folder with input/, output/, custom_nodes/
    log: Path
    launch: Callable[[], subprocess.Popen]
    process: subprocess.Popen | None = None

    def start(self) -> None:
        """Also once more on the same folders and port, after `kill`."""
        self.process = self.launch()
        wait_until_up(self, self.process)

    def kill(self) -> None:
        """As a power cut does."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(3)  # it would wait longer for open pages
        except subprocess.TimeoutExpired:
            self.kill()

    def request(self, path: str, payload: dict | None = None):
        body = None if payload is None else json.dumps(payload).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(self.url + path, data=body, headers=headers)
        with urllib.request.urlopen(request, timeout=60) as response:
            raw = response.read()
        try:
            return json.loads(raw)
        except ValueError:
            return raw

    def queue(self, prompt: dict) -> str:
        """Queue an API-format workflow; RunError with ComfyUI's answer if it does not validate."""
        try:
            return self.request("/prompt", {"prompt": prompt, "client_id": "tests"})["prompt_id"]
        except urllib.error.HTTPError as error:
            raise RunError(json.loads(error.read())) from None

    def history(self, prompt_id: str) -> dict | None:
        return self.request(f"/history/{prompt_id}").get(prompt_id)

    def wait(self, prompt_id: str, seconds: float = RUN_SECONDS) -> dict:
        """The history entry of a prompt once it has ended, however it ended."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            entry = self.history(prompt_id)
            if entry is not None and entry["status"].get("status_str"):
                return entry
            time.sleep(0.05)
        raise AssertionError(f"Still running after {seconds} s; the log ends with\n{self.log_tail()}")

    def wait_until_idle(self, seconds: float = 60) -> None:
        end = time.monotonic() + seconds
        while any(self.request("/queue").values()):
            assert time.monotonic() < end, f"Still running; the log ends with\n{self.log_tail()}"
            time.sleep(0.05)

    def takes(self, prompt: dict) -> None:
        """RunError unless a workflow validates; it is not run."""
        queued = self.queue(prompt)
        self.request("/queue", {"delete": [queued]})
        self.request("/interrupt", {})
        self.wait_until_idle()

    def run(self, prompt: dict) -> dict:
        """Outputs by node id of a workflow that must succeed."""
        entry = self.wait(self.queue(prompt))
        if entry["status"]["status_str"] != "success":
            raise RunError(dict(entry["status"]["messages"]).get("execution_error", entry["status"]))
        return entry["outputs"]

    def error(self, prompt: dict) -> str:
        """The message with which a workflow is refused, or fails while it runs."""
        with pytest.raises(RunError) as caught:
            self.run(prompt)
        details = caught.value.details
        refused = [error["details"] for node in details.get("node_errors", {}).values() for error in node["errors"]]
        return details.get("exception_message") or "\n".join(refused)

    def file(self, saved: dict) -> Path:
        """The path of a file that a node's ui names."""
        return self.base / saved["type"] / saved["subfolder"] / saved["filename"]

    def log_tail(self) -> str:
        return self.log.read_text(errors="replace")[-4000:]


def templates(of_real_models: bool = False) -> list[str]:
    """Names of the shipped workflows: those on the demo model, or those that need a checkpoint."""
    names = sorted(path.stem for path in (ROOT / "workflows").glob("*.json"))
    return [name for name in names if any(word in name for word in (" with SD", " with Stable")) == of_real_models]


@contextmanager
def started(comfyui: ComfyUI, base: Path, on_gpu: bool = False, pack: Path = ROOT) -> Iterator[Server]:
    """A server with this pack, or the one in another folder, and nothing else. Its own folders are below the empty
    folder `base`."""
    models = ("models/checkpoints", "models/controlnet")
    for folder in (*models, "input", "output", "temp", "user/default", "custom_nodes"):
        (base / folder).mkdir(parents=True)
    # a first visit would cover the page with the template browser, and frontend 1.27.10 fails when it sets the mouse
    # before it knows these settings
    installed = comfyui.installed("comfyui-frontend-package")
    settings = {"Comfy.TutorialCompleted": True, "Comfy.InstalledVersion": installed}
    settings |= {"LiteGraph.Canvas.MaximumFPS": 10}
    settings |= {"Comfy.Canvas.LeftMouseClickBehavior": "panning", "Comfy.Canvas.MouseWheelScroll": "zoom"}
    (base / "user" / "default" / "comfy.settings.json").write_text(json.dumps(settings), encoding="utf-8")
    (base / "custom_nodes" / PACK_NAME).symlink_to(pack, target_is_directory=True)
    log = base / "server.log"
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    command = [comfyui.python, "main.py", *([] if on_gpu else ["--cpu"]), "--listen", "127.0.0.1", "--port", str(port)]
    command += ["--base-directory", str(base), "--disable-auto-launch", "--disable-api-nodes"]
    command += ["--database-url", "sqlite:///:memory:"]
    if os.environ.get("COMFYUI_FRONTEND"):  # another one than the checkout asks for: the folder with its index.html
        command += ["--front-end-root", os.environ["COMFYUI_FRONTEND"]]

    def launch() -> subprocess.Popen:
        with log.open("a") as out:
            return subprocess.Popen(
                command,
                cwd=comfyui.path,
                env=comfyui.environment(on_gpu),
                stdout=out,
                stderr=out,
                start_new_session=True,
            )

    running = Server(f"http://127.0.0.1:{port}", base, log, launch)
    try:
        running.start()
        yield running
    finally:
        running.stop()


def wait_until_up(server: Server, process: subprocess.Popen) -> None:
    end = time.monotonic() + BOOT_SECONDS
    while time.monotonic() < end:
        if process.poll() is not None:
            raise RuntimeError(f"ComfyUI ended with code {process.returncode}:\n{server.log_tail()}")
        try:
            server.request("/system_stats")
            return
        except OSError:
            time.sleep(0.2)
    raise RuntimeError(f"ComfyUI did not answer within {BOOT_SECONDS} s:\n{server.log_tail()}")
