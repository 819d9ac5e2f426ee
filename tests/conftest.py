"""The pack under the name `tbsd_pack`, as ComfyUI loads it (a package that sits nowhere on sys.path), and real
ComfyUI servers for the tests in comfy/ and web/, run by their own Python as users run them.

A test that asks for `comfyui` or `server` runs on every checkout: $COMFYUI_PATHS, a list like PATH, or $COMFYUI_PATH, a
single one. Where neither is set they are looked for in PLACES, and where the pack is installed under custom_nodes.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACK_NAME = "tbsd-score-distillation"
BOOT_SECONDS = 180
RUN_SECONDS = 300
collect_ignore = ["contributions"]  # what test_contributing.py adds to a copy
# begun first, so that no process is left alone with one of them at the end
LONG = ("test_browser", "test_panels", "test_templates", "test_workflows", "test_parity", "test_sweep")
PLACES = ("~/comfy/ComfyUI", "~/comfy33/ComfyUI")  # the maintained host, the reference host

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
    name: str  # its version; numbered where two checkouts are of one version

    def __str__(self) -> str:
        frontend, torch = map(self.installed, ("comfyui-frontend-package", "torch"))
        return f"ComfyUI {self.name} (frontend {frontend}, torch {torch}) at {self.path}"

    def installed(self, package: str) -> str:
        """The version of a package in the host's Python."""
        code = f"from importlib.metadata import version; print(version({package!r}))"
        done = subprocess.run([self.python, "-c", code], capture_output=True, text=True, timeout=60)
        return done.stdout.strip() or "missing"

    @property
    def version(self) -> tuple[int, ...]:
        return tuple(map(int, self.name.split("#")[0].split(".")))

    def environment(self, on_gpu: bool = False) -> dict[str, str]:
        if on_gpu:
            return dict(os.environ)
        # one thread: tiny models on several threads are many times slower on a busy machine
        return {**os.environ, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}

    def run_script(self, script: Path, *arguments: object, alone: bool = False) -> dict:
        """Run one of the scripts in inside/ and return the JSON object that it prints last.

        Args:
            alone: in a process of its own, for what imports ComfyUI in another way than the others.
        """
        given = [str(self.path), str(ROOT), *map(str, arguments)]
        if alone or not hasattr(os, "fork"):
            command = [self.python, str(script), *given]
            done = subprocess.run(command, env=self.environment(), capture_output=True, text=True, timeout=RUN_SECONDS)
            code, out, err = done.returncode, done.stdout, done.stderr
        else:
            if self.name not in _warm:
                _warm[self.name] = Warm(self)
            code, out, err = _warm[self.name].run(script, given)
        assert code == 0, err[-4000:]
        return json.loads(out.strip().splitlines()[-1])


