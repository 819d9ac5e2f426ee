from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

# importlib import mode has no sibling imports: register the shared properties under a name of their own
if "guidance_properties" not in sys.modules:
    spec = importlib.util.spec_from_file_location("guidance_properties", Path(__file__).with_name("_properties.py"))
    module = importlib.util.module_from_spec(spec)
    sys.modules["guidance_properties"] = module
    spec.loader.exec_module(module)
