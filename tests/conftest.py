"""The pack under the name `tbsd_pack`, as ComfyUI loads it (a package that sits nowhere on sys.path), and the real
hosts and servers of the tests in comfy/ and web/. A test that asks for `comfyui` or `server` runs on every host.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.hosts import HOSTS, ROOT, ComfyUI, describe_hosts, stop_warm
from tests.servers import Server, started

collect_ignore = ["contributions"]  # what test_contributing.py adds to a copy
# begun first, so that no process is left alone with one of them at the end
LONG = ("test_browser", "test_panels", "test_templates", "test_workflows", "test_parity", "test_sweep")

if "tbsd_pack" not in sys.modules:
    spec = importlib.util.spec_from_file_location(
        "tbsd_pack", ROOT / "__init__.py", submodule_search_locations=[str(ROOT)]
    )
    module = importlib.util.module_from_spec(spec)
    sys.modules["tbsd_pack"] = module
    spec.loader.exec_module(module)


def pytest_report_header() -> list[str]:
    return [f"on {line}" for line in describe_hosts()]


def pytest_terminal_summary(terminalreporter) -> None:
    terminalreporter.section("ComfyUI")
    for line in describe_hosts():
        terminalreporter.write_line(line)
    for host in (host.name for host in HOSTS):
        counts = {
            outcome: sum(("host", host) in getattr(report, "user_properties", []) for report in reports)
            for outcome, reports in terminalreporter.stats.items()
            if outcome in ("passed", "failed", "error", "skipped")
        }
        terminalreporter.write_line(f"{host}: " + (", ".join(f"{n} {k}" for k, n in counts.items() if n) or "no test"))


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("ComfyUI")
    group.addoption("--slow", action="store_true", help="also the tests with the mark slow")
    group.addoption("--hosts", choices=("some", "all"), default="some", help="all: those with the mark once on each")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "since(version): only on a ComfyUI of this version or a newer one")
    config.addinivalue_line("markers", "once: on the newest ComfyUI alone, or on each with --hosts all")
    config.addinivalue_line("markers", "slow: with --slow alone; a shorter test sees the same thing from nearer by")


@pytest.hookimpl(trylast=True)  # after pytest has put the tests of one fixture together
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Host by host, so that each process boots a host's server once; what needs no host last, as it is short."""
    left_out = {item for item in items if is_too_new(item) or is_seen_elsewhere(item) or is_too_slow(item)}
    items[:] = [item for item in items if item not in left_out]
    config.hook.pytest_deselected(items=list(left_out))
    for item in items:
        host = host_of(item)
        if host is not None:
            item.user_properties.append(("host", host.name))

    def place(item: pytest.Item) -> tuple[int, bool]:
        host = host_of(item)
        return len(HOSTS) if host is None else HOSTS.index(host), item.path.stem not in LONG

    items.sort(key=place)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log):
    """With `--dist loadfile` one process has the tests of a file on one host, in the order above; it has all of an
    older host, which are few, so that the other one does not boot that host as well.

    xdist's own groups, which a mark names, are lost with pytest 9.2.
    """
    if config.getvalue("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadScopeScheduling

    class HostAndFile(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file, _, test = nodeid.partition("::")
            named = [host.name for host in HOSTS if re.search(rf"[\[-]{re.escape(host.name)}[]-]", test)]
            if named and named[0] != newest and config.option.hosts != "all":
                return named[0]
            return " ".join([file, *named])

    config.option.loadscopereorder = False
    newest = max(HOSTS, key=lambda host: host.version).name if HOSTS else ""
    return HostAndFile(config, log)


def is_too_new(item: pytest.Item) -> bool:
    """Whether a test is about something that its host does not have yet."""
    mark, host = item.get_closest_marker("since"), host_of(item)
    return mark is not None and host is not None and host.version < tuple(map(int, mark.args[0].split(".")))


def is_seen_elsewhere(item: pytest.Item) -> bool:
    """Whether a long test, of what the versions do not differ in, is made on a newer host."""
    host = host_of(item)
    if host is None or item.get_closest_marker("once") is None or item.config.option.hosts == "all":
        return False
    return host is not max(HOSTS, key=lambda host: host.version)


def is_too_slow(item: pytest.Item) -> bool:
    return item.get_closest_marker("slow") is not None and not item.config.option.slow


def host_of(item: pytest.Item) -> ComfyUI | None:
    """The host that a test runs on; None if it needs none."""
    call = getattr(item, "callspec", None)
    return None if call is None else call.params.get("comfyui")


@pytest.fixture(scope="session", params=HOSTS or [None], ids=lambda host: host.name if host else "no host")
def comfyui(request: pytest.FixtureRequest) -> Iterator[ComfyUI]:
    if request.param is None:
        pytest.skip("no ComfyUI: set COMFYUI_PATH to a checkout, or install one with `make comfyui`")
    yield request.param
    stop_warm(request.param)


@pytest.fixture(scope="session")
def comfyuis() -> Iterator[list[ComfyUI]]:
    """All of them, for a test that compares them."""
    yield HOSTS
    for host in HOSTS:
        stop_warm(host)


@pytest.fixture(scope="session")
def server(comfyui: ComfyUI, tmp_path_factory: pytest.TempPathFactory):
    with started(comfyui, tmp_path_factory.mktemp("comfyui")) as running:
        yield running


@pytest.fixture(scope="session")
def checkpoint_of(comfyui: ComfyUI, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """By the name of a family: a checkpoint of random weights in its shape, made once for all hosts and processes."""
    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "checkpoints"
    folder.mkdir(exist_ok=True)

    def of(family: str) -> Path:
        path = folder / f"{family}.safetensors"
        if not path.exists():
            new = folder / f"{family}.{os.getpid()}.safetensors"
            comfyui.run_script(ROOT / "tests" / "comfy" / "inside" / "checkpoint.py", new, family)
            new.replace(path)
        return path

    return of


@pytest.fixture
def asked_for(server: Server) -> Iterator[list[Path]]:
    """Empty files of the names that templates of real models ask for, as the host's lists show them."""
    from PIL import Image

    graphs = [json.loads(path.read_text(encoding="utf-8")) for path in (ROOT / "workflows").glob("* with S*.json")]
    models = [model for graph in graphs for node in graph["nodes"] for model in node["properties"].get("models", [])]
    files = sorted({server.base / "models" / model["directory"] / model["name"] for model in models})
    Image.new("RGB", (64, 64), "gray").save(server.base / "input" / "example.png")  # which every ComfyUI has
    for file in files:
        file.parent.mkdir(exist_ok=True)
        file.touch()
    yield files
    for file in files:
        file.unlink()


@pytest.fixture(scope="session")
def outside_glb(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A mesh as another program writes it: two boxes, scaled by 30 and moved, each with a PBR material of its own and
    texture coordinates in which no two triangles overlap."""
    import numpy as np
    import trimesh
    from PIL import Image

    move, scene = trimesh.transformations.translation_matrix, trimesh.Scene()
    n = np.arange(12)[:, None, None]
    cells = np.concatenate([n % 4, n // 4], -1) / 4 + [[0.03, 0.03], [0.22, 0.03], [0.03, 0.22]]
    for i, name in enumerate(("Wood", "Steel")):
        numbers = np.random.default_rng(i).integers(0, 256, (4, 8, 8, 3), dtype=np.uint8)
        base, packed, normal, glow = (Image.fromarray(x).resize((64, 64), Image.Resampling.BICUBIC) for x in numbers)
        maps = {"metallicRoughnessTexture": packed, "normalTexture": normal, "emissiveTexture": glow}
        factors = {"metallicFactor": 0.5, "roughnessFactor": 0.75, "emissiveFactor": [1.0, 0.5, 0.25]}
        look = trimesh.visual.material.PBRMaterial(name=name, baseColorTexture=base, **maps, **factors)
        box = trimesh.creation.box((1, 1 + i, 1))
        corners, faces = box.vertices[box.faces].reshape(-1, 3), np.arange(36).reshape(12, 3)
        visual = trimesh.visual.TextureVisuals(uv=cells.reshape(-1, 2), material=look)
        made = trimesh.Trimesh(corners, faces, visual=visual, process=False)
        scene.add_geometry(made, transform=move((100, 5, -50)) @ np.diag((30, 30, 30, 1)) @ move((1.2 * i, 0, 0)))
    path = tmp_path_factory.mktemp("outside") / "outside.glb"
    scene.export(path)
    return path


@pytest.fixture(scope="session")
def start_server():
    """`started`, for tests that stop a server of their own."""
    return started
