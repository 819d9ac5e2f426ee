from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

# importlib import mode has no sibling imports: register the script under a name of its own
if "rehearsal_counts" not in sys.modules:
    spec = importlib.util.spec_from_file_location("rehearsal_counts", Path(__file__).parent / "counts.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["rehearsal_counts"] = module
    spec.loader.exec_module(module)
