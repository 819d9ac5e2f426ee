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
core = load("tbsd_core.experiment")


def names() -> list[str]:
    return sorted(p.name for p in output.rglob("*") if p.is_file())


config = core.default_config("a brick house", "image", "sds", prior="exact", n_steps=9, size=16)
experiment = core.Experiment(config, core.read_prior(config))

report = {}
one = runs.open_run(9, "7:3", None)
one.advance(1)
save = core.Autosave(one.autosaved(), experiment, 0, keep_previous=True, say=one.warn)
steps = experiment.steps()
for _ in range(2):
    next(steps)
    save()
report["while it runs"] = names()
found = [scenes.run_of(scenes.load_with_run(output / "tbsd" / name)).step for name in names()]
report["steps"] = found
try:
    with run.watched(one, experiment):
        raise RuntimeError("no memory")
except RuntimeError:
    report["failed"] = [one.status, *names()]
two = runs.open_run(9, "7:3", None)
two.advance(9)
with run.watched(two, experiment):
    pass
report["ended"] = [two.status, *names()]
folder_paths.set_output_directory("/dev/null/none")
core.Autosave(two.autosaved(), experiment, 0, keep_previous=True, say=two.warn)()
report["no room"] = two.warnings
with torch.no_grad():
    experiment.scene.pixels.fill_(float("nan"))
try:
    run.check_finite(experiment.scene)
except RuntimeError as error:
    report["nan"] = str(error)
print(json.dumps(report))
