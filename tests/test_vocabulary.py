"""The words of what people read: one term for one thing, British spelling, and none of the worst habits.

A list of patterns and no police of style: a habit is here because it made a text hard to read. docs/glossary.md
says what the terms mean. Besides the pages in FILES it reads the texts of nodes and panel (locales/en), the notes of
templates, errors, warnings and the help of the command line in the sources, and all docstrings and comments. To hold
more files to it, add them to FILES; for a new habit, add a line with an example.
"""

from __future__ import annotations

import ast
import io
import json
import re
import tokenize
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[1]
FILES = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "docs/*.md", "web/docs/*.md")
READ = sorted(path for pattern in FILES for path in ROOT.glob(pattern))
SOURCES = sorted(path for folder in ("nodes", "tbsd_core") for path in (ROOT / folder).rglob("*.py"))
WRITTEN = [*SOURCES, *sorted(path for folder in ("benchmarks", "tests") for path in (ROOT / folder).rglob("*.py"))]
TEMPLATES = sorted((ROOT / "workflows").glob("*.json"))
SAYING = {"warn", "warning", "error", "exception", "add_argument", "add_parser"}  # methods whose strings people read
# names in a text: of options, settings and their values, which code compares with
NAME = re.compile(r"--[\w-]+|\b\w+(?:\.\w+)+|(?:^|(?<=[.;:] ))[a-z_]+(?:, [a-z_]+)*(?=: | must )|(?<=default: )[^)]*")
# in a docstring: a name with a dot or a slash, an argument; an import and other code, with four spaces before it
CODE = re.compile(r"\b\w+(?:[./]\w+)+|^ *[a-z_]+(?:, [a-z_]+)*(?=:)|(?<=[.;] )[a-z_]+(?=: )", re.MULTILINE)
EXAMPLE = re.compile(r"(?<=\n\n)(?: {4}.*(?:\n|\Z))+")


class Habit(NamedTuple):
    pattern: str  # in prose, a paragraph on one line, without code; case counts
    better: str
    example: str  # that the pattern finds


TERMS = (
    Habit(r"\b[Tt]ime[ -]steps?\b", "timestep", "the time step t"),
    Habit(r"\b[Cc](?:FG|fg) (?:scale|weight)\b", "guidance scale", "a CFG scale of 7.5"),
    Habit(r"\b[Cc]heck[ -]points?\b", "checkpoint", "a check point"),
    Habit(r"\b[Hh]yper-?parameters?\b", "setting", "its hyperparameters"),
    Habit(r"\b[Cc]ontrol[ -]?nets?\b|\bControl Nets?\b", "ControlNet", "a control net"),
    Habit(r"\b(?:Nerf|NERF|nerf)s?\b", "NeRF", "a Nerf"),
    Habit(r"\b(?:Lora|lora|LORA)s?\b", "LoRA", "trains a lora"),
    Habit(r"\bgaussian(?:s| splat)", "Gaussian", "many gaussians"),
    Habit(r"\bjanus\b", "Janus", "against janus"),
    Habit(r"\b[Nn]egative[- ]text\b", "negative prompt", "a negative text"),
)
SPELLING = (
    Habit(r"\b(?:Comfy UI|ComfyUi|Comfyui|comfyUI)\b", "ComfyUI", "in ComfyUi"),
    Habit(r"\bstable diffusion\b", "Stable Diffusion", "with stable diffusion"),
    Habit(r"\b[Oo]ptimiz(?:e[ds]?|ing|ation|ers?)\b(?!\*? (?:3D|Image|nodes?)\b)", "optimise", "optimize a scene"),
    Habit(r"\b[Cc]olor(?:s|ed|ful)?\b", "colour", "the color of"),
    Habit(r"\b[Bb]ehaviors?\b", "behaviour", "the behavior"),
    Habit(r"\b[Cc]enter(?:s|ed)?\b", "centre", "the center"),
    Habit(r"\b[Gg]ray\b", "grey", "a gray ball"),
    Habit(r"\b[Nn]eighbor", "neighbour", "the neighbors"),
    Habit(r"\b[Aa]nalyz", "analyse", "to analyze"),
    Habit(r"\b(?:[Nn]ormal|[Ii]nitial|[Rr]egular|[Vv]isual|[Rr]aster|[Ss]erial)iz", "...ise", "normalized"),
    Habit(r"\b[Ff]avor", "favour", "a favorite"),
)
HABITS = (
    Habit(r"\b(?:go(?:es|ing)?|gone|went) on with\b", "continue, resume", "cannot be gone on with"),
    Habit(r"\b[Tt](?:ake|akes|aken|aking|ook) up\b", "resume, continue", "a run that is taken up"),
    Habit(r"\bby (?:itself|themselves)\b", "alone, automatically, on its own", "fits the card by itself"),
    Habit(r"\b(?:that|those) of\b", "name the thing again, or 's", "its size and that of the model"),
    Habit(
        r"(?<![Tt]here )\b(?:is|are) no (?!longer|more\b|larger|smaller|slower|faster)",
        "is not a, has no",
        "a NeRF is no splats",
    ),
    Habit(r"\bof \w+ only (?:what|the)\b", "only the part of", "of texture only what is orthogonal"),
    Habit(r"\bmoney per\b", "a price of ... per", "0.05 money per core hour"),
    Habit(r"\bin the place of\b", "in place of, instead of", "in the place of one"),
    Habit(r"\b(?:is|are) to be (?!used)\w+ed\b", "must be, can be", "tops are to be rendered"),
    Habit(r"(?:^|(?<=[.:;] )|(?<=\| ))(?:- )?What [^.?|#]*[.;]", "begin with the subject", "What is left is offered."),
    Habit(r"\b(?:simply|obviously|of course|easily)\b", "leave it out", "simply press Run"),
    Habit(r"\b(?:[Uu]tilize|[Uu]tilise|in order to)\b", "use; to", "in order to resume"),
    Habit(r"\bby nothing\b", "does not change", "moves the identity by nothing"),
    Habit(r"\bare told of\b|\bis told of\b", "is named, is reported", "differences are told of"),
)
ALL = (*TERMS, *SPELLING, *HABITS)


