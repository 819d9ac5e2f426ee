"""The browser side without a browser: its pure modules under Node, and its types."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TYPESCRIPT = "typescript@5.9"


def node() -> str:
    found = shutil.which("node")
    if found is None:
        pytest.skip("no Node.js: the browser modules are not tested")
    version = subprocess.run([found, "--version"], capture_output=True, text=True, check=True).stdout
    if int(version.strip().lstrip("v").split(".")[0]) < 20:
        pytest.skip(f"Node.js {version.strip()} is older than 20, whose test runner is needed")
    return found


def test_the_pure_modules_do_what_they_say():
    files = sorted(str(p) for p in (ROOT / "tests" / "web" / "model").glob("*.test.js"))
    done = subprocess.run([node(), "--test", *files], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout[-6000:]
    passed = re.search(r"pass (\d+)", done.stdout)
    assert passed is not None and int(passed[1]) >= 20


def test_the_types_fit():
    node()
    npx = shutil.which("npx")
    if npx is None:
        pytest.skip("no npx: the types of the browser modules are not checked")
    # from the cache where it is installed; a machine without a registry skips
    environment = {**os.environ, "npm_config_update_notifier": "false", "npm_config_fetch_retries": "0"}
    command = [npx, "--yes", "--prefer-offline", "--package", TYPESCRIPT, "tsc"]
    present = subprocess.run([*command, "--version"], capture_output=True, text=True, env=environment, timeout=120)
    if present.returncode != 0:
        pytest.skip(f"{TYPESCRIPT} cannot be installed: {present.stderr.strip()[-200:]}")
    project = str(ROOT / "tests" / "web")
    done = subprocess.run([*command, "-p", project], capture_output=True, text=True, env=environment, timeout=120)
    assert done.returncode == 0, done.stdout[-6000:]


def test_every_module_is_checked_and_only_extensions_act_on_import():
    for path in sorted((ROOT / "web" / "js").glob("*.js")):
        text = path.read_text(encoding="utf-8")
        assert text.startswith("// @ts-check\n"), path.name
        assert "prototype" not in text and "https://" not in text and "http://" not in text, path.name
        assert ("registerExtension" in text) == (path.name in ("tbsd.js", "notes_view.js", "upload.js"))
