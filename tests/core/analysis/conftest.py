from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

# importlib import mode has no sibling imports: register what these tests share under a name of its own
if "analysis_gaussian" not in sys.modules:
    spec = importlib.util.spec_from_file_location("analysis_gaussian", Path(__file__).with_name("_gaussian.py"))
    module = importlib.util.module_from_spec(spec)
    sys.modules["analysis_gaussian"] = module
    spec.loader.exec_module(module)
