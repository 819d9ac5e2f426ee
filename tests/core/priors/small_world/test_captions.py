from __future__ import annotations

import pytest
import torch
from tbsd_pack.tbsd_core.priors.small_world.captions import (
    QUALITY_WORDS,
    TABLES,
    Caption,
    check_words,
    describe_vocabulary,
    parse,
    parse_object,
    sample_caption,
    split_words,
    vocabulary,
)
from tbsd_pack.tbsd_core.priors.small_world.degrade import DEGRADATIONS
from tbsd_pack.tbsd_core.priors.small_world.materials import MATERIALS
from tbsd_pack.tbsd_core.priors.small_world.shapes import SHAPES
from tbsd_pack.tbsd_core.priors.small_world.world import VIEWS


def test_vocabulary_has_every_word_once():
    words = vocabulary()
    assert len(words) == len(set(words))
    assert all(split_words(word) == [word] for word in words)
    spoken = {s for table in TABLES for synonyms in table.values() for s in synonyms}
    spoken |= {*SHAPES, *MATERIALS, *VIEWS, *DEGRADATIONS, *(w for q in QUALITY_WORDS for w in q.split())}
    assert spoken <= set(words)
    assert spoken <= set(split_words(describe_vocabulary()))


def test_no_synonym_has_two_meanings():
    synonyms = [s for table in TABLES for options in table.values() for s in options]
    assert len(synonyms) == len(set(synonyms))


FIELDS = ("shapes", "materials", "views", "degradations")


@pytest.mark.parametrize("table, field", list(zip(TABLES, FIELDS, strict=True)), ids=FIELDS)
def test_every_synonym_reads_as_its_canonical_word(table, field):
    for name, synonyms in table.items():
        assert name in synonyms
        for synonym in synonyms:
            assert parse(f"a {synonym.upper()}, thing") == Caption(**{field: (name,)})


def test_parse_reads_all_parts():
    caption = parse("a photo of a wooden donut, back view, sharp, high quality")
    assert caption == Caption(("torus",), ("wooden",), ("back",), (), True)
    assert parse("").shapes == () and not parse("high view").quality


def test_parse_object_needs_exactly_one_of_each():
    assert parse_object("a spotted toadstool, blurry") == ("mushroom", "dotted")
    assert parse_object("a house") is None
    assert parse_object("brick") is None
    assert parse_object("a brick house and a cube") is None


def test_unknown_words_are_named_beside_the_vocabulary():
    with pytest.raises(ValueError) as error:
        check_words("a glass dragon on a house")
    message = str(error.value)
    assert "'glass', 'dragon', 'on'" in message and "'house'" not in message
    assert describe_vocabulary() in message


def test_a_training_caption_never_says_anything_false():
    generator = torch.Generator().manual_seed(0)
    shapes, materials, faults = list(SHAPES), list(MATERIALS), list(DEGRADATIONS)
    said = {"shapes": 0, "materials": 0, "views": 0, "degradations": 0, "quality": 0}
    for i in range(3000):
        shape, material, view = shapes[i % 8], materials[i % 6], VIEWS[i % 4]
        true = tuple(faults[j] for j in range(6) if i >> (j + 2) & 1 and i % 3)
        text = sample_caption(shape, material, view, true, generator)
        caption = parse(text)
        assert set(caption.shapes) <= {shape}, text
        assert set(caption.materials) <= {material}, text
        assert set(caption.views) <= {view}, text
        assert set(caption.degradations) <= set(true), text
        assert not (caption.quality and true), text
        for name in said:
            said[name] += bool(getattr(caption, name))
    assert min(said.values()) > 400


def test_captions_follow_their_generator():
    a, b = (sample_caption("house", "brick", "back", (), torch.Generator().manual_seed(5)) for _ in range(2))
    assert a == b
