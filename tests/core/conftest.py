from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

# importlib import mode has no sibling imports: register what several folders share under a name of its own
if "tiny_pipelines" not in sys.modules:
    path = Path(__file__).parent / "priors" / "diffusers" / "_pipelines.py"
    spec = importlib.util.spec_from_file_location("tiny_pipelines", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["tiny_pipelines"] = module
    spec.loader.exec_module(module)
