"""The pack under the name `tbsd_pack`, as ComfyUI loads it (a package that sits nowhere on sys.path), and a real
ComfyUI server for the tests in comfy/ and web/, run by its own Python as users run it.

Found at $COMFYUI_PATH; where that is not set at ~/comfy/ComfyUI, or where the pack is installed under custom_nodes.
"""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACK_NAME = "tbsd-score-distillation"
BOOT_SECONDS = 180
RUN_SECONDS = 300

if "tbsd_pack" not in sys.modules:
    spec = importlib.util.spec_from_file_location(
        "tbsd_pack", ROOT / "__init__.py", submodule_search_locations=[str(ROOT)]
    )
    module = importlib.util.module_from_spec(spec)
    sys.modules["tbsd_pack"] = module
    spec.loader.exec_module(module)


@dataclass(frozen=True)
class ComfyUI:
    """A checkout and the Python that runs it."""

    path: Path
    python: str

    def environment(self) -> dict[str, str]:
        # one thread: tiny models on several threads are many times slower on a busy machine
        return {**os.environ, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}

    def run_script(self, script: Path, *arguments: object) -> dict:
        """Run one of the scripts in inside/ and return the JSON object that it prints last."""
        command = [self.python, str(script), str(self.path), str(ROOT), *map(str, arguments)]
        done = subprocess.run(command, env=self.environment(), capture_output=True, text=True, timeout=RUN_SECONDS)
        assert done.returncode == 0, done.stderr[-4000:]
        return json.loads(done.stdout.strip().splitlines()[-1])


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


def find_comfyui() -> ComfyUI | None:
    if os.environ.get("COMFYUI_PATH"):
        places = [Path(os.environ["COMFYUI_PATH"])]
    else:
        places = [Path.home() / "comfy" / "ComfyUI"]
        if ROOT.parent.name == "custom_nodes":
            places.append(ROOT.parent.parent)
    for place in places:
        if (place / "main.py").is_file() and (place / "comfy").is_dir():
            return ComfyUI(place.resolve(), find_python(place))
    return None


def find_python(path: Path) -> str:
    own = [path / folder / "bin" / "python" for folder in (".venv", "venv")]
    own += [path / folder / "Scripts" / "python.exe" for folder in (".venv", "venv")]
    found = [str(p) for p in own if p.is_file()]
    return os.environ.get("COMFYUI_PYTHON") or (found[0] if found else sys.executable)


@pytest.fixture(scope="session")
def comfyui() -> ComfyUI:
    found = find_comfyui()
    if found is None:
        pytest.skip("no ComfyUI: set COMFYUI_PATH to a checkout, or install one with `make comfyui`")
    return found


@pytest.fixture(scope="session")
def server(comfyui: ComfyUI, tmp_path_factory: pytest.TempPathFactory):
    with started(comfyui, tmp_path_factory.mktemp("comfyui")) as running:
        yield running


@pytest.fixture(scope="session")
def start_server():
    """`started`, for tests that stop a server of their own."""
    return started


@contextmanager
def started(comfyui: ComfyUI, base: Path) -> Iterator[Server]:
    """A server with this pack and nothing else, whose own folders are below the empty folder `base`."""
    for folder in ("models/checkpoints", "input", "output", "temp", "user/default", "custom_nodes"):
        (base / folder).mkdir(parents=True)
    # a first visit would cover the page with the template browser, and frontend 1.27.10 fails when it sets the mouse
    # before it knows these settings
    settings = {"Comfy.TutorialCompleted": True, "Comfy.InstalledVersion": "1.27.10"}
    settings |= {"Comfy.Canvas.LeftMouseClickBehavior": "panning", "Comfy.Canvas.MouseWheelScroll": "zoom"}
    (base / "user" / "default" / "comfy.settings.json").write_text(json.dumps(settings), encoding="utf-8")
    (base / "custom_nodes" / PACK_NAME).symlink_to(ROOT, target_is_directory=True)
    log = base / "server.log"
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    command = [comfyui.python, "main.py", "--cpu", "--listen", "127.0.0.1", "--port", str(port)]
    command += ["--base-directory", str(base), "--disable-auto-launch", "--disable-api-nodes"]
    command += ["--database-url", "sqlite:///:memory:"]
    if os.environ.get("COMFYUI_FRONTEND"):  # another one than the checkout asks for: the folder with its index.html
        command += ["--front-end-root", os.environ["COMFYUI_FRONTEND"]]
    with log.open("w") as out:
        process = subprocess.Popen(
            command, cwd=comfyui.path, env=comfyui.environment(), stdout=out, stderr=out, start_new_session=True
        )
    running = Server(f"http://127.0.0.1:{port}", base, log)
    try:
        wait_until_up(running, process)
        yield running
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()


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
