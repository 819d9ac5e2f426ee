"""What a run leaves behind while it goes on, when it fails, and when it has ended."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from pack import load_pack

load = load_pack()
import folder_paths  # noqa: E402
import torch  # noqa: E402

output = Path(sys.argv[3])
folder_paths.set_output_directory(str(output))
runs, run, scenes = load("nodes.bridge.runs"), load("nodes.bridge.run"), load("nodes.bridge.scenes")
optim, images = load("tbsd_core.optim"), load("tbsd_core.scenes")


def names() -> list[str]:
    return sorted(p.name for p in output.rglob("*") if p.is_file())


scene = images.ImageScene(images.ImageConfig(size=4))
config = optim.OptimConfig(n_steps=9)
state = optim.OptimState.create(scene, config)


def snapshot():
    return optim.take_snapshot(state, config)


report = {}
one = runs.open_run(9, "7:3", None)
one.advance(1)
for step in (4, 5):
    state.step = step
    run.autosave(one, scene, snapshot)
report["while it runs"] = names()
found = [scenes.run_of(scenes.load_with_run(output / "tbsd" / name)).step for name in names()]
report["steps"] = found
try:
    with run.watched(one, scene, snapshot):
        raise RuntimeError("no memory")
except RuntimeError:
    report["failed"] = [one.status, *names()]
two = runs.open_run(9, "7:3", None)
two.advance(9)
with run.watched(two, scene, snapshot):
    pass
report["ended"] = [two.status, *names()]
with torch.no_grad():
    scene.pixels.fill_(float("nan"))
try:
    run.check_finite(scene)
except RuntimeError as error:
    report["nan"] = str(error)
folder_paths.set_output_directory("/dev/null/none")
run.autosave(two, scene, snapshot)
report["no room"] = two.warnings
print(json.dumps(report))
