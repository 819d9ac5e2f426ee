"""Files in ComfyUI's folders, and the core's results in its types."""

from __future__ import annotations

import re
from pathlib import Path

import folder_paths
from torch import Tensor


def output_root() -> Path:
    """ComfyUI's output folder."""
    return Path(folder_paths.get_output_directory()).resolve()


def new_output(prefix: str, suffix: str) -> tuple[Path, str]:
    """A path that does not exist yet under the output folder, and the same path relative to it.

    Args:
        prefix: what the user typed, such as "tbsd/house"; folders are created.
        suffix: with its dot (".glb"), or "" for a folder.

    Raises:
        ValueError: the prefix is empty or leads out of the output folder.
    """
    root = output_root()
    target = (root / prefix).resolve()
    if not prefix.strip() or target == root or not target.is_relative_to(root):
        raise ValueError(f"The file name prefix must stay inside ComfyUI's output folder, got {prefix!r}.")
    target.parent.mkdir(parents=True, exist_ok=True)
    pattern = re.compile(re.escape(target.name) + r"_(\d+)" + re.escape(suffix) + "$")
    taken = [int(m[1]) for m in (pattern.match(p.name) for p in target.parent.iterdir()) if m]
    path = target.parent / f"{target.name}_{max(taken, default=0) + 1:05d}{suffix}"
    return path, path.relative_to(root).as_posix()


def existing_output(name: str) -> Path:
    """A file or folder inside ComfyUI's output or input folder by its relative name.

    Raises:
        ValueError: the name leads out of both folders.
        FileNotFoundError: nothing is there.
    """
    roots = [output_root(), Path(folder_paths.get_input_directory()).resolve()]
    inside = [p for p in ((root / name).resolve() for root in roots) if any(p.is_relative_to(r) for r in roots)]
    if not inside or not name.strip():
        raise ValueError(f"The name must stay inside ComfyUI's output or input folder, got {name!r}.")
    for path in inside:
        if path.exists():
            return path
    raise FileNotFoundError(f"{name!r} is neither in ComfyUI's output folder nor in its input folder.")


def ui_file(relative: str) -> dict[str, str]:
    """How ComfyUI's browser side names a file in the output folder."""
    path = Path(relative)
    subfolder = "" if path.parent == Path(".") else path.parent.as_posix()
    return {"filename": path.name, "subfolder": subfolder, "type": "output"}


def to_image(images: Tensor) -> Tensor:
    """IMAGE [B, H, W, 3] from the core's [B, 3, H, W]."""
    return images.detach().float().cpu().clamp(0, 1).movedim(1, -1).contiguous()


def mesh_class() -> type:
    """ComfyUI's MESH; it has moved between versions."""
    try:
        from comfy_api.latest import Types

        return Types.MESH
    except (ImportError, AttributeError):
        from comfy_extras.nodes_hunyuan3d import MESH

        return MESH
