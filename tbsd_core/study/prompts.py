"""The file of a sweep's prompts: one JSON object per line."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

MAX_BYTES, MAX_LINES, MAX_LINE_BYTES, MAX_TEXT = 64 * 2**20, 100_000, 64 * 2**10, 4_000


@dataclass(frozen=True)
class PromptLine:
    """A prompt, and the settings of its cells besides the command line's."""

    line: int  # from 1
    prompt: str
    name: str = ""  # tells two lines with the same prompt apart
    settings: dict[str, str] = field(default_factory=dict)  # by dotted name, as `run --set` reads them


def read_prompts(path: Path) -> list[PromptLine]:
    """The lines of a file; empty ones are left out.

    Raises:
        ValueError: anything but objects with a prompt and single values; the message names the line.
        FileNotFoundError: there is no such file.
    """
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise ValueError(f"{path} has {size} bytes; at most {MAX_BYTES} are read. Split it.")
    lines: list[PromptLine] = []
    seen: dict[tuple[str, str], int] = {}
    with path.open("rb") as file:
        for number, raw in enumerate(file, 1):
            if not raw.strip():
                continue
            try:
                line = _line(number, raw)
            except ValueError as error:
                raise ValueError(f"{path}, line {number}: {error}") from None
            other = seen.setdefault((line.prompt, line.name), number)
            if other != number:
                raise ValueError(
                    f'{path}, line {number}: repeats the prompt of line {other}. Give one of them a "name", or '
                    "leave it out."
                )
            lines.append(line)
            if len(lines) > MAX_LINES:
                raise ValueError(f"{path} has more than {MAX_LINES} prompts. Split it.")
    if not lines:
        raise ValueError(f'{path} holds no prompt; it needs lines like {{"prompt": "a brick house"}}.')
    return lines


def _line(number: int, raw: bytes) -> PromptLine:
    if len(raw) > MAX_LINE_BYTES:
        raise ValueError(f"{len(raw)} bytes; at most {MAX_LINE_BYTES} are read.")
    try:
        text = raw.decode("utf-8-sig" if number == 1 else "utf-8")  # some editors begin a file with a mark
        stored = json.loads(text, object_pairs_hook=_object, parse_constant=_no_constant)
    except UnicodeDecodeError:
        raise ValueError("not UTF-8.") from None
    except json.JSONDecodeError as error:
        raise ValueError(f'not JSON ({error}); expected an object like {{"prompt": "a brick house"}}.') from None
    except RecursionError:
        raise ValueError("nested too deeply.") from None
    if not isinstance(stored, dict):
        raise ValueError(f'expected an object like {{"prompt": "a brick house"}}, got {_short(stored)}.')
    texts = {}
    for key in ("prompt", "name"):
        text = stored.pop(key, None if key == "prompt" else "")
        if not isinstance(text, str) or (key == "prompt" and not text.strip()):
            raise ValueError(f'"{key}" must be a text, got {_short(text)}.')
        if len(text) > MAX_TEXT or not text.isprintable():
            raise ValueError(f'"{key}" must be one line of at most {MAX_TEXT} characters, got {_short(text)}.')
        texts[key] = text
    settings = {key: _text(key, value) for key, value in stored.items()}
    return PromptLine(number, texts["prompt"], texts["name"], settings)


def _text(key: str, value: Any) -> str:
    """A setting's value as the command line would have it."""
    if "." not in key:
        raise ValueError(f'unknown key {key!r}; expected "prompt", "name" or a dotted setting such as "optim.lr".')
    if isinstance(value, dict):
        raise ValueError(f"{key!r} must be a single value or a list, got {_short(value)}.")
    return value if isinstance(value, str) else json.dumps(value)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = [key for key, _ in pairs]
    twice = sorted({key for key in keys if keys.count(key) > 1}) if len(set(keys)) < len(keys) else []
    if twice:
        raise ValueError(f"the key {twice[0]!r} appears twice.")
    return dict(pairs)


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not a number.")


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
