from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

# importlib import mode has no sibling imports: register the writer of GLB files under a name of its own
if "glb_files" not in sys.modules:
    spec = importlib.util.spec_from_file_location("glb_files", Path(__file__).with_name("_glb.py"))
    module = importlib.util.module_from_spec(spec)
    sys.modules["glb_files"] = module
    spec.loader.exec_module(module)
