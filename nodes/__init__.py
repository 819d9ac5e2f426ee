"""The pack's nodes: a new one is a file with a list NODES, and its line in MODULES. Ids never change."""

from __future__ import annotations

from importlib import import_module

from comfy_api.latest import ComfyExtension, io

from .bridge.compat import require_host
from .bridge.routes import register_routes

MODULES = (  # in the order of menus
    "demo",
    "prompts",
    "zero123",
    "guidance",
    "control",
    "scene",
    "regions",
    "cameras",
    "timesteps",
    "presets",
    "optimize",
    "refine",
    "compare",
    "render",
    "export",
    "analysis.inspect",
    "analysis.overtime",
    "analysis.seeds",
    "analysis.vary",
    "analysis.path",
    "metrics",
)
NODES: list[type[io.ComfyNode]] = [
    node for module in MODULES for node in import_module(f".{module}", __name__).NODES
]


class TBSDExtension(ComfyExtension):
    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        require_host()
        register_routes()
        return NODES
