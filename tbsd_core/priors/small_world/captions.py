"""The small world's language: its words, captions for training, and reading a prompt.

One word-level vocabulary serves the tokenizer file, the training captions and the exact prior.
Words outside it are an error that lists what exists: a prior that silently ignored "dragon" would
look broken.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import torch

from .degrade import DEGRADATIONS
from .materials import MATERIALS
from .shapes import SHAPES
from .world import VIEWS

# each canonical word with the synonyms that training uses in its place
SHAPE_WORDS: dict[str, tuple[str, ...]] = {
    "cube": ("cube", "box"),
    "sphere": ("sphere", "ball"),
    "cone": ("cone",),
    "cylinder": ("cylinder", "pillar"),
    "torus": ("torus", "ring", "donut"),
    "crystal": ("crystal", "octahedron"),
    "house": ("house", "cottage"),
    "mushroom": ("mushroom", "toadstool"),
}
MATERIAL_WORDS: dict[str, tuple[str, ...]] = {
    "brick": ("brick",),
    "striped": ("striped",),
    "checkered": ("checkered", "chequered"),
    "wooden": ("wooden", "wood"),
    "dotted": ("dotted", "spotted"),
    "marble": ("marble",),
}
VIEW_WORDS: dict[str, tuple[str, ...]] = {view: (view,) for view in VIEWS}
DEGRADATION_WORDS: dict[str, tuple[str, ...]] = {
    "malformed": ("malformed", "distorted"),
    "dark": ("dark", "gloomy"),
    "oversaturated": ("oversaturated", "vivid"),
    "foggy": ("foggy", "hazy"),
    "blurry": ("blurry", "smooth"),
    "pixelated": ("pixelated",),
}
QUALITY_WORDS = ("sharp", "detailed", "high quality", "high resolution")
FILLER_WORDS = (
    *("a", "an", "the", "of", "made", "from", "in", "with", "and", "view", "object", "thing"),
    *("photo", "picture", "image", "render", "rendering", "dslr", "3d", "model", "small", "beautiful"),
    *("high", "quality", "resolution"),
)
PUNCTUATION = (",", ".", ":", ";", "-", "'", "(", ")")
TABLES = (SHAPE_WORDS, MATERIAL_WORDS, VIEW_WORDS, DEGRADATION_WORDS)

if not (set(SHAPE_WORDS) == set(SHAPES) and set(MATERIAL_WORDS) == set(MATERIALS)):
    raise RuntimeError("captions.py must name exactly the shapes and materials of the world.")
if set(DEGRADATION_WORDS) != set(DEGRADATIONS):
    raise RuntimeError("captions.py must name exactly the degradations of degrade.py.")


def vocabulary() -> list[str]:
    """Every word of the language in a fixed order (the tokenizer's ids follow it)."""
    words: list[str] = [*PUNCTUATION]
    for table in TABLES:
        for synonyms in table.values():
            words += synonyms
    for phrase in (*QUALITY_WORDS, *FILLER_WORDS):
        words += phrase.split()
    return list(dict.fromkeys(words))


def describe_vocabulary() -> str:
    """The vocabulary by kind, for help texts and error messages."""

    def listed(table: dict[str, tuple[str, ...]]) -> str:
        return ", ".join("/".join(synonyms) for synonyms in table.values())

    return (
        f"objects: {listed(SHAPE_WORDS)}\n"
        f"materials: {listed(MATERIAL_WORDS)}\n"
        f"views: {listed(VIEW_WORDS)} (followed by 'view')\n"
        f"quality: {', '.join(QUALITY_WORDS)}\n"
        f"faults: {listed(DEGRADATION_WORDS)}\n"
        f"other words: {', '.join(FILLER_WORDS)}"
    )


def split_words(text: str) -> list[str]:
    """Lower-case words and punctuation marks, as the tokenizer file splits them."""
    return re.findall(r"\w+|[^\w\s]", text.lower())


def check_words(text: str) -> None:
    """Raise ValueError listing the vocabulary if `text` has a word the small world does not know."""
    known = set(vocabulary())
    unknown = [w for w in split_words(text) if w not in known]
    if unknown:
        raise ValueError(
            f"The small world does not know {', '.join(map(repr, unknown))} (in the prompt {text!r}). "
            f"Use its words, or load a real checkpoint for free text. It knows\n{describe_vocabulary()}"
        )


@dataclass(frozen=True)
class Caption:
    """The meaning of a prompt: canonical words per attribute, empty if it says nothing."""

    shapes: tuple[str, ...] = ()
    materials: tuple[str, ...] = ()
    views: tuple[str, ...] = ()
    degradations: tuple[str, ...] = ()
    quality: bool = False


def parse(text: str) -> Caption:
    """Read a prompt. Raises ValueError on unknown words (see `check_words`)."""
    check_words(text)
    words = split_words(text)
    found: list[tuple[str, ...]] = []
    for table in TABLES:
        found.append(tuple(name for name, synonyms in table.items() if any(s in words for s in synonyms)))
    joined = " ".join(words)
    return Caption(*found, quality=any(q in joined for q in QUALITY_WORDS))


def parse_object(text: str) -> tuple[str, str] | None:
    """(shape, material) when the prompt names exactly one of each: then ground truth exists."""
    caption = parse(text)
    if len(caption.shapes) == 1 and len(caption.materials) == 1:
        return caption.shapes[0], caption.materials[0]
    return None


def _choice(options: tuple[str, ...], generator: torch.Generator, first: float = 0.6) -> str:
    """The first option with probability `first`, else any of them."""
    if len(options) == 1 or _chance(first, generator):
        return options[0]
    return options[int(torch.randint(len(options), (), generator=generator))]


def _chance(p: float, generator: torch.Generator) -> bool:
    return float(torch.rand((), generator=generator)) < p


def sample_caption(
    shape: str,
    material: str,
    view: str,
    degradations: tuple[str, ...],
    generator: torch.Generator,
    view_share: float = 0.9,  # how often the view is said
) -> str:
    """A random training caption: it says some true things about an image, and nothing false."""
    if _chance(0.10, generator):
        return ""
    noun = _choice(SHAPE_WORDS[shape], generator, 0.8) if _chance(0.94, generator) else "object"
    adjective = _choice(MATERIAL_WORDS[material], generator, 0.8) if _chance(0.94, generator) else ""
    if adjective == "wood":
        core = f"{noun} made of wood"
    else:
        core = f"{adjective} {noun}".strip()
    article = _choice(("a", "the", ""), generator, 0.7)
    prefixes = ("", "a photo of", "a render of", "a dslr photo of", "a 3d model of", "a picture of")
    prefix = _choice(prefixes, generator, 0.7)
    head = " ".join(w for w in (prefix, article, core) if w)
    tail: list[str] = []
    if degradations:
        order = torch.randperm(len(degradations), generator=generator).tolist()
        if not _chance(0.04, generator):
            named = [degradations[i] for i in order if _chance(0.97, generator)]
            tail += [_choice(DEGRADATION_WORDS[d], generator, 0.75) for d in named]
    elif _chance(0.5, generator):
        n = 1 + int(torch.randint(3, (), generator=generator))
        order = torch.randperm(len(QUALITY_WORDS), generator=generator).tolist()[:n]
        tail += [QUALITY_WORDS[i] for i in order]
    if _chance(view_share, generator):  # poses are the hardest to learn, and 3D depends on the words for them
        position = int(torch.randint(len(tail) + 1, (), generator=generator)) if _chance(0.25, generator) else 0
        tail.insert(position, f"{view} view")
    return ", ".join([head, *tail])
