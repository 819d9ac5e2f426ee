"""CONTRIBUTING.md is enough: in a copy of the pack, with the files of tests/contributions and one line in a table for
each, the command line and a ComfyUI server know the additions."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
CONTRIBUTIONS = ROOT / "tests" / "contributions"
SECONDS = 600
WRITTEN = ("docs/nodes.md", "docs/methods.md", "web/docs/TBSD_Guidance.md")  # by make docs


@dataclass(frozen=True)
class Part:
    """One thing that is added.

    Args:
        folder: in tests/contributions: the new files, as they lie in the pack.
        section: of CONTRIBUTING.md.
        name, label: what <name> and <Label> stand for there.
        lines: what files that are there get, each by the beginning of the one line that it then stands behind.
    """

    folder: str
    section: str
    name: str
    label: str
    lines: dict[str, dict[str, str]]

    @property
    def files(self) -> dict[str, Path]:
        """The new files by their paths in the pack."""
        own = CONTRIBUTIONS / self.folder
        return {p.relative_to(own).as_posix(): p for p in sorted(own.rglob("*")) if p.suffix in (".py", ".md")}

    @property
    def steps(self) -> list[str]:
        """The file that each step of the section names first."""
        text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").split(f"\n## {self.section}\n")[1]
        named = re.findall(r"^\d+\. `([^`]+)`", text.split("\n## ")[0], re.MULTILINE)
        return [path.replace("<name>", self.name).replace("<Label>", self.label) for path in named]


METHOD = Part(
    "method",
    "Add a guidance method",
    "pull",
    "Pull",
    {
        "tbsd_core/guidance/__init__.py": {'        "hifa",': '        "pull",'},
    },
)
BALANCER = Part(
    "balancer",
    "Add a balancer",
    "thirds",
    "Thirds",
    {
        "tbsd_core/balancing/__init__.py": {
            '        "orthogonal": "orthogonal.Orthogonal",': '        "thirds": "thirds.Thirds",'
        },
    },
)
SCENE = Part(
    "scene", "Add a scene", "ball", "Ball", {"tbsd_core/scenes/__init__.py": {'    "gaussians",': '    "ball",'}}
)
NODE = Part("node", "Add a node", "mirror", "Mirror", {"nodes/__init__.py": {'    "metrics",': '    "mirror",'}})
PARTS = (METHOD, BALANCER, SCENE, NODE)


def files_of(folder: Path) -> dict[str, Path]:
    """Tracked files, and new ones that git does not ignore; without git all that are there."""
    command = ["git", "ls-files", "-z", "-c", "-o", "--exclude-standard"]
    try:
        listed = subprocess.run(command, cwd=folder, capture_output=True, check=True, text=True).stdout.split("\0")
    except (OSError, subprocess.CalledProcessError):
        listed = [p.relative_to(folder).as_posix() for p in folder.rglob("*")]
    found = {name: folder / name for name in listed if name and "__pycache__" not in name}
    return {name: path for name, path in found.items() if path.is_file() and not path.is_symlink()}


@pytest.fixture(scope="module")
def pack(tmp_path_factory) -> Path:
    """A copy with all parts."""
    copy = tmp_path_factory.mktemp("contributed") / "pack"
    for name, path in files_of(ROOT).items():
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy / name)
    for part in PARTS:
        for name, path in part.files.items():
            assert not (copy / name).exists(), name
            shutil.copyfile(path, copy / name)
        for name, lines in part.lines.items():
            rows = (copy / name).read_text(encoding="utf-8").splitlines()
            for before, line in lines.items():
                (at,) = (i for i, row in enumerate(rows, 1) if row.startswith(before))
                rows.insert(at, line)
            (copy / name).write_text("\n".join(rows) + "\n", encoding="utf-8")
    python(copy, "-m", "tests.written")  # make docs
    return copy


def python(pack: Path, *arguments: object) -> str:
    """Python's output in the copy; it must succeed."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    command = [sys.executable, *map(str, arguments)]
    done = subprocess.run(command, cwd=pack, env=environment, capture_output=True, text=True, timeout=SECONDS)
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    return done.stdout


CALLS = """
import contextlib, io, json, sys
from tbsd_core.cli import main

printed = []
for arguments in json.loads(sys.argv[1]):
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.suppress(SystemExit):  # of --help
        assert main(arguments) == 0, arguments
    printed.append(out.getvalue())
print(json.dumps(printed))
"""


