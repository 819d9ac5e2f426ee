"""The pack under the name `tbsd_pack`, as ComfyUI loads it, and the pretend device."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "tests" / "rehearsal"))

import device  # noqa: E402,F401

spec = importlib.util.spec_from_file_location("tbsd_pack", ROOT / "__init__.py", submodule_search_locations=[str(ROOT)])
module = importlib.util.module_from_spec(spec)
sys.modules["tbsd_pack"] = module
spec.loader.exec_module(module)
