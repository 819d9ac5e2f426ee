"""The ComfyUI that the check runs: the newest that the tests find."""

from __future__ import annotations

from collections.abc import Mapping

from tests.hosts import ComfyUI, find_comfyuis

NONE = "no ComfyUI: set COMFYUI_PATH to a checkout"
PACKAGES = ("torch", "comfy-aimdo", "comfy-kitchen")


def find_host() -> ComfyUI | None:
    return max(find_comfyuis(), key=lambda host: host.version, default=None)


def told_of(host: ComfyUI | None) -> Mapping[str, str | None]:
    """Its version and the versions of the packages in its Python, as the report keeps them."""
    if host is None:
        return {"host": None}
    return {"host": host.name} | {f"host {package}": host.installed(package) for package in PACKAGES}
