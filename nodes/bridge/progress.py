"""The visible signs of a long run: progress bar, live preview, curves, and the cancel button working."""

from __future__ import annotations

import time

import comfy.model_management
import comfy.utils
import torch
from PIL import Image
from torch import Tensor

from ...tbsd_core.optim import Backlog, StepRecord
from .events import send_step
from .runs import Run

PREVIEW_SECONDS = 0.25
PREVIEW_SHARE = 0.1  # of the time, at most: a latent scene is decoded for each preview
PREVIEW_AT_LEAST = 15.0  # seconds between previews, however long they take
EVENT_SECONDS = 0.1
PREVIEW_PIXELS = 512
SHOWN = 4  # pictures of a step that a preview has room for
MIN_PREVIEW_PIXELS = 192  # tiny renders are enlarged, a 64-pixel stamp is hard to judge


class RunProgress:
    """Call it once per step; raises ComfyUI's interrupt exception when the user cancelled.

    Args:
        run: what panels are shown of it; None for nodes without a panel.
    """

    def __init__(self, n_steps: int, node_id: str | None, run: Run | None = None) -> None:
        self.n_steps, self.node_id, self.run = n_steps, node_id, run
        self.bar = comfy.utils.ProgressBar(n_steps, node_id=node_id)
        self.drawn = self.sent = float("-inf")
        self.drawing = 0.0  # seconds of the last preview
        self.backlog = Backlog()

    def __call__(self, step: int, preview, record: StepRecord | None = None, last: bool = False) -> None:
        """Report `step` done steps.

        Args:
            preview: a function that renders [B, 3, H, W]; it runs a few times a second, less often if it takes long,
                and for the `last` report.
            record: what panels draw curves of. It is read a step late where a device still works on it.
        """
        comfy.model_management.throw_exception_if_processing_interrupted()
        now = time.monotonic()
        last = last or step >= self.n_steps
        image = None
        if last or now - self.drawn >= min(max(PREVIEW_SECONDS, self.drawing / PREVIEW_SHARE), PREVIEW_AT_LEAST):
            # waits for the step, which would count as drawing
            torch.zeros((), device=comfy.model_management.get_torch_device()).item()
            start = time.monotonic()
            with torch.no_grad():
                image = ("JPEG", to_pil(preview()), PREVIEW_PIXELS)
            self.drawing = 0.0 if self.drawn < 0 else time.monotonic() - start  # the first one prepares, too
            self.drawn = time.monotonic()
        if self.run is not None:
            self.run.advance(step)
            reports = [] if record is None else [*self.backlog.add(record), *(self.backlog.rest() if last else ())]
            for report in reports:
                self.run.add(report.step + 1, report.scalars)
            if image is not None:
                self.run.show(image[1])
            if now - self.sent >= EVENT_SECONDS:
                self.sent = now
                send_step(self.run.event())
        self.bar.update_absolute(step, self.n_steps, image)


def to_pil(images: Tensor) -> Image.Image:
    """Images [B, 3, H, W] in [0, 1] side by side as one picture."""
    strip = torch.cat(list(images[:SHOWN].detach().float().cpu()), dim=-1)
    array = (strip.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).contiguous().numpy()
    picture = Image.fromarray(array)
    if picture.height < MIN_PREVIEW_PIXELS:
        factor = MIN_PREVIEW_PIXELS // picture.height + (MIN_PREVIEW_PIXELS % picture.height > 0)
        picture = picture.resize((picture.width * factor, picture.height * factor), Image.Resampling.NEAREST)
    return picture