class Warm:
    """A process that has imported what the scripts in inside/ import, and forks for each."""

    def __init__(self, comfyui: ComfyUI) -> None:
        self.folder, self.name = tempfile.TemporaryDirectory(), comfyui.name
        command = [comfyui.python, str(ROOT / "tests/comfy/inside/warm.py"), str(comfyui.path), str(ROOT)]
        with open(Path(self.folder.name) / "warm.log", "w") as log:
            self.process = subprocess.Popen(
                command,
                env=comfyui.environment(),
                text=True,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
        while (line := self.answer()) != "ready\n":  # after what ComfyUI prints
            assert line, (Path(self.folder.name) / "warm.log").read_text(errors="replace")[-4000:]

    def run(self, script: Path, arguments: list[str]) -> tuple[int, str, str]:
        out, err = (Path(self.folder.name) / name for name in ("out", "err"))
        order = {"script": str(script), "arguments": arguments, "out": str(out), "err": str(err)}
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        line = self.answer()
        if not line:
            _warm.pop(str(self.name), None)
            raise AssertionError(f"{script} did not end in {RUN_SECONDS} s: {err.read_text(errors='replace')[-4000:]}")
        code = int(line)
        return code, out.read_text(errors="replace"), err.read_text(errors="replace")

    def answer(self) -> str:
        """The next line; "" once the process has ended."""
        timer = threading.Timer(RUN_SECONDS, self.stop)
        timer.start()
        try:
            return self.process.stdout.readline()
        finally:
            timer.cancel()

    def stop(self) -> None:
        """With the script that it runs."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


_warm: dict[str, Warm] = {}  # by the name of the host


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


def wanted_places() -> list[Path]:
    if os.environ.get("COMFYUI_PATHS"):
        return [Path(place) for place in os.environ["COMFYUI_PATHS"].split(os.pathsep) if place]
    if os.environ.get("COMFYUI_PATH"):
        return [Path(os.environ["COMFYUI_PATH"])]
    found = [Path(place).expanduser() for place in PLACES]
    if ROOT.parent.name == "custom_nodes":
        found.append(ROOT.parent.parent)
    return [place for place in found if is_checkout(place)]


def is_checkout(place: Path) -> bool:
    return (place / "main.py").is_file() and (place / "comfy").is_dir()


def find_comfyuis() -> list[ComfyUI]:
    paths = dict.fromkeys(place.resolve() for place in wanted_places() if is_checkout(place))
    found: list[ComfyUI] = []
    for path in paths:
        version = read_version(path)
        number = 1 + sum(host.name.split("#")[0] == version for host in found)
        found.append(ComfyUI(path, find_python(path), version if number == 1 else f"{version}#{number}"))
    return found


def read_version(path: Path) -> str:
    found = re.search(r'__version__ = "(.+)"', (path / "comfyui_version.py").read_text(encoding="utf-8"))
    if found is None:
        raise RuntimeError(f"{path} does not say which version of ComfyUI it is")
    return found[1]


def find_comfyui() -> ComfyUI | None:
    """The first one, for whom one is enough."""
    return next(iter(find_comfyuis()), None)


def find_python(path: Path) -> str:
    """$COMFYUI_PYTHON speaks of $COMFYUI_PATH alone."""
    own = [path / folder / "bin" / "python" for folder in (".venv", "venv")]
    own += [path / folder / "Scripts" / "python.exe" for folder in (".venv", "venv")]
    found = [str(p) for p in own if p.is_file()]
    is_one = os.environ.get("COMFYUI_PATH") and not os.environ.get("COMFYUI_PATHS")
    return (os.environ.get("COMFYUI_PYTHON") if is_one else None) or (found[0] if found else sys.executable)


HOSTS = find_comfyuis()


def describe_hosts() -> list[str]:
    missing = [f"no ComfyUI at {place}" for place in wanted_places() if not is_checkout(place)]
    return [*map(str, HOSTS), *missing] or ["no ComfyUI found: set COMFYUI_PATH, or install one with `make comfyui`"]


def pytest_report_header() -> list[str]:
    return [f"on {line}" for line in describe_hosts()]


def pytest_terminal_summary(terminalreporter) -> None:
    terminalreporter.section("ComfyUI")
    for line in describe_hosts():
        terminalreporter.write_line(line)
    for host in (host.name for host in HOSTS):
        counts = {
            outcome: sum(("host", host) in getattr(report, "user_properties", []) for report in reports)
            for outcome, reports in terminalreporter.stats.items()
            if outcome in ("passed", "failed", "error", "skipped")
        }
        terminalreporter.write_line(f"{host}: " + (", ".join(f"{n} {k}" for k, n in counts.items() if n) or "no test"))


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("ComfyUI")
    group.addoption("--slow", action="store_true", help="also the tests with the mark slow")
    group.addoption("--hosts", choices=("some", "all"), default="some", help="all: those with the mark once on each")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "since(version): only on a ComfyUI of this version or a newer one")
    config.addinivalue_line("markers", "once: on the newest ComfyUI alone, or on each with --hosts all")
    config.addinivalue_line("markers", "slow: with --slow alone; a shorter test sees the same thing from nearer by")


@pytest.hookimpl(trylast=True)  # after pytest has put the tests of one fixture together
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Host by host, so that each process boots a host's server once; what needs no host last, as it is short."""
    left_out = {item for item in items if is_too_new(item) or is_seen_elsewhere(item) or is_too_slow(item)}
    items[:] = [item for item in items if item not in left_out]
    config.hook.pytest_deselected(items=list(left_out))
    for item in items:
        host = host_of(item)
        if host is not None:
            item.user_properties.append(("host", host.name))

    def place(item: pytest.Item) -> tuple[int, bool]:
        host = host_of(item)
        return len(HOSTS) if host is None else HOSTS.index(host), item.path.stem not in LONG

    items.sort(key=place)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log):
    """With `--dist loadfile` one process has the tests of a file on one host, in the order above; it has all of an
    older host, which are few, so that the other one does not boot that host as well.

    xdist's own groups, which a mark names, are lost with pytest 9.2.
    """
    if config.getvalue("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadScopeScheduling

    class HostAndFile(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file, _, test = nodeid.partition("::")
            named = [host.name for host in HOSTS if re.search(rf"[\[-]{re.escape(host.name)}[]-]", test)]
            if named and named[0] != newest and config.option.hosts != "all":
                return named[0]
            return " ".join([file, *named])

    config.option.loadscopereorder = False
    newest = max(HOSTS, key=lambda host: host.version).name if HOSTS else ""
    return HostAndFile(config, log)


def is_too_new(item: pytest.Item) -> bool:
    """Whether a test is about something that its host does not have yet."""
    mark, host = item.get_closest_marker("since"), host_of(item)
    return mark is not None and host is not None and host.version < tuple(map(int, mark.args[0].split(".")))


def is_seen_elsewhere(item: pytest.Item) -> bool:
    """Whether a long test, of what the versions do not differ in, is made on a newer host."""
    host = host_of(item)
    if host is None or item.get_closest_marker("once") is None or item.config.option.hosts == "all":
        return False
    return host is not max(HOSTS, key=lambda host: host.version)


def is_too_slow(item: pytest.Item) -> bool:
    return item.get_closest_marker("slow") is not None and not item.config.option.slow


def host_of(item: pytest.Item) -> ComfyUI | None:
    """The host that a test runs on; None if it needs none."""
    call = getattr(item, "callspec", None)
    return None if call is None else call.params.get("comfyui")


@pytest.fixture(scope="session", params=HOSTS or [None], ids=lambda host: host.name if host else "no host")
def comfyui(request: pytest.FixtureRequest) -> Iterator[ComfyUI]:
    if request.param is None:
        pytest.skip("no ComfyUI: set COMFYUI_PATH to a checkout, or install one with `make comfyui`")
    yield request.param
    if request.param.name in _warm:
        _warm.pop(request.param.name).stop()


@pytest.fixture(scope="session")
def comfyuis() -> Iterator[list[ComfyUI]]:
    """All of them, for a test that compares them."""
    yield HOSTS
    while _warm:
        _warm.popitem()[1].stop()


@pytest.fixture(scope="session")
def server(comfyui: ComfyUI, tmp_path_factory: pytest.TempPathFactory):
    with started(comfyui, tmp_path_factory.mktemp("comfyui")) as running:
        yield running


@pytest.fixture(scope="session")
def checkpoint_of(comfyui: ComfyUI, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """By the name of a family: a checkpoint of random weights in its shape, made once for all hosts and processes."""
    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "checkpoints"
    folder.mkdir(exist_ok=True)

    def of(family: str) -> Path:
        path = folder / f"{family}.safetensors"
        if not path.exists():
            new = folder / f"{family}.{os.getpid()}.safetensors"
            comfyui.run_script(ROOT / "tests" / "comfy" / "inside" / "checkpoint.py", new, family)
            new.replace(path)
        return path

    return of


@pytest.fixture
def asked_for(server: Server) -> Iterator[list[Path]]:
    """Empty files of the names that templates of real models ask for, as the host's lists show them."""
    from PIL import Image

    graphs = [json.loads(path.read_text(encoding="utf-8")) for path in (ROOT / "workflows").glob("* with S*.json")]
    models = [model for graph in graphs for node in graph["nodes"] for model in node["properties"].get("models", [])]
    files = sorted({server.base / "models" / model["directory"] / model["name"] for model in models})
    Image.new("RGB", (64, 64), "gray").save(server.base / "input" / "example.png")  # which every ComfyUI has
    for file in files:
        file.parent.mkdir(exist_ok=True)
        file.touch()
    yield files
    for file in files:
        file.unlink()


@pytest.fixture(scope="session")
def outside_glb(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A mesh as another program writes it: two boxes, scaled by 30 and moved, each with a PBR material of its own and
    texture coordinates in which no two triangles overlap."""
    import numpy as np
    import trimesh
    from PIL import Image

    move, scene = trimesh.transformations.translation_matrix, trimesh.Scene()
    n = np.arange(12)[:, None, None]
    cells = np.concatenate([n % 4, n // 4], -1) / 4 + [[0.03, 0.03], [0.22, 0.03], [0.03, 0.22]]
    for i, name in enumerate(("Wood", "Steel")):
        numbers = np.random.default_rng(i).integers(0, 256, (4, 8, 8, 3), dtype=np.uint8)
        base, packed, normal, glow = (Image.fromarray(x).resize((64, 64), Image.Resampling.BICUBIC) for x in numbers)
        maps = {"metallicRoughnessTexture": packed, "normalTexture": normal, "emissiveTexture": glow}
        factors = {"metallicFactor": 0.5, "roughnessFactor": 0.75, "emissiveFactor": [1.0, 0.5, 0.25]}
        look = trimesh.visual.material.PBRMaterial(name=name, baseColorTexture=base, **maps, **factors)
        box = trimesh.creation.box((1, 1 + i, 1))
        corners, faces = box.vertices[box.faces].reshape(-1, 3), np.arange(36).reshape(12, 3)
        visual = trimesh.visual.TextureVisuals(uv=cells.reshape(-1, 2), material=look)
        made = trimesh.Trimesh(corners, faces, visual=visual, process=False)
        scene.add_geometry(made, transform=move((100, 5, -50)) @ np.diag((30, 30, 30, 1)) @ move((1.2 * i, 0, 0)))
    path = tmp_path_factory.mktemp("outside") / "outside.glb"
    scene.export(path)
    return path


@pytest.fixture(scope="session")
def start_server():
    """`started`, for tests that stop a server of their own."""
    return started


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


def install_requirements() -> None:
    """Into the Python of every host, as ComfyUI-Manager does when it installs the pack."""
    if not HOSTS:
        print(*describe_hosts(), "The tests that need one will be skipped.", sep="\n")
    for host in HOSTS:
        print(f"Installing the pack's requirements for {host}")
        command = [host.python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"]
        if subprocess.run([*command, str(ROOT / "requirements.txt")]).returncode != 0:
            raise SystemExit(f"The requirements could not be installed for {host}")


if __name__ == "__main__":
    install_requirements()
