from __future__ import annotations

import re

import pytest
from tbsd_pack.tbsd_core.configuration import all_settings
from tbsd_pack.tbsd_core.experiment import default_config
from tbsd_pack.tbsd_core.prompts import PromptConfig, PromptSet, build_texts, encode_texts
from tbsd_pack.tbsd_core.prompts.sets import HOW_TO_ADD


def test_each_distinct_text_is_encoded_once():
    seen = []
    texts = build_texts(PromptConfig(prompt="a cube"))
    texts["negative"] = {"": "", "front": ""}  # the same text as uncond
    prompts = encode_texts(texts, lambda text: seen.append(text) or text.upper())
    assert len(seen) == len(set(seen)) == 11  # 5 target, 5 target_negative, ""
    assert prompts.conditions["target"]["side"] == texts["target"]["side"].upper()
    assert prompts.texts == texts
    assert prompts.names == ("target", "uncond", "negative", "target_negative", "source")


def test_select_falls_back_to_any_view():
    prompts = encode_texts({"target": {"": "t", "front": "t front"}, "uncond": {"": ""}}, str)
    assert prompts.select("target", ["front", "back", ""]) == ["t front", "t", "t"]
    assert prompts.select("uncond", ["front", "side"]) == ["", ""]


@pytest.mark.parametrize(("name", "hint"), [("target_negative", "Add TNP"), ("negative", "Add GNP")])
def test_missing_condition_says_what_adds_it(name, hint):
    prompts = encode_texts({"target": {"": "t"}}, str)
    with pytest.raises(ValueError, match=f'{hint} with the node "Target Negative Prompt"'):
        prompts.select(name, [""])


def test_hints_name_settings_that_the_command_line_knows():
    named = re.findall(r"setting: ([\w.]+)", " ".join(HOW_TO_ADD.values()))
    assert named and set(named) <= all_settings(default_config("a brick house")).keys()


def test_with_conditions_adds_and_replaces():
    base = encode_texts({"target": {"": "old"}, "uncond": {"": ""}}, str)
    extended = base.with_conditions(encode_texts({"target": {"": "new"}, "negative": {"": "blurry"}}, str))
    assert extended.names == ("target", "uncond", "negative")
    assert extended.select("target", [""]) == ["new"]
    assert base.select("target", [""]) == ["old"]


def test_malformed_sets_are_refused():
    with pytest.raises(ValueError, match="Unknown condition name"):
        PromptSet({"style": {"": 0}}, {})
    with pytest.raises(ValueError, match="any view"):
        PromptSet({"target": {"front": 0}}, {})