@pytest.fixture(scope="module")
def called(pack, tmp_path_factory) -> tuple[Path, dict[str, str]]:
    """Files and output of the copy's command line, in one process, because imports take the longest."""
    out = tmp_path_factory.mktemp("called")
    cube, small = ("--prompt", "a brick cube"), ("--scene", "ball", "--steps", 2, "--size", 16)
    thirds, own = ("--set", "guidance.balancer=thirds"), ("--set", "guidance.balancer=thirds_schedule")
    varied = (*cube, "--key", "scene.radius", "--values", 0.3, 0.6)
    calls = {
        "method": ("run", *cube, "--scene", "image", "--method", "pull", "--steps", 2),
        "scene": ("run", *cube, "--scene", "ball", *own, "--steps", 2),
        "vary": ("vary", *small, *varied, *thirds),
        "compare": ("compare", *small, "--prompts", "a brick cube", "--methods", "pull", "tbsd", *thirds),
        "help": ("run", "--help"),
        "presets": ("presets", "--family", "demo", "--scene", "ball"),
        "methods": ("methods",),
    }
    given = [
        [str(a) for a in (*words, *(() if name in ("help", "presets", "methods") else ("--out", out / name)))]
        for name, words in calls.items()
    ]
    printed = json.loads(python(pack, "-c", CALLS, json.dumps(given)).splitlines()[-1])
    return out, dict(zip(calls, printed, strict=True))


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.folder)
def test_a_part_is_what_its_section_names(part):
    assert sorted(part.steps) == sorted([*part.lines, *part.files])


def test_the_copy_differs_by_these_files_and_lines_alone(pack):
    before, after = files_of(ROOT), files_of(pack)
    assert after.keys() - before.keys() == {name for part in PARTS for name in part.files}
    assert not before.keys() - after.keys()
    changed = {name for name in before if before[name].read_bytes() != after[name].read_bytes()}
    assert changed - set(WRITTEN) == {name for part in PARTS for name in part.lines}
    for name in changed - set(WRITTEN):
        added = [line for part in PARTS for line in part.lines.get(name, {}).values()]
        old, new = (found[name].read_text(encoding="utf-8").splitlines() for found in (before, after))
        assert [line for line in new if line not in added] == old


def test_run_knows_the_method(called):
    report = json.loads((called[0] / "method" / "run.json").read_text(encoding="utf-8"))
    assert report["config"]["guidance"] == {"guidance_scale": 4.0, "weighting": "sigma2"}


def test_run_knows_the_scene_and_the_balancer(called):
    report = json.loads((called[0] / "scene" / "run.json").read_text(encoding="utf-8"))
    assert report["config"]["scene_name"] == "ball" and report["config"]["scene"]["softness"] == 0.02
    assert report["config"]["guidance"]["balancer"] == "thirds_schedule"
    assert report["warnings"] == [] and "mesh.glb" in report["files"]


def test_lists_and_presets_know_them(called):
    printed = called[1]
    assert "ball" in printed["help"]
    assert "optim.n_steps = 7  (ours: there is little to learn)" in printed["presets"]
    assert "pull\n" in printed["methods"]


def test_vary_and_compare_know_them(called):
    out = called[0]
    assert list((out / "vary").glob("*.png"))
    reports = [path.read_text(encoding="utf-8") for path in (out / "compare").rglob("run.json")]
    assert len(reports) == 2 and all('"ball"' in report for report in reports)
    assert sum('"thirds"' in report for report in reports) == 1


@pytest.mark.slow  # these tests run on the pack itself
def test_the_tests_of_the_pack_are_content(pack):
    """The tests that go through a table, for its new entries, and the tests of the new files."""
    where = ["core/balancing/test_balancers.py", "core/scenes", "core/test_presets.py", "core/test_configuration.py"]
    where += ["core/guidance", "core/experiment/test_cost.py"]
    files = [f"tests/{name}" for name in (*where, "core/test_cli.py", "test_help.py", "test_repository.py")]
    chosen = "pull or thirds or ball or mirror or specification or names_every or pictures_are_small or docs_and_pages"
    report = python(pack, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", chosen, *files)
    assert int(re.search(r"(\d+) passed", report)[1]) > 60
    counted = json.loads(python(pack, "tests/rehearsal/inside/steps.py", "ball,pull"))
    assert counted["ball pull"]["kernels"] > 0


@pytest.mark.once
def test_a_server_has_their_nodes(comfyui, start_server, pack, tmp_path):
    with start_server(comfyui, tmp_path / "server", pack=pack) as server:
        info = server.request("/object_info")
        radius = info["TBSD_BallScene"]["input"]["required"]["radius"]
        assert radius == ["FLOAT", radius[1]] and (radius[1]["default"], radius[1]["min"]) == (0.5, 0.05)
        assert "control_after_generate" in info["TBSD_BallScene"]["input"]["required"]["seed"][1]
        assert info["TBSD_PullGuidance"]["input"]["required"]["guidance_scale"][1]["default"] == 3.0
        assert "thirds" in json.dumps(info["TBSD_Guidance"]["input"]["required"]["balancer"])
        graph = {
            "ball": {"class_type": "TBSD_BallScene", "inputs": {"radius": 0.4, "seed": 0}},
            "views": {
                "class_type": "TBSD_RenderViews",
                "inputs": {"scene": ["ball", 0], "n_views": 1, "size": 32, "elevation": 0, "distance": 3, "fov_y": 36},
            },
            "mirror": {"class_type": "TBSD_Mirror", "inputs": {"images": ["views", 0]}},
            "show": {"class_type": "PreviewImage", "inputs": {"images": ["mirror", 0]}},
        }
        assert len(server.run(graph)["show"]["images"]) == 1
