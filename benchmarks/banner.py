"""The picture at the head of the pack's page in the registry: `python -m benchmarks.banner`, after the thumbnails.

The turns of three templates side by side, in the format that the page asks for (21 : 9).
"""

from __future__ import annotations

from PIL import Image

from benchmarks.thumbnails import fitted, save_small
from tests.hosts import ROOT

WIDTH, HEIGHT = 1260, 540
TEMPLATES = ("Text to 3D", "Texture my mesh", "Text to splats")
MAX_BYTES = 90_000


def main() -> None:
    with Image.open(ROOT / "workflows" / f"{TEMPLATES[0]}.jpg") as sheet:
        background = sheet.convert("RGB").getpixel((4, 4))
    banner = Image.new("RGB", (WIDTH, HEIGHT), background)
    for place, name in enumerate(TEMPLATES):
        with Image.open(ROOT / "workflows" / f"{name}.jpg") as sheet:
            side = sheet.height // 2
            for row in range(2):  # two views of its turn
                view = sheet.crop((row * side, row * side, (row + 1) * side, (row + 1) * side)).convert("RGB")
                cell = fitted(view, WIDTH // 6, WIDTH // 6)
                left = (2 * place + row) * (WIDTH // 6)
                banner.paste(cell, (left, (HEIGHT - cell.height) // 2))
    print(save_small(banner, ROOT / "web" / "banner.jpg", MAX_BYTES), "bytes")


if __name__ == "__main__":
    main()
