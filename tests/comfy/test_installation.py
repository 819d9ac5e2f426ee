"""Installing the pack leaves its host as it is."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def pip(comfyui, *arguments: str) -> subprocess.CompletedProcess:
    command = [comfyui.python, "-m", "pip", "--disable-pip-version-check", "--no-input", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_the_requirements_change_no_installed_version(comfyui):
    """pip says what it would install into ComfyUI's Python: nothing that is there already in another version."""
    listed = pip(comfyui, "list", "--format", "json")
    assert listed.returncode == 0, listed.stderr
    there = {package["name"].lower().replace("_", "-"): package["version"] for package in json.loads(listed.stdout)}
    assert {"torch", "numpy", "transformers", "safetensors"} <= there.keys()
    wanted = pip(comfyui, "install", "--dry-run", "--quiet", "--report", "-", "-r", str(ROOT / "requirements.txt"))
    if wanted.returncode != 0:
        pytest.skip(f"pip finds no package index: {wanted.stderr.strip()[-200:]}")
    new = {
        entry["metadata"]["name"].lower().replace("_", "-"): entry["metadata"]["version"]
        for entry in json.loads(wanted.stdout)["install"]
    }
    assert {name: (there[name], version) for name, version in new.items() if name in there} == {}


def test_no_requirement_is_pinned_or_one_of_the_hosts_own():
    lines = [line.split("#")[0].strip() for line in (ROOT / "requirements.txt").read_text().splitlines()]
    wanted = [line for line in lines if line]
    assert wanted and not [line for line in wanted if "==" in line or "<" in line or "~=" in line]
    names = {line.split(">")[0].split("[")[0].strip().lower() for line in wanted}
    assert not names & {"torch", "torchvision", "transformers"}
