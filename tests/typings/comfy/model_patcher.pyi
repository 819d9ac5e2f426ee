from typing import Any

CoreModelPatcher: Any  # what is written to must be named

def __getattr__(name: str) -> Any: ...
