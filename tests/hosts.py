"""The checkouts of ComfyUI that tests run on: $COMFYUI_PATHS, a list like PATH, or $COMFYUI_PATH, a single one. Where
neither is set they are looked for in PLACES, and where the pack is installed under custom_nodes.

`python -m tests.hosts` installs the pack's requirements for each.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RUN_SECONDS = 300
PLACES = ("~/comfy/ComfyUI", "~/comfy33/ComfyUI")  # the maintained host, the reference host


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


def stop_warm(comfyui: ComfyUI) -> None:
    """End the process that runs a host's scripts, if there is one."""
    if comfyui.name in _warm:
        _warm.pop(comfyui.name).stop()


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
