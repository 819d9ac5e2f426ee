"""gpu-check.json and gpu-check.md, written anew whenever a case ends."""

from __future__ import annotations

import datetime
import json
import platform
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from tbsd_core.atomic import atomic_path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("diffusers", "transformers", "nerfacc", "gsplat")
NAME = "gpu-check"
MORE = {"failed": "Failures", "skipped": "Skipped"}


class Report:
    """Results by step and case, and the files that hold them.

    Args:
        folders: names by the folders that they stand for: no path of the machine gets into the files.
    """

    def __init__(self, folder: Path, environment: dict[str, Any], folders: dict[Path, str]) -> None:
        self.folder, self._folders = folder, folders
        self.data: dict[str, Any] = {"environment": environment, "steps": {}}
        folder.mkdir(parents=True, exist_ok=True)
        try:
            before = json.loads((folder / f"{NAME}.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return
        if undated(before.get("environment", {})) == undated(environment):  # a check that is run in parts
            self.data["steps"] = before["steps"]

    def begin(self, step: str, title: str) -> None:
        self.data["steps"][step] = {"title": title, "status": "running", "cases": {}}
        self.save()

    def add_case(self, step: str, name: str, entry: dict[str, Any]) -> None:
        self.data["steps"][step]["cases"][name] = entry
        self.save()
        print(f"  {name}: {summary(entry)}", flush=True)

    def end(self, step: str, seconds: float, **entry: Any) -> None:
        """A step is as good as its worst case; `entry` holds the error that ended it early."""
        found = self.data["steps"][step]
        states = {case["status"] for case in found["cases"].values()} | {entry.get("status", "skipped")}
        status = next(state for state in ("failed", "ok", "skipped") if state in states)
        found |= {**entry, "status": status, "seconds": round(seconds, 1)}
        self.save()

    def save(self) -> None:
        text = anonymous(json.dumps(self.data, indent=1, default=str), self._folders) + "\n"
        for name, content in ((f"{NAME}.json", text), (f"{NAME}.md", markdown(json.loads(text)))):
            with atomic_path(self.folder / name) as path:
                path.write_text(content, encoding="utf-8")


def anonymous(text: str, folders: Mapping[Path, str]) -> str:
    """`text` without the paths of this machine; `folders`: names by what they stand for."""
    known = {**folders, Path(sys.prefix): "PYTHON", Path(tempfile.gettempdir()): "TMP", Path.home(): "HOME"}
    for folder in sorted(known, key=lambda folder: -len(str(folder))):
        if len(str(folder)) > 1:
            text = text.replace(json.dumps(str(folder))[1:-1], known[folder])
    return text


def undated(environment: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in environment.items() if key != "date"}


def environment(device: str, quick: bool, host: Mapping[str, str | None]) -> dict[str, Any]:
    """The machine and the versions of the results; `host` holds the facts about ComfyUI."""
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    found: dict[str, Any] = {
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "pack": re.findall(r'^version = "(.+)"$', project, re.MULTILINE)[0],
        **host,
        "device": device,
        "quick": quick,
        "python": platform.python_version(),
        "system": platform.system(),
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
    }
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    if device == "cuda":
        card = torch.cuda.get_device_properties(0)
        found |= {
            "card": card.name,
            "compute capability": f"{card.major}.{card.minor}",
            "memory GiB": round(card.total_memory / 2**30, 1),
            "driver": driver(),
        }
    return found


def driver() -> str | None:
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=30).stdout.splitlines()[0].strip()
    except (OSError, subprocess.SubprocessError, IndexError):
        return None


def summary(entry: dict[str, Any]) -> str:
    values = ", ".join(f"{key} {shown(value)}" for key, value in entry.get("values", {}).items())
    parts = (entry["status"], entry.get("reason"), entry.get("error"), values)
    return ": ".join(str(part) for part in parts if part)


def shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else "" if value is None else str(value)


def markdown(data: dict[str, Any]) -> str:
    lines = ["# GPU check", "", *(f"- {key}: {shown(value)}" for key, value in data["environment"].items()), ""]
    lines += ["| step | result | seconds | ok | failed | skipped |", "|---|---|---|---|---|---|"]
    for name, step in data["steps"].items():
        counts = [sum(c["status"] == state for c in step["cases"].values()) for state in ("ok", "failed", "skipped")]
        lines.append(f"| {name} | {step['status']} | {shown(step.get('seconds'))} | {' | '.join(map(str, counts))} |")
    for name, step in data["steps"].items():
        lines += ["", f"## {name}: {step['title']}", ""]
        lines += [cell(step[key]) for key in ("reason", "error") if key in step]
        lines += table(step["cases"])
        for status, title in MORE.items():
            rest = {k: c for k, c in step["cases"].items() if c["status"] == status}
            if rest:
                lines += ["", f"{title}:", ""]
                lines += [f"- {k}: {cell(c.get('reason') or c.get('error'))}" for k, c in rest.items()]
    return "\n".join(lines) + "\n"


def table(cases: dict[str, Any]) -> list[str]:
    """The values of the cases that have some."""
    measured = {name: case for name, case in cases.items() if case.get("values")}
    columns = list(dict.fromkeys(key for case in measured.values() for key in case["values"]))
    if not columns:
        return []
    lines = ["| case | result | " + " | ".join(columns) + " |", "|---" * (len(columns) + 2) + "|"]
    for name, case in measured.items():
        cells = [cell(shown(case["values"].get(key))) for key in columns]
        lines.append(f"| {name} | {case['status']} | " + " | ".join(cells) + " |")
    return lines


def cell(text: Any) -> str:
    return " ".join(str(text).replace("|", "/").split())[:500]
