"""Files in ComfyUI's folders, and the core's results in its types."""

from __future__ import annotations

import re
from pathlib import Path

import folder_paths
from torch import Tensor


def output_root() -> Path:
    """ComfyUI's output folder."""
    return Path(folder_paths.get_output_directory()).resolve()


def input_root() -> Path:
    """ComfyUI's input folder."""
    return Path(folder_paths.get_input_directory()).resolve()


RESERVED = {"CON", "PRN", "AUX", "NUL", *(f"{name}{i}" for name in ("COM", "LPT") for i in range(1, 10))}
MAX_NAME = 180  # bytes of a part of a path; file systems take 255, and a number and an ending follow


def inside_output(filename_prefix: str) -> Path:
    """The place under the output folder that a prefix names. Workflows travel: what no system takes is refused on all.

    Raises:
        ValueError: the prefix is empty, leads out of the output folder, or is not a name for a file.
    """
    root, prefix = output_root(), filename_prefix.replace("\\", "/")
    parts = [part.strip() for part in prefix.split("/")]
    strange = [part for part in parts if part.split(".")[0].upper() in RESERVED or len(part.encode()) > MAX_NAME]
    if strange or not prefix.isprintable() or any(mark in prefix for mark in ':*?"<>|'):
        raise ValueError(
            f"The file name prefix {shortened(filename_prefix)} is not a valid file name on every system. Use "
            'letters, digits, "-" and "_", and "/" between folders, such as tbsd/house.'
        )
    target = (root / prefix).resolve()
    if not prefix.strip() or target == root or not target.is_relative_to(root):
        raise ValueError(
            f"The file name prefix must stay inside ComfyUI's output folder, got {shortened(filename_prefix)}. Write a "
            "folder and a name, such as tbsd/house."
        )
    return target


def shortened(name: str) -> str:
    return repr(name if len(name) <= 80 else name[:77] + "...")


def new_output(prefix: str, suffix: str) -> tuple[Path, str]:
    """A path that does not exist yet under the output folder, and the same path relative to it.

    Args:
        prefix: what the user typed, such as "tbsd/house"; folders are created.
        suffix: with its dot (".glb"), or "" for a folder.

    Raises:
        ValueError: as inside_output.
    """
    root, target = output_root(), inside_output(prefix)
    target.parent.mkdir(parents=True, exist_ok=True)
    # to Windows and macOS names of other case are the same file
    pattern = re.compile(re.escape(target.name) + r"_(\d+)" + re.escape(suffix) + "$", re.IGNORECASE)
    taken = [int(m[1]) for m in (pattern.match(p.name) for p in target.parent.iterdir()) if m]
    path = target.parent / f"{target.name}_{max(taken, default=0) + 1:05d}{suffix}"
    return path, path.relative_to(root).as_posix()


def existing_output(name: str) -> Path:
    """A file or folder inside ComfyUI's output or input folder by its relative name. " [input]" or " [output]" after it
    names the folder, as ComfyUI's own nodes write it; else the output folder comes first.

    Raises:
        ValueError: the name leads out of both folders.
        FileNotFoundError: nothing is there.
    """
    roots = [output_root(), input_root()]
    marked = re.fullmatch(r"(.+) \[(output|input)\]", name)
    if marked:
        name, roots = marked[1], [roots[marked[2] == "input"]]
    if len(name) > 4096 or not name.isprintable():
        raise ValueError(f"{shortened(name)} is not a file name in ComfyUI's output or input folder.")
    inside = [p for p in ((root / name).resolve() for root in roots) if any(p.is_relative_to(r) for r in roots)]
    if not inside or not name.strip():
        raise ValueError(f"The name must stay inside ComfyUI's output or input folder, got {shortened(name)}.")
    for path in inside:
        if path.exists():
            return path
    raise FileNotFoundError(f"{shortened(name)} is neither in ComfyUI's output folder nor in its input folder.")


def ui_file(relative: str) -> dict[str, str]:
    """How ComfyUI's browser side names a file in the output folder."""
    path = Path(relative)
    subfolder = "" if path.parent == Path(".") else path.parent.as_posix()
    return {"filename": path.name, "subfolder": subfolder, "type": "output"}


def to_image(images: Tensor) -> Tensor:
    """IMAGE [B, H, W, 3] from the core's [B, 3, H, W]."""
    return images.detach().float().cpu().clamp(0, 1).movedim(1, -1).contiguous()