def prose(text: str) -> list[tuple[int, str]]:
    """(line of its beginning, text) of each paragraph and row, without code, quotations and targets of links."""
    blank = lambda match: re.sub(r"[^\n]", " ", match[0])  # noqa: E731 - keeps the lines where they are
    for left_out in (r"^( *)```.*?^\1```$", r"<!-- .*?: written -->.*?<!-- end -->", r"<!--.*?-->"):
        text = re.sub(left_out, blank, text, flags=re.DOTALL | re.MULTILINE)
    text = re.sub(r"`[^`]*`|\"[^\"]*\"|\$[^$\n]+\$|^> .*$|\]\([^)]*\)", blank, text, flags=re.MULTILINE)
    paragraphs: list[tuple[int, str]] = []
    begun = False
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        new = not begun or re.match(r"([-*|#]|\d+\.) ?", stripped) is not None
        if stripped and new:
            paragraphs.append((number, stripped))
        elif stripped:
            begin, before = paragraphs[-1]
            paragraphs[-1] = begin, f"{before} {stripped}"
        begun = bool(stripped) and not stripped.startswith(("#", "|"))
    return [(number, re.sub(r"\s+", " ", paragraph)) for number, paragraph in paragraphs]


def found_in(text: str) -> list[str]:
    """A sentence for each habit in a text."""
    return [
        f"line {number}: {match[0]!r}; better: {habit.better}"
        for number, paragraph in prose(text)
        for habit in ALL
        for match in re.finditer(habit.pattern, paragraph)
    ]


def strings_in(tree: Any) -> Iterator[str]:
    """Every text of a tree of JSON."""
    if isinstance(tree, str):
        yield tree
    for branch in tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ():
        yield from strings_in(branch)


def notes_in(tree: Any) -> Iterator[str]:
    """The notes of a workflow and of its subgraphs."""
    if isinstance(tree, dict) and tree.get("type") in ("MarkdownNote", "Note"):
        yield from strings_in(tree["widgets_values"])
    for branch in tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ():
        yield from notes_in(branch)


