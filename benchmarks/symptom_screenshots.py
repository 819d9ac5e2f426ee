"""Pictures of messages for docs/troubleshooting.md: `python -m benchmarks.symptom_screenshots [NAME ...]`.

Each message is provoked on a real ComfyUI server and photographed in a real Chromium: a step too large for the memory,
and a VAE behind a node that breaks its gradient. Written to docs/images; needs the development requirements.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Callable

from PIL import Image
from playwright.sync_api import Locator

from benchmarks.help_screenshots import take
from benchmarks.symptoms import FOLDER
from tests.web.conftest import SECONDS, Tab

TEXTS = 0.24  # of the panel's height, above its picture

# a patch that hides a part of the encoder from autograd
BROKEN_VAE = """class BrokenVAE:
    RETURN_TYPES, FUNCTION, CATEGORY = ("VAE",), "patch", "tests"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"vae": ("VAE",)}}

    def patch(self, vae):
        block = vae.first_stage_model.encoder.mid.block_1
        block.register_forward_hook(lambda module, inputs, output: (output + output.detach()) / 2)
        return (vae,)


NODE_CLASS_MAPPINGS = {"BrokenVAE": BrokenVAE}
NODE_DISPLAY_NAME_MAPPINGS = {"BrokenVAE": "A node that patches the VAE"}
"""


def photograph(element: Locator) -> Image.Image:
    return Image.open(io.BytesIO(element.screenshot())).convert("RGB")


def memory(tab: Tab) -> Image.Image:
    nodes = tab.load("Text to 3D", seed=1, latent_until=0, size=1024, views_per_step=8)
    tab.look_at(nodes["TBSD_Optimizer3D"])
    tab.queue()
    panel = tab.panel().filter(has_text="needs about")
    panel.wait_for(timeout=300 * SECONDS)
    picture = photograph(panel)
    picture = picture.crop((0, 0, picture.width, round(TEXTS * picture.height)))
    tab.page.evaluate("() => fetch('/interrupt', {method: 'POST'})")
    tab.wait("interrupted", seconds=300)
    return picture


def gradient(tab: Tab) -> Image.Image:
    nodes = tab.load("Text to 3D", seed=1, latent_until=0)
    script = """(ids) => {
        const models = app.graph.getNodeById(ids.TBSD_DemoModels), patch = LiteGraph.createNode("BrokenVAE");
        app.graph.add(patch);
        const slot = models.findOutputSlot("VAE"), links = [...models.outputs[slot].links];
        for (const {target_id, target_slot} of links.map((id) => ({...app.graph.links[id] ?? app.graph.links.get(id)})))
            patch.connect(0, app.graph.getNodeById(target_id), target_slot);
        models.connect(slot, patch, 0);
    }"""
    tab.page.evaluate(script, nodes)
    tab.look_at(nodes["TBSD_Optimizer3D"])
    tab.queue()
    message = tab.page.get_by_role("dialog").filter(has_text="The gradient of this VAE is wrong")
    message.wait_for(timeout=300 * SECONDS)
    tab.page.wait_for_timeout(1000)
    return photograph(message)


PICTURES: dict[str, Callable[[Tab], Image.Image]] = {
    "memory": memory,
    "gradient": gradient,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"all if none is named: {', '.join(PICTURES)}")
    take(PICTURES, parser.parse_args().names, FOLDER, {"broken_vae.py": BROKEN_VAE})


if __name__ == "__main__":
    main()
