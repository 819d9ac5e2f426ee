"""The English texts of the pack from the nodes' schemas and from the browser modules, in the form of `locales/en`.

    python locales.py COMFYUI ROOT           print them
    python locales.py COMFYUI ROOT --write   renew locales/en, and take out of the other languages what no longer holds
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

PANEL_TEXT = re.compile(r'\bt\(\s*"((?:[^"\\]|\\.)*)"')
PANEL_KEY = "tbsd"  # of main.json; read by web/js/client.js
SETTING = re.compile(r'id: "([\w.]+)",\s+name: "(.+)",\s+tooltip: "(.+)",')


def node_texts(node: dict) -> dict:
    """The texts of a node, keyed as ComfyUI's frontend looks it up; `node` is its entry in /object_info."""
    sockets = {**node["input"].get("required", {}), **node["input"].get("optional", {})}
    inputs = {
        name.replace(".", "_"): {"name": options.get("display_name") or name, "tooltip": options["tooltip"]}
        for name, (_, options) in sockets.items()
    }
    outputs = {
        str(index): {"name": name, "tooltip": tooltip}
        for index, (name, tooltip) in enumerate(zip(node["output_name"], node["output_tooltips"], strict=True))
    }
    texts = {"display_name": node["display_name"], "description": node["description"]}
    return texts | {key: group for key, group in (("inputs", inputs), ("outputs", outputs)) if group}


def panel_texts(root: Path) -> list[str]:
    modules = sorted((root / "web" / "js").glob("*.js"))
    return sorted({json.loads(f'"{text}"') for path in modules for text in PANEL_TEXT.findall(path.read_text("utf-8"))})


def setting_texts(root: Path) -> dict[str, dict]:
    """The texts of the pack's settings in the host's dialog, keyed as its frontend looks it up."""
    found = SETTING.findall((root / "web" / "js" / "settings.js").read_text("utf-8"))
    return {name.replace(".", "_"): {"name": text, "tooltip": tooltip} for name, text, tooltip in found}


def english(nodes: list[dict], root: Path) -> dict[str, dict]:
    """Contents of the files of locales/en by name; `nodes` are their entries in /object_info."""
    categories = sorted({part for node in nodes for part in node["category"].split("/")})
    main = {"nodeCategories": {c: c for c in categories}, "settings": setting_texts(root)}
    return {
        "main.json": main | {PANEL_KEY: {t: t for t in panel_texts(root)}},
        "nodeDefs.json": {node["name"]: node_texts(node) for node in nodes},
    }


def flat(texts: dict, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """(path of keys, text) of every text, in order."""
    for key, value in texts.items():
        if isinstance(value, dict):
            yield from flat(value, (*path, key))
        else:
            yield (*path, key), value


def nested(texts: dict[tuple[str, ...], str]) -> dict:
    tree: dict = {}
    for path, text in texts.items():
        branch = tree
        for key in path[:-1]:
            branch = branch.setdefault(key, {})
        branch[path[-1]] = text
    return tree


def renewed(before: dict, after: dict, translation: dict) -> dict:
    """A translation brought from one state of the English texts to another.

    Texts whose English changed or is gone are left out, so that they are translated anew; where a text is missing and
    the same English is translated elsewhere, that translation is taken.
    """
    old, known = dict(flat(before)), dict(flat(translation))
    valid = {path: text for path, text in flat(after) if path in known and old.get(path) == text}
    by_english = {(path[-1], text): known[path] for path, text in valid.items()}
    found = {path: known.get(path) if path in valid else by_english.get((path[-1], text)) for path, text in flat(after)}
    return nested({path: text for path, text in found.items() if text})


def read(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def write(path: Path, texts: dict) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(texts, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    from pack import load_pack

    root = Path(sys.argv[2])
    texts = english([node.GET_NODE_INFO_V1() for node in load_pack()("nodes").NODES], root)
    if "--write" not in sys.argv:
        print(json.dumps(texts))
        return
    for name, after in texts.items():
        before = read(root / "locales" / "en" / name)
        write(root / "locales" / "en" / name, after)
        for folder in sorted(p for p in (root / "locales").iterdir() if p.is_dir() and p.name != "en"):
            translation = renewed(before, after, read(folder / name))
            write(folder / name, translation)
            for path in sorted(dict(flat(after)).keys() - dict(flat(translation)).keys()):
                print(f"To translate in {(folder / name).relative_to(root)}: {' > '.join(path)}")


if __name__ == "__main__":
    main()
