"""Thumbnails of the templates, made by running them: `python -m benchmarks.thumbnails [NAME ...]`.

Each workflow runs as it is shipped, by its API twin on a real ComfyUI server, and its result becomes
workflows/NAME.jpg: 8 views of an object on a turn, or its pictures side by side.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

from PIL import Image

from tests.hosts import ROOT, find_comfyui
from tests.servers import Server, started, templates

WIDTH = 512  # pixels of a thumbnail, at most
MAX_HEIGHT = 512
VIEWS = 8
MAX_BYTES = 17_000
SECONDS = 1800  # for one workflow


def pictures_of(prompt: dict) -> list[list]:
    """Links to the results of a workflow: the views of its last Render Views, or its saved pictures."""
    turns = [key for key, node in prompt.items() if node["class_type"] == "TBSD_RenderViews"]
    if turns and not any(node["class_type"] == "TBSD_OptimizeImage" for node in prompt.values()):
        return [[max(turns, key=int), 0]]
    return [node["inputs"]["images"] for node in prompt.values() if node["class_type"] == "SaveImage"]


def made_pictures(server: Server, prompt: dict, links: list[list]) -> list[list[Image.Image]]:
    """Run a workflow and fetch the images behind each link."""
    saves = {f"made_{i}": link for i, link in enumerate(links)}
    added = {
        key: {"class_type": "SaveImage", "inputs": {"images": link, "filename_prefix": f"thumbnails/{key}"}}
        for key, link in saves.items()
    }
    entry = server.wait(server.queue({**prompt, **added}), SECONDS)
    if entry["status"]["status_str"] != "success":
        raise SystemExit(f"The workflow failed: {json.dumps(entry['status'])[:4000]}")
    found = [[server.file(file) for file in entry["outputs"][key]["images"]] for key in saves]
    return [[Image.open(path).convert("RGB") for path in paths] for paths in found]


def tiled(rows: list[list[Image.Image]]) -> Image.Image:
    """Pictures of one size as a table."""
    width, height = rows[0][0].size
    sheet = Image.new("RGB", (width * max(map(len, rows)), height * len(rows)), "white")
    for y, row in enumerate(rows):
        for x, picture in enumerate(row):
            sheet.paste(picture, (x * width, y * height))
    return sheet


def sheet_of(pictures: list[list[Image.Image]]) -> Image.Image:
    """One picture of a workflow's results: a turn in two rows, or a column for each Save Image."""
    first = pictures[0]
    if len(first) >= VIEWS:
        views = [first[round(i * len(first) / VIEWS)] for i in range(VIEWS)]
        return tiled([views[: VIEWS // 2], views[VIEWS // 2 :]])
    if len(pictures) == 1:
        return tiled([first])
    return tiled([list(row) for row in zip(*pictures, strict=True)])


def fitted(picture: Image.Image, width: int, height: int) -> Image.Image:
    """As large as fits: small renders are enlarged, labelled sheets reduced."""
    scale = min(width / picture.width, height / picture.height)
    size = (round(picture.width * scale), round(picture.height * scale))
    return picture.resize(size, Image.Resampling.LANCZOS)


def save_small(picture: Image.Image, path: Path, most: int) -> int:
    """Write a JPEG or WebP, by the name's ending, at the best quality of at most `most` bytes; returns them."""
    options: dict[str, Any] = {"method": 6} if path.suffix == ".webp" else {"optimize": True, "progressive": True}
    for quality in range(88, 14, -3):
        picture.save(path, quality=quality, **options)
        if path.stat().st_size <= most:
            return path.stat().st_size
    raise ValueError(f"{path.name} has {path.stat().st_size} bytes at the lowest quality, at most {most} are allowed.")


def main() -> None:
    names = templates()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="workflows; all if none is named")
    chosen = parser.parse_args().names or names
    if unknown := sorted(set(chosen) - set(names)):
        raise SystemExit(f"No such workflow: {', '.join(unknown)}. There are: {', '.join(names)}.")
    comfyui = find_comfyui()
    if comfyui is None:
        raise SystemExit("This needs a ComfyUI: make comfyui, or set COMFYUI_PATH.")
    with tempfile.TemporaryDirectory() as folder, started(comfyui, Path(folder)) as server:
        for name in chosen:
            prompt = json.loads((ROOT / "tests" / "workflows" / f"{name}.json").read_text(encoding="utf-8"))
            begin = time.monotonic()
            made = made_pictures(server, prompt, pictures_of(prompt))
            thumbnail = fitted(sheet_of(made), WIDTH, MAX_HEIGHT)
            size = save_small(thumbnail, ROOT / "workflows" / f"{name}.jpg", MAX_BYTES)
            print(f"{name}: {time.monotonic() - begin:.0f} s, {size} bytes", flush=True)


if __name__ == "__main__":
    main()
