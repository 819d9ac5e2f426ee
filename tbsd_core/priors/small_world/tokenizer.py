"""The word-level tokenizer of the learned prior, one file that diffusers and ComfyUI's CLIP both read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from .captions import check_words, vocabulary

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

START, END, UNKNOWN = "<|startoftext|>", "<|endoftext|>", "<|unknown|>"
MAX_LENGTH = 77  # Stable Diffusion's, so that ComfyUI pads and chunks as it always does


def write_tokenizer(folder: Path) -> None:
    """Write `folder`/tokenizer.json and its config (needs the `tokenizers` package)."""
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    tokens = [START, END, UNKNOWN, *vocabulary()]
    ids = {token: i for i, token in enumerate(tokens)}
    backend = Tokenizer(models.WordLevel(ids, unk_token=UNKNOWN))
    backend.normalizer = normalizers.Lowercase()
    backend.pre_tokenizer = pre_tokenizers.Split(Regex(r"\w+|[^\w\s]"), behavior="removed", invert=True)
    backend.add_special_tokens([START, END, UNKNOWN])
    backend.post_processor = processors.TemplateProcessing(
        single=f"{START} $A {END}", special_tokens=[(START, ids[START]), (END, ids[END])]
    )
    # Stable Diffusion pads with the end token; the text encoder is trained that way
    fast = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token=START,
        eos_token=END,
        pad_token=END,
        unk_token=UNKNOWN,
        model_max_length=MAX_LENGTH,
    )
    fast.save_pretrained(folder)


def load_tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    """Read the tokenizer that `write_tokenizer` wrote."""
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast.from_pretrained(folder)


def tokenize(tokenizer: PreTrainedTokenizerFast, texts: list[str]):
    """Token ids [B, 77] of prompts; an unknown word raises ValueError with the vocabulary."""
    for text in texts:
        check_words(text)
    return tokenizer(texts, padding="max_length", max_length=MAX_LENGTH, truncation=True, return_tensors="pt").input_ids
