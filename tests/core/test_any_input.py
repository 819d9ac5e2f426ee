"""Whatever a file, a command line or a prompt says: a result, or a ValueError that a user can read."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tbsd_pack.tbsd_core.configuration import all_settings, from_plain, to_plain, with_setting
from tbsd_pack.tbsd_core.experiment import config_from_plain, default_config
from tbsd_pack.tbsd_core.priors.small_world.captions import check_words, parse_object
from tbsd_pack.tbsd_core.scenes import SCENES

CONFIG = default_config("a brick house", "nerf", "tbsd")
PLAIN = json.loads(json.dumps(to_plain(CONFIG)))
NAMES = sorted(all_settings(CONFIG))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
SOME = settings(max_examples=300, deadline=None, derandomize=True)


def told(call) -> None:
    """The call ends well, or with a ValueError of some words."""
    try:
        call()
    except ValueError as error:
        assert len(str(error)) > 12


@SOME
@given(
    st.sampled_from(NAMES) | st.text(max_size=30), st.text(max_size=30) | st.sampled_from(["nan", "1e999", "-1", "()"])
)
def test_settings_of_the_command_line(name, text):
    told(lambda: with_setting(CONFIG, name, text))


@SOME
@given(st.data())
def test_configurations_of_files(data):
    stored = json.loads(json.dumps(PLAIN))
    group = stored
    for _ in range(3):
        key = data.draw(st.sampled_from(sorted(group)) if group else st.just("x"))
        if isinstance(group.get(key), dict) and group[key] and data.draw(st.booleans()):
            group = group[key]
            continue
        group[key] = data.draw(VALUES)
        break
    told(lambda: config_from_plain(stored))


@SOME
@given(st.sampled_from(sorted(SCENES)), st.dictionaries(st.text(max_size=12), VALUES, max_size=3))
def test_configurations_of_scenes(name, stored):
    told(lambda: from_plain(SCENES[name].config, stored))


@SOME
@given(st.text(max_size=60))
def test_prompts(text):
    told(lambda: check_words(text))
    told(lambda: parse_object(text))


def test_what_is_written_is_read_back():
    assert config_from_plain(PLAIN) == CONFIG
    with pytest.raises(ValueError, match="has no setting nothing"):
        config_from_plain(PLAIN | {"optim": {"nothing": 1}})
