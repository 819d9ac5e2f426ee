"""The graph that is being run, as ComfyUI's own savers write it into files."""

from __future__ import annotations

import json
from typing import Any

from comfy.cli_args import args


def graph_texts(hidden: Any) -> dict[str, str]:
    """`workflow` and `prompt` as JSON, for files; empty where the host was started with --disable-metadata.

    Args:
        hidden: `cls.hidden` of a node that asks for `prompt` and `extra_pnginfo`; what is missing is left out.
    """
    if args.disable_metadata:
        return {}
    found = {"workflow": (hidden.extra_pnginfo or {}).get("workflow"), "prompt": hidden.prompt}
    return {name: json.dumps(value) for name, value in found.items() if value is not None}
