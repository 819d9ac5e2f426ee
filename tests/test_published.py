"""The table of presets beside the published values is whole, and true where it says "the same".

test_help.py checks that its column of ours holds the presets, with all that is written.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
CODE = """
import json
from benchmarks.published import SOURCES, resolved, shown
from tbsd_core.presets import preset
found = {}
for source in SOURCES:
    values = resolved(source)
    found[source.title] = {
        "preset": list(preset(source.family, source.scene, source.method)),
        "rows": [
            [row.names, row.published, ", ".join(shown(values[name]) for name in row.names), row.why]
            for row in source.rows
        ],
    }
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def sources() -> dict:
    done = subprocess.run([sys.executable, "-c", CODE], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_every_value_of_a_preset_stands_beside_the_published_one(sources):
    assert len(sources) >= 5
    for title, source in sources.items():
        names = [name for row in source["rows"] for name in row[0]]
        assert len(names) == len(set(names)), title
        assert set(source["preset"]) <= set(names), f"{title}: a row is missing"


def test_a_difference_has_a_reason_and_nothing_else_has(sources):
    for title, source in sources.items():
        for names, published, ours, why in source["rows"]:
            assert why or published == ours, f"{title}: {names} says the same of {published} and {ours}"
            assert not why or published != ours, f"{title}: {names} gives a reason for no difference"


def test_the_help_page_links_it():
    page = (ROOT / "web" / "docs" / "TBSD_RecommendedSettings.md").read_text(encoding="utf-8")
    assert "benchmarks/results/presets.md" in page and (ROOT / "benchmarks" / "results" / "presets.md").is_file()
