"""The words of what people read: one term for one thing, British spelling, and none of the worst habits.

A list of patterns and no police of style: a habit is here because it made a text hard to read. docs/glossary.md
says what the terms mean. To hold more files to it, add them to FILES; for a new habit, add a line with an example.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[1]
FILES = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "docs/*.md")
READ = sorted(path for pattern in FILES for path in ROOT.glob(pattern))


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
    Habit(r"\b[Oo]ptimiz(?:e[ds]?|ing|ation|ers?)\b(?! 3D| Image| nodes?\b)", "optimise", "optimize a scene"),
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


@pytest.mark.parametrize("path", READ, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_a_text_keeps_to_the_vocabulary(path):
    assert found_in(path.read_text(encoding="utf-8")) == []


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
