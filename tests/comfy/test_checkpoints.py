"""A whole checkpoint as ComfyUI names its weights is read by the headless prior, every weight in its place."""

from __future__ import annotations

import json
import math
import struct
from pathlib import Path

import pytest
import torch
from tbsd_pack.tbsd_core.priors.diffusers import check_pipeline
from tbsd_pack.tbsd_core.priors.diffusers.clip_bpe import MERGES, PACK
from tbsd_pack.tbsd_core.priors.diffusers.single_file import load_single_file, recognise

INSIDE = Path(__file__).parent / "inside"


def write_zeros(path: Path, shapes: dict[str, list[int]]) -> Path:
    """A .safetensors file of zeros in half precision that takes no room on the disk."""
    header, end = {}, 0
    for name, shape in shapes.items():
        start, end = end, end + 2 * math.prod(shape)
        header[name] = {"dtype": "F16", "shape": shape, "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + end)
    return path


@pytest.fixture(scope="module")
def shapes(comfyui) -> dict[str, list[int]]:
    return comfyui.run_script(INSIDE / "checkpoint_names.py")


def test_every_weight_of_stable_diffusion_1_has_its_place(shapes, tmp_path):
    path = write_zeros(tmp_path / "sd1.safetensors", shapes)
    assert check_pipeline(path).family == "sd15"
    parts = load_single_file(path, recognise(path), torch.float16)
    models = {name: part for name, part in parts.items() if isinstance(part, torch.nn.Module)}
    counts = {name: sum(p.numel() for p in part.parameters()) for name, part in models.items()}
    assert counts == {"unet": 859_520_964, "vae": 83_653_863, "text_encoder": 123_060_480}
    assert not any(bool(p.any()) for part in models.values() for p in part.parameters()), "a weight was made up"


def test_the_hosts_list_of_tokens_is_the_packs(comfyui):
    ours, hosts = MERGES
    place = hosts.relative_to(PACK.parents[1])  # the pack lies in custom_nodes/<name> of the host
    assert (comfyui.path / place).read_bytes() == ours.read_bytes()
