"""The pages that people read on GitHub: commands that exist, links that lead somewhere, pictures made by a command."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

import pytest

ROOT = Path(__file__).resolve().parents[1]
README, DOCS = ROOT / "README.md", ROOT / "docs"
READ = [README, *sorted(DOCS.glob("*.md"))]
LINKED = [*READ, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "benchmarks").rglob("*.md"))]
NAMING = [*LINKED, *sorted((ROOT / "web" / "docs").glob("*.md"))]  # documents that name commands
MOST_LINES, MOST_WORDS = 120, 1100  # of the README

# what the info string of a fence of commands says: `sh run` is run here, the others have a reason not to be
MARKS = {"run", "long", "gpu", "cluster", "setup"}
FENCE = re.compile(r"^( *)```([^\n]*)\n(.*?)^\1```$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"(!?)\[[^\]\n]*(?:\n[^\]\n]*)?\]\(([^)\s]+)\)")
NAMED = re.compile(
    r"`((?:[A-Z_]+=\S+ )*(?:python -m|make) (?!tbsd_core`)[^`]+|torchrun [^`]+|(?:--\w+ \S+ )*--set [a-z_]+\.[^`]+)`"
)
QUESTIONS = {  # of a newcomer, and where the answer stands
    "How do I install it on Windows portable?": "docs/getting-started.md#windows-portable",
    "Which checkpoint?": "docs/real-models.md#which-checkpoint",
    "How much VRAM?": "docs/real-models.md#memory-and-time",
    "How long does it take?": "docs/real-models.md#memory-and-time",
    "Which method?": "docs/methods.md#which-method-when",
    "Why two faces?": "docs/troubleshooting.md#a-face-on-every-side-janus",
    "How do I keep my mesh's UVs?": "docs/editing.md#keep-my-meshs-uvs",
    "How do I resume?": "docs/getting-started.md#stop-continue-resume",
    "How do I export to Blender?": "docs/getting-started.md#export",
    "How do I cite it?": "docs/tbsd.md#how-to-cite",
}
WRONG = {  # each is refused, so that the check is one
    "python -m tbsd_core run --prompt x --nonsense": "unknown arguments",
    "python -m tbsd_core compare --out x": "required",
    "python -m tbsd_core run --prompt x --out x --set guidance.nonsense=1": "no setting",
    "python -m benchmarks.nonsense": "no module",
    "python -m benchmarks.kills --nonsense": "unknown arguments",
    "make nonsense": "has no nonsense",
    "make gpu-check ARGS='--nonsense'": "unknown arguments",
    "pip install nonsense": "no requirement",
    "nonsense": "not known",
}


class Fence(NamedTuple):
    language: str
    marks: list[str]
    lines: list[str]


def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def fences(path: Path) -> Iterator[Fence]:
    for _, info, body in FENCE.findall(text_of(path)):
        language, *marks = info.split() or [""]
        yield Fence(language, marks, [line for line in body.splitlines() if line.strip()])


def prose(path: Path) -> str:
    """A text without its fences."""
    return FENCE.sub("", text_of(path))


def commands_of(path: Path) -> Iterator[str]:
    for fence in fences(path):
        if fence.language == "sh":
            yield from fence.lines
        else:  # such as the entry point of a job
            yield from (match[1] for line in fence.lines if (match := re.search(r"(python -m \S+ .+)$", line)))
    for named in NAMED.findall(prose(path)):
        command = " ".join(named.split())
        if re.fullmatch(r"python -m tbsd_core \w+", command):  # a command by its name alone
            yield f"{command} --help"
        elif command[0] != "-":
            yield command
        elif path in READ:  # options of a run
            yield f'python -m tbsd_core run --prompt "a brick house" {command}'


def anchors(path: Path) -> set[str]:
    """The anchors that GitHub gives to the headings of a page."""
    titles = re.findall(r"^#+ (.+)$", prose(path), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", re.sub(r"[`*]", "", title).lower()).replace(" ", "-") for title in titles}


def links(path: Path) -> list[tuple[bool, str]]:
    """(whether it is a picture, its target) of every link, those to other sites left out."""
    return [(bool(mark), unquote(target)) for mark, target in LINK.findall(prose(path)) if "://" not in target]


@pytest.fixture(scope="module")
def checked() -> dict:
    """The answer of tests/command_lines.py to all commands."""
    asked = {
        "parse": sorted({command for path in NAMING for command in commands_of(path)} | WRONG.keys()),
        "run": sorted({line for path in READ for f in fences(path) if "run" in f.marks for line in f.lines}),
    }
    done = subprocess.run(
        [sys.executable, "-m", "tests.command_lines"], cwd=ROOT, input=json.dumps(asked), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return {**json.loads(done.stdout.splitlines()[-1]), "asked": asked}


def test_every_command_is_one_that_its_program_takes(checked):
    assert len(checked["asked"]["parse"]) > 60
    assert {command: why for command, why in checked["wrong"].items() if command not in WRONG} == {}


def test_wrong_commands_are_found(checked):
    for command, why in WRONG.items():
        assert why in checked["wrong"].get(command, ""), command


def test_commands_that_are_marked_to_run_do(checked):
    assert len(checked["printed"]) >= 5
    assert [command for command, length in checked["printed"].items() if length < 20] == []


@pytest.mark.parametrize("path", READ, ids=name_of)
def test_every_fence_of_commands_is_run_or_says_why_not(path):
    for fence in fences(path):
        assert fence.language != "bash" and fence.language != "", "name the language; commands are sh"
        assert fence.language != "sh" or (len(fence.marks) == 1 and fence.marks[0] in MARKS), fence


@pytest.mark.parametrize("path", LINKED, ids=name_of)
def test_every_link_and_anchor_leads_somewhere(path):
    for _, target in links(path):
        file, _, anchor = target.partition("#")
        page = (path.parent / file).resolve() if file else path
        assert page.exists() and (page == ROOT or ROOT in page.parents), target
        assert not anchor or anchor in anchors(page), target


def test_the_readme_leads_to_every_page():
    reached = {(ROOT / target.split("#")[0]).resolve() for _, target in links(README)}
    assert [name_of(path) for path in READ if path not in {README, *reached}] == []


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_newcomer_finds_the_answer(question):
    """One click to the page, which the README links, and one to the heading."""
    page, _, anchor = QUESTIONS[question].partition("#")
    assert anchor in anchors(ROOT / page)


def test_every_node_with_a_help_page_is_in_the_table():
    listed = {Path(target).name for _, target in links(DOCS / "nodes.md")}
    assert {page.name for page in (ROOT / "web" / "docs").glob("*.md")} == {n for n in listed if n.startswith("TBSD_")}


def test_a_command_makes_every_picture():
    """Thumbnails come from benchmarks.thumbnails, pictures of help pages and symptoms from the two that list them,
    and sheets of a benchmark from its --sheet."""
    symptoms = text_of(ROOT / "benchmarks" / "symptoms.py") + text_of(ROOT / "benchmarks" / "symptom_screenshots.py")
    made = "".join(text_of(ROOT / "benchmarks" / f"help_{kind}.py") for kind in ("pictures", "screenshots"))
    methods = {p.stem for p in (ROOT / "tbsd_core" / "guidance").glob("*.py")}
    for path in READ:
        for picture in [(path.parent / target).resolve() for is_picture, target in links(path) if is_picture]:
            if picture.parent == ROOT / "workflows":
                assert picture.with_suffix(".json").is_file(), picture
            elif picture.parent == DOCS / "images":
                assert f'"{picture.stem}": ' in symptoms, picture
            elif picture.parent == ROOT / "benchmarks" / "results":
                assert "--sheet" in text_of(ROOT / "benchmarks" / f"{picture.stem}.py"), picture
            else:
                assert picture.parent == ROOT / "web" / "docs" / "images", picture
                stem = picture.stem
                assert f'"{stem}": ' in made or stem.removeprefix("method_") in methods, picture


def test_pictures_say_what_they_show():
    for path in READ:
        for text in re.findall(r"!\[([^\]]*)\]", prose(path)):
            assert len(text) > 10, f"{name_of(path)}: {text}"


def test_the_readme_is_short():
    text = text_of(README)
    assert len(text.splitlines()) <= MOST_LINES
    assert len(text.split()) <= MOST_WORDS
