from typing import Any

in_training: Any  # what is written to must be named
vram_state: Any

def __getattr__(name: str) -> Any: ...
