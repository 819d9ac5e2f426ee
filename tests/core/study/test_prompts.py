from __future__ import annotations

import json
from pathlib import Path

import pytest
from tbsd_pack.tbsd_core.study import PromptLine, read_prompts
from tbsd_pack.tbsd_core.study.prompts import MAX_LINE_BYTES, MAX_TEXT

ROOT = Path(__file__).resolve().parents[3]


def written(folder: Path, text: str | bytes) -> Path:
    path = folder / "prompts.jsonl"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_lines_keep_their_numbers_and_values_read_as_the_command_line_has_them(tmp_path):
    text = '{"prompt": "a brick house"}\n\n{"prompt": "ein Löwe", "name": "b", "optim.lr": 0.5, "prompt.x": null}\r\n'
    text += '{"prompt": "p", "guidance.balancer": "mgda", "scene.list": [1, 2], "prompt.view_dependent": false}'
    assert read_prompts(written(tmp_path, "\ufeff" + text)) == read_prompts(written(tmp_path, text)), "Notepad's mark"
    assert read_prompts(written(tmp_path, text)) == [
        PromptLine(1, "a brick house"),
        PromptLine(3, "ein Löwe", "b", {"optim.lr": "0.5", "prompt.x": "null"}),
        PromptLine(4, "p", "", {"guidance.balancer": "mgda", "scene.list": "[1, 2]", "prompt.view_dependent": "false"}),
    ]


@pytest.mark.parametrize(
    "line, message",
    [
        ("a brick house", "line 2: not JSON"),
        (b'{"prompt": "\xff"}', "line 2: not UTF-8"),
        ('["a"]', "line 2: expected an object"),
        ("{}", 'line 2: "prompt" must be a text, got None'),
        ('{"prompt": " "}', '"prompt" must be a text'),
        ('{"prompt": 5}', '"prompt" must be a text, got 5'),
        ('{"prompt": "a\\nb"}', "must be one line"),
        ('{"prompt": "%s"}' % ("a" * (MAX_TEXT + 1)), "at most 4000 characters"),
        ('{"prompt": "%s"}' % ("a" * MAX_LINE_BYTES), "bytes; at most"),
        ('{"prompt": "a", "prompt": "b"}', "the key 'prompt' appears twice"),
        ('{"prompt": "a", "seed": 1}', "unknown key 'seed'"),
        ('{"prompt": "a", "optim.lr": {"x": 1}}', "'optim.lr' must be a single value"),
        ('{"prompt": "a", "optim.lr": NaN}', "NaN is not a number"),
        ('{"prompt": "first"}', "repeats the prompt of line 1"),
        ("[" * 30_000, "line 2: nested too deeply"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_what_is_no_line_is_named_with_its_number(line, message, tmp_path):
    raw = line if isinstance(line, bytes) else line.encode()
    with pytest.raises(ValueError) as caught:
        read_prompts(written(tmp_path, b'{"prompt": "first"}\n' + raw + b"\n"))
    assert message in str(caught.value) and len(str(caught.value)) < 500


def test_an_empty_file_and_none_are_refused(tmp_path):
    with pytest.raises(ValueError, match="holds no prompt"):
        read_prompts(written(tmp_path, "\n\n"))
    with pytest.raises(FileNotFoundError):
        read_prompts(tmp_path / "none.jsonl")


def test_the_workflow_that_a_sweep_queues_is_the_template_with_the_settings_of_each_method():
    """It ships inside the core, which an installation without the templates has, too."""
    template = json.loads((ROOT / "tests" / "workflows" / "Text to image.json").read_text(encoding="utf-8"))
    queued = json.loads((ROOT / "tbsd_core" / "study" / "text_to_image.json").read_text(encoding="utf-8"))
    recommended = queued.pop("8")
    assert (recommended["class_type"], recommended["inputs"]["scene"]) == ("TBSD_RecommendedSettings", "latent")
    assert queued["3"]["inputs"].pop("settings") == queued["4"]["inputs"].pop("settings") == ["8", 10]
    template["3"]["inputs"]["kind"], template["5"]["inputs"]["n_images"] = "both", 1
    assert queued == template
