from __future__ import annotations

import json

import pytest
from tbsd_pack.tbsd_core.priors.small_world.captions import vocabulary
from tbsd_pack.tbsd_core.priors.small_world.learned import WEIGHTS
from tbsd_pack.tbsd_core.priors.small_world.tokenizer import (
    END,
    MAX_LENGTH,
    START,
    UNKNOWN,
    load_tokenizer,
    tokenize,
    write_tokenizer,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("tokenizer")
    write_tokenizer(path)
    return path


def test_a_prompt_becomes_start_words_end_and_padding(folder):
    tokenizer = load_tokenizer(folder)
    words = ["a", "brick", "house", ",", "front", "view"]
    (ids,) = tokenize(tokenizer, ["A BRICK house,front View"]).tolist()
    assert len(ids) == MAX_LENGTH
    assert tokenizer.convert_ids_to_tokens(ids[:8]) == [START, *words, END]
    assert set(ids[8:]) == {tokenizer.pad_token_id} == {tokenizer.convert_tokens_to_ids(END)}
    assert tokenizer.convert_ids_to_tokens([0, 1, 2]) == [START, END, UNKNOWN]


def test_every_word_has_an_id_of_its_own(folder):
    tokenizer = load_tokenizer(folder)
    ids = tokenizer.convert_tokens_to_ids(vocabulary())
    assert ids == list(range(3, 3 + len(vocabulary()))) and len(tokenizer) == 3 + len(vocabulary())


def test_batches_and_overlong_prompts_keep_the_length(folder):
    ids = tokenize(load_tokenizer(folder), ["", "brick " * 200])
    assert ids.shape == (2, MAX_LENGTH)
    assert ids[0, 1] == ids[1, -1] == 1


def test_unknown_words_are_refused(folder):
    with pytest.raises(ValueError, match="'dragon'"):
        tokenize(load_tokenizer(folder), ["a house", "a dragon"])


def test_the_shipped_tokenizer_is_what_the_code_writes(folder):
    def stored(path):
        return json.loads((path / "tokenizer.json").read_text(encoding="utf-8"))

    written, shipped = stored(folder), stored(WEIGHTS / "tokenizer")
    for part in ("model", "normalizer", "pre_tokenizer", "post_processor", "added_tokens"):
        assert written[part] == shipped[part], part
