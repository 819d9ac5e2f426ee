"""CLIP's tokenizer, which single checkpoints do not carry: the vocabulary follows from the list of merges."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

PACK = Path(__file__).resolve().parents[4]
# The registry's archive of the pack leaves its copy out: in a ComfyUI's custom_nodes the host's is the same file.
MERGES = (Path(__file__).parent / "merges.txt", PACK.parents[1] / "comfy" / "sd1_tokenizer" / "merges.txt")
START, END = "<|startoftext|>", "<|endoftext|>"


def merges_file(places: Sequence[Path] = MERGES) -> Path:
    """The list of merges. Raises FileNotFoundError saying what can be done without it."""
    for path in places:
        if path.is_file():
            return path
    raise FileNotFoundError(
        "The list of CLIP's tokens, which single checkpoints do not carry, was not found in any of "
        f"{', '.join(map(str, places))}. Take the pack from its repository, which has it, or name a pipeline "
        "folder with a tokenizer of its own."
    )


def vocabulary() -> list[str]:
    """The 49408 tokens by id: bytes, bytes that end a word, one token per merge, the two special ones."""
    lines = merges_file().read_text(encoding="utf-8").splitlines()
    merged = [line.replace(" ", "") for line in lines if line and not line.startswith("#version")]
    return [*byte_symbols(), *(symbol + "</w>" for symbol in byte_symbols()), *merged, START, END]


def byte_symbols() -> list[str]:
    """One printable character per byte: printable ones stand for themselves and come first."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    return [chr(b) for b in printable] + [chr(256 + i) for i in range(256 - len(printable))]


def write_tokenizer(folder: Path, pad_token: str) -> None:
    """Write the tokenizer's files as a part of a pipeline folder."""
    folder.mkdir(parents=True)
    shutil.copyfile(merges_file(), folder / "merges.txt")
    vocab = {token: i for i, token in enumerate(vocabulary())}
    (folder / "vocab.json").write_text(json.dumps(vocab), encoding="utf-8")
    config = {
        "tokenizer_class": "CLIPTokenizer",
        "model_max_length": 77,
        "bos_token": START,
        "eos_token": END,
        "unk_token": END,
        "pad_token": pad_token,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
