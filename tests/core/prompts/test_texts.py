from __future__ import annotations

import pytest
from tbsd_pack.tbsd_core.cameras.sampling import VIEW_NAMES
from tbsd_pack.tbsd_core.prompts import (
    CONDITION_NAMES,
    VIEW_WORDS,
    PromptConfig,
    build_texts,
    generic_negative_text,
    target_negative_text,
    with_view,
)

CONFIG = PromptConfig(prompt="a brick house", target_modifier="sharp", negative_descriptors="blurry, dark")


def test_view_words_are_those_of_the_cameras():
    assert VIEW_WORDS == VIEW_NAMES


def test_texts_of_every_condition():
    texts = build_texts(CONFIG)
    assert tuple(texts) == CONDITION_NAMES
    assert texts["target"] == {
        "": "a brick house, sharp",
        "front": "a brick house, front view, sharp",
        "side": "a brick house, side view, sharp",
        "back": "a brick house, back view, sharp",
        "overhead": "a brick house, overhead view, sharp",
    }
    assert texts["target_negative"][""] == "a brick house, blurry, dark"
    assert texts["target_negative"]["back"] == "a brick house, back view, blurry, dark"
    assert texts["negative"] == {"": "blurry, dark"}
    assert texts["uncond"] == {"": ""}


def test_without_views_every_condition_has_one_text():
    texts = build_texts(PromptConfig(prompt=" a cube ", view_dependent=False, target_modifier=""))
    assert {name: list(views) for name, views in texts.items()} == {name: [""] for name in CONDITION_NAMES}
    assert texts["target"][""] == "a cube"


def test_builders():
    assert with_view("a cube", "front") == "a cube, front view"
    assert with_view("a cube", "") == "a cube"
    assert target_negative_text("a cube", "blurry") == "a cube, blurry"
    assert generic_negative_text("blurry") == "blurry"


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="prompt must say"):
        PromptConfig(prompt="  ")
    with pytest.raises(ValueError, match="negative_descriptors"):
        build_texts(PromptConfig(prompt="a cube", negative_descriptors=" "))
    with pytest.raises(ValueError, match="known: target"):
        build_texts(CONFIG, ["style"])


def test_conditions_that_need_no_descriptors_can_be_built_without():
    config = PromptConfig(prompt="a cube", negative_descriptors="")
    assert list(build_texts(config, ("target", "uncond"))) == ["target", "uncond"]
