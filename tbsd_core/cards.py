"""Speeds of graphics cards, to estimate the time of a run before it begins.

The numbers are the makers' peaks of dense products in float16, summed in float32 as torch does, in TFLOP/s. A run gets
an assumed share of them, SUSTAINED (ours). After a few steps the run reports the measured time.
"""

from __future__ import annotations

import torch

SUSTAINED = 0.4  # ours: assumed 40 % of the maker's dense fp16 figure

PEAKS: dict[str, float] = {  # TFLOP/s by the end of the name that torch gives
    "RTX 5090": 209.5,
    "RTX 5080": 112.6,
    "RTX 5070 Ti": 87.9,
    "RTX 5070": 61.7,
    "RTX 5060 Ti": 47.4,
    "RTX 5060": 38.4,
    "RTX 4090": 165.2,
    "RTX 4080 SUPER": 104.4,
    "RTX 4080": 97.5,
    "RTX 4070 Ti SUPER": 88.2,
    "RTX 4070 Ti": 80.2,
    "RTX 4070 SUPER": 70.9,
    "RTX 4070": 58.3,
    "RTX 4060 Ti": 44.1,
    "RTX 4060": 30.2,
    "RTX 3090 Ti": 80.0,
    "RTX 3090": 71.2,
    "RTX 3080 Ti": 68.2,
    "RTX 3080": 59.5,
    "RTX 3070 Ti": 43.5,
    "RTX 3070": 40.6,
    "RTX 3060 Ti": 32.4,
    "RTX 3060": 25.5,
    "RTX 2080 Ti": 53.8,
    "RTX 2080": 40.3,
    "RTX 2070": 29.9,
    "RTX 2060": 25.8,
    "RTX 6000 Ada Generation": 364.2,
    "RTX A6000": 154.8,
    "RTX A5000": 111.1,
    "RTX A4000": 76.7,
    "Tesla T4": 65.1,
    "Tesla V100-SXM2": 125.0,
    "Tesla V100-PCIE": 112.0,
    "A10": 125.0,
    "A40": 149.7,
    "A100-SXM4": 312.0,
    "A100-PCIE": 312.0,
    "L4": 121.0,
    "L40": 181.0,
    "L40S": 362.0,
    "H100 PCIe": 756.0,
    "H100": 989.0,
    "H200": 989.0,
}
MAKERS = ("NVIDIA ", "GeForce ")
OF_THE_MEMORY = ("GB", "NVL", "HBM3", "80GB", "40GB", "HBM3e")  # what may follow a name of PEAKS


def card_name(device: torch.device) -> str:
    """The name of a device, such as "NVIDIA GeForce RTX 4090"; "" if it is not a CUDA or ROCm card."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else ""


def short_name(name: str) -> str:
    for maker in MAKERS:
        name = name.removeprefix(maker)
    return name


def sustained(name: str) -> float | None:
    """The assumed FLOP/s of a card, by its name; None for a card that is not in the table, such as a laptop's."""
    short = short_name(name)
    for card in sorted(PEAKS, key=len, reverse=True):
        rest = short.removeprefix(card)
        is_whole = rest != short and rest[:1] in ("", " ", "-")
        if is_whole and all(_is_memory(part) for part in rest.replace("-", " ").split()):
            return SUSTAINED * PEAKS[card] * 1e12
    return None


def _is_memory(part: str) -> bool:
    return part in OF_THE_MEMORY or part.removesuffix("GB").isdigit()
