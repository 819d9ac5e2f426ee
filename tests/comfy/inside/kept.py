"""Files that runs leave in the output folder: while they run, when they fail, and beyond the bounds."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import replace
from pathlib import Path

from pack import load_pack

load = load_pack()
import folder_paths  # noqa: E402
import torch  # noqa: E402

output = Path(sys.argv[3]) / "output"
folder_paths.set_output_directory(str(output))
folder_paths.set_user_directory(str(output.parent / "user"))
kept, runs, run, scenes = (load(f"nodes.bridge.{name}") for name in ("kept", "runs", "run", "scenes"))
Queued = load("nodes.bridge.queued").Queued
core = load("tbsd_core.experiment")

NODE = {"class_type": "TBSD_OptimizeImage", "inputs": {"scene": ["1", 0]}}
PROMPT = {"7:3": NODE, "1": {"class_type": "TBSD_ImageScene", "inputs": {}}, "9": {"class_type": "Other", "inputs": {}}}
config = core.default_config("a brick house", "image", "sds", prior="exact", n_steps=9, size=16)
experiment = core.Experiment(config, core.read_prior(config))


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.rglob("*") if p.is_file() and p.name != ".lock")


def begun(steps: int = 0):
    """A run whose experiment has done some steps, the state of each of which is kept."""
    made = runs.open_run(Queued("7:3", None, PROMPT), 9)
    experiment = core.Experiment(config, core.read_prior(config))
    made.begin(experiment, "First step")
    save = core.Autosave(made.folder.state, experiment, 0, keep_previous=True, say=made.warn)
    for _, record in zip(range(steps), experiment.steps(), strict=False):
        made.advance(record.step + 1)
        if save():
            made.kept(experiment.state.step)
    return made


report = {}
one = begun(2)
report["while it runs"] = names(one.folder.path)
report["is held"] = kept.is_held(one.folder.path)
report["offered while it runs"] = [about.run for about in kept.unfinished()]
report["removed while it runs"] = kept.remove(one.folder.path)
try:
    with run.watched(one):
        raise RuntimeError("no memory")
except RuntimeError:
    (about,) = kept.unfinished()
    report["failed"] = [one.status, about.status, about.saved, about.steps, about.text, dict(about.nodes)]
found = scenes.load_with_run(one.folder.state)
report["loaded"] = [scenes.run_of(found).step, scenes.origin_of(found).id == one.id]
one.folder.state.write_bytes(b"torn")
report["torn"] = scenes.run_of(scenes.load_with_run(one.folder.state)).step

two = begun(2)  # its process dies
two.folder._lock.release()
report["died"] = [(about.run == two.id, about.status) for about in kept.unfinished()][:1]
three = runs.open_run(Queued("7:3", None, PROMPT), 9, continues=two.id)
report["continued, nothing saved yet"] = two.id in [about.run for about in kept.unfinished()]
three.begin(experiment, "")
core.Autosave(three.folder.state, experiment, 0)()
three.kept(3)
report["continued"] = two.id in [about.run for about in kept.unfinished()]
three.finish("done")
report["done without a graph"] = three.id in [about.run for about in kept.unfinished()]

four = begun(0)
four.finish("failed", "at once")
report["without a state"] = four.folder.path.exists()

before = [about.run for _, about in kept.kept_runs()]
kept.write_about(one.folder.path, kept.read_about(one.folder.path))
kept.mark_used(one.folder.path)  # the oldest was read now
settings = output.parent / "user" / "default" / "comfy.settings.json"
settings.parent.mkdir(parents=True)
five = begun(1)
kept.write_about(three.folder.path, replace(kept.read_about(three.folder.path), graph=True))
settings.write_text(json.dumps({"tbsd.runs.number": 3}))
kept.tidy()
left = {about.run for _, about in kept.kept_runs()}
report["what a later run has continued"] = [two.id in left, three.id in left]
settings.write_text(json.dumps({"tbsd.runs.number": 2}))
new = kept.runs_root() / kept.new_id()  # another server makes it at this moment
new.mkdir()
kept.tidy()
report["another server's new folder"] = new.exists()
left = {about.run for _, about in kept.kept_runs()}
report["beyond the number"] = [len(before), len(left), five.id in left, one.id in left]
settings.write_text(json.dumps({"tbsd.runs.gigabytes": 1e-9}))
kept.tidy()
report["beyond the size"] = [about.run == five.id for _, about in kept.kept_runs()]
five.finish("interrupted")
report["hostile"] = []
hostile = [{"run": five.id, "node": 3}, {"run": five.id, "node": "", "continues": []}, {"run": "x", "node": ""}]
for text in ("[]", "{", "[" * 100_000, *map(json.dumps, hostile)):
    (five.folder.path / "about.json").write_text(text)
    report["hostile"].append(kept.unfinished() == [] and kept.read_about(five.folder.path) is None)
settings.write_text("[]")
report["settings that are none"] = kept.bounds()
(settings.parents[1] / "second").mkdir()  # as with --multi-user
(settings.parents[1] / "second" / settings.name).write_text(json.dumps({"tbsd.runs.number": 50}))
report["settings of two"] = kept.bounds()

folder_paths.set_input_directory(str(output.parent / "input"))
for folder in ("output", "input"):  # two of one name
    core.save_scene(experiment.scene, output.parent / folder / "tbsd" / "twice.safetensors")
files = load("nodes.bridge.files")
listed = [entry["file"] for entry in load("nodes.bridge.scene_files").scene_files() if entry["kind"] == "scene"]
report["listed"] = {name: files.existing_output(name).parents[1].name for name in listed}

folder_paths.set_output_directory("/dev/null/none")
six = runs.open_run(Queued("7:3"), 9)
report["no room"] = [six.folder is None, *six.warnings]
with torch.no_grad():
    experiment.scene.pixels.fill_(float("nan"))
try:
    run.check_finite(experiment.scene)
except RuntimeError as error:
    report["nan"] = str(error)
six.step, six.n_steps = 100, 110  # a run that was resumed after 100 steps
for step in range(101, 104):
    six.advance(step)
    time.sleep(0.05)
report["remaining"] = six.event()["remaining"]

progress, drawn = load("nodes.bridge.progress").RunProgress(9, None), []


def preview():
    drawn.append(True)
    time.sleep(0.05)
    return torch.zeros(1, 3, 8, 8)


progress(1, preview)
report["previews"] = [progress.drawing]
progress.drawn = time.monotonic() - 10
progress(2, preview)
report["previews"].append(progress.drawing >= 0.05)
for seconds in (2.0, 0.5):  # that the last one took, ten seconds ago
    progress.drawn, progress.drawing = time.monotonic() - 10, seconds
    before = len(drawn)
    progress(2, preview)
    report["previews"].append(len(drawn) - before)
print(json.dumps(report))
