"""Writes a ControlNet that goes with the UNet of checkpoint.py: random weights in the format of lllyasviel's files."""

from __future__ import annotations

import json
import sys

from pack import load_pack

load_pack()
import comfy.cldm.cldm  # noqa: E402
import comfy.controlnet  # noqa: E402
import tiny  # noqa: E402
from checkpoint_shape import SHAPE  # noqa: E402
from safetensors.torch import save_file  # noqa: E402

options = {k: v for k, v in {**tiny.UNET, **SHAPE}.items() if k not in ("out_channels", "transformer_depth_output")}
net = tiny.randomize(comfy.cldm.cldm.ControlNet(**options, hint_channels=3))
weights = {f"control_model.{k}": v.half().contiguous() for k, v in net.state_dict().items()}
save_file(weights, sys.argv[3])
read = comfy.controlnet.load_controlnet(sys.argv[3])
print(json.dumps(type(read.control_model).__name__))
