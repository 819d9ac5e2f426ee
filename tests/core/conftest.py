from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

HERE = Path(__file__).parent

# importlib import mode has no sibling imports: register what several folders share under names of their own
for name, path in (("tiny_pipelines", HERE / "priors" / "diffusers" / "_pipelines.py"), ("kept", HERE / "_kept.py")):
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, path)
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
