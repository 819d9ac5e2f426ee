"""The help pages in web/docs. That each names every input of its node needs the server: comfy/test_registry.py."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from tbsd_pack.tbsd_core.guidance import METHODS, MethodSpec

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "web" / "docs"
PAGES = sorted(DOCS.glob("*.md"))
PICTURE = re.compile(r"!\[([^\]]+)\]\(([^)\s]+)\)")
MAX_PICTURE, MAX_PICTURES = 12_000, 280_000  # bytes of one and of all: the archive of the pack stays small


def pictures(page: Path) -> list[tuple[str, str]]:
    """(text, path) of the pictures of a page."""
    return PICTURE.findall(page.read_text(encoding="utf-8"))


def page_of(method: MethodSpec) -> Path:
    return DOCS / f"{method.node}.md"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)
def test_a_page_has_a_picture_and_common_mistakes(page):
    found = pictures(page)
    assert found
    for text, path in found:
        assert len(text) > 10, "read aloud where the picture cannot be seen"
        assert path.startswith("images/"), "the host looks for it beside the page"
        assert (DOCS / path).is_file(), path
    mistakes = page.read_text(encoding="utf-8").split("\n## Common mistakes\n")[1]
    assert len(re.findall(r"^- \*.+?\*.*: ", mistakes, re.MULTILINE)) >= 2


@pytest.mark.parametrize("method", METHODS.values(), ids=list(METHODS))
def test_a_page_of_a_method_has_its_equation_and_its_paper(method):
    text = page_of(method).read_text(encoding="utf-8")
    assert text.startswith(f"# {method.label} Guidance\n")
    (number,) = re.findall(r"arXiv:(\d{4}\.\d{5})", method.paper)
    section = re.search(r"^## Equation\n\n```\n(.+?)\n```\n\n(.+?)(?=^## )", text, re.DOTALL | re.MULTILINE)
    assert section is not None
    assert "=" in section.group(1) or "SDS" in section.group(1)
    assert max(map(len, section.group(1).splitlines())) <= 40, "the host's help panel is narrow"
    assert f"[arXiv:{number}](https://arxiv.org/abs/{number})" in section.group(2)


def test_docs_and_pages_say_what_the_specifications_say():
    done = subprocess.run([sys.executable, "-m", "tests.written", "--check"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_page_of_tbsd_says_that_it_is_a_reconstruction():
    assert "reconstruction" in page_of(METHODS["tbsd"]).read_text(encoding="utf-8")


def test_pictures_are_small_and_each_is_shown():
    files = {p.name: p.stat().st_size for p in (DOCS / "images").iterdir()}
    assert max(files.values()) <= MAX_PICTURE and sum(files.values()) <= MAX_PICTURES
    assert set(files) == {Path(path).name for page in PAGES for _, path in pictures(page)}