def said_in(source: str) -> Iterator[str]:
    """Texts of what a module raises, logs, or writes into the help of the command line; a value in one is `x`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Raise) and node.exc is not None:
            yield from literals_in(node.exc)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in SAYING:
            yield from literals_in(node)


def literals_in(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.JoinedStr):
        yield "".join(str(part.value) if isinstance(part, ast.Constant) else "`x`" for part in node.values)
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    else:
        for child in ast.iter_child_nodes(node):
            yield from literals_in(child)


def explained_in(source: str) -> Iterator[tuple[int, str]]:
    """(line, text) of each docstring and comment of a module, without names and examples."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            text = ast.get_docstring(node)
            if text:
                yield node.body[0].lineno, CODE.sub("`x`", EXAMPLE.sub("", text))
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT and not token.string.startswith(("# type:", "# noqa", "# fmt", "#!")):
            yield token.start[0], CODE.sub("`x`", token.string.lstrip("# "))


def found_in_texts(texts: Iterable[str]) -> list[str]:
    """Of texts that are more than a name."""
    said = [text for text in dict.fromkeys(texts) if " " in text]
    return [f"{found}: {text}" for text in said for found in found_in(NAME.sub("`x`", text))]


@pytest.mark.parametrize("path", READ, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_a_text_keeps_to_the_vocabulary(path):
    assert found_in(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("name", ["main.json", "nodeDefs.json"])
def test_nodes_and_panel_keep_to_the_vocabulary(name):
    texts = json.loads((ROOT / "locales" / "en" / name).read_text(encoding="utf-8"))
    texts.pop("nodeCategories", None)
    assert found_in_texts(strings_in(texts)) == []


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda p: p.stem)
def test_notes_of_templates_keep_to_the_vocabulary(path):
    notes = list(notes_in(json.loads(path.read_text(encoding="utf-8"))))
    assert notes
    assert found_in_texts(notes) == []


def test_errors_and_help_keep_to_the_vocabulary():
    said = [(path, text) for path in SOURCES for text in said_in(path.read_text(encoding="utf-8"))]
    assert len(said) > 500
    assert [f"{path.relative_to(ROOT)}: {x}" for path, text in said for x in found_in_texts([text])] == []


def test_docstrings_and_comments_keep_to_the_vocabulary():
    texts = [(path, *found) for path in WRITTEN for found in explained_in(path.read_text(encoding="utf-8"))]
    assert len(texts) > 4000
    assert [f"{path.relative_to(ROOT)}:{at}: {x}" for path, at, text in texts for x in found_in(text)] == []


def test_docstrings_and_comments_are_read():
    module = '"""What is left.\n\nSo:\n\n    import janus\n"""\n'
    function = 'def f(color):  # by itself\n    """A janus.\n\n    Args:\n        color: scenes/nerf.py.\n    """\n'
    assert [(at, len(found_in(text))) for at, text in explained_in(module + function)] == [(1, 1), (8, 1), (7, 1)]


def test_what_a_module_says_is_read():
    source = 'raise ValueError(f"a {color} nerf " "by itself")\nlogger.warning("Take up.")\nt = "janus"\n'
    assert list(said_in(source)) == ["a `x` nerf by itself", "Take up."]
    assert len(found_in_texts(said_in(source))) == 3
    assert found_in_texts(["optimizer must be --keep-colors or nerf.color=1. nerf, gaussian: a scene"]) == []
    notes = [{"type": "Note", "widgets_values": ["a"]}, {"type": "A", "widgets_values": "b"}]
    assert list(notes_in({"nodes": notes})) == ["a"]


@pytest.mark.parametrize("habit", ALL, ids=lambda h: h.better)
def test_a_habit_is_found_and_what_is_better_is_none(habit):
    assert found_in(habit.example), "its own example"
    assert found_in(f"Text\nbefore it.\n{habit.example}\n")
    assert not re.search(habit.pattern, habit.better)


def test_code_is_left_alone():
    assert found_in("`janus` and\n```sh\nwith color\n```\n<!-- a: written -->\n- optimize\n<!-- end -->\n") == []
    assert found_in("The *Optimize 3D* node. There is no pickle. It is no longer.\n\n| What | How |\n") == []


def test_terms_stand_in_the_glossary():
    glossary = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    terms = {term.lower() for term in re.findall(r"\*\*(.+?)\*\*", glossary)}
    assert [habit.better for habit in TERMS if habit.better.lower() not in terms] == []
