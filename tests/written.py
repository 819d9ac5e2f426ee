"""Writes the parts of docs and help pages about methods and balancers from the specifications, between marks, and the
table of presets beside the published values.

`python -m tests.written` renews it, with --check it only says whether that is needed.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from benchmarks.published import table
from tbsd_core.balancing import BALANCERS, RULES
from tbsd_core.guidance import METHODS

ROOT = Path(__file__).resolve().parents[1]


def methods() -> str:
    """The table of methods."""
    lines = ["| Method | Gradient on the latents | Predictions per view and step | Paper |", "|---|---|---|---|"]
    for name, spec in METHODS.items():
        lines.append(f"| `{name}` | {spec.equation} | {spec.evaluations} | {spec.paper} |")
    return "\n".join(lines)


def method_nodes() -> str:
    """The table of guidance nodes."""
    rows = [f"| [{spec.label} Guidance](../web/docs/{spec.node}.md) | {spec.summary} |" for spec in METHODS.values()]
    return "\n".join(["| Guidance node | Its method |", "|---|---|", *rows])


def balancers() -> str:
    """A line per rule."""
    others = [name for name in BALANCERS if name not in RULES and name.removesuffix("_schedule") not in RULES]
    lines = [f"- `{name}`, `{name}_schedule`: {RULES[name].summary}" for name in RULES]
    return "\n".join([*lines, *(f"- `{name}`: {BALANCERS[name].summary}" for name in others)])


PARTS = {"methods": methods, "method nodes": method_nodes, "balancers": balancers, "presets": table}
PRESETS = ROOT / "benchmarks" / "results" / "presets.md"
DOCS = ROOT / "docs"
FILES = (DOCS / "nodes.md", DOCS / "methods.md", ROOT / "web" / "docs" / "TBSD_Guidance.md", PRESETS)


def renewed(text: str) -> str:
    """A text with what stands between its marks made anew."""

    def made(match: re.Match[str]) -> str:
        lines = [match["indent"] + line for line in PARTS[match["name"]]().splitlines()]
        return "\n".join([match["begin"], *lines, match["end"]])

    between = r"^(?P<begin>(?P<indent> *)<!-- (?P<name>[^\n]+?): written -->)\n.*?\n(?P<end> *<!-- end -->)$"
    return re.sub(between, made, text, flags=re.DOTALL | re.MULTILINE)


def main() -> None:
    check = "--check" in sys.argv
    texts = {path: path.read_text(encoding="utf-8") for path in FILES}
    old = [path for path, text in texts.items() if renewed(text) != text or ": written -->" not in text]
    for path in [] if check else old:
        path.write_text(renewed(texts[path]), encoding="utf-8")
    if check and old:
        raise SystemExit(f"make docs renews {', '.join(path.name for path in old)}")


if __name__ == "__main__":
    main()
