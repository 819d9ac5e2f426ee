"""Rules for the repository as a whole: who may import whom, and what a package may ship."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
CORE, NODES = ROOT / "tbsd_core", ROOT / "nodes"
COMFY = {"comfy", "comfy_api", "comfy_extras", "comfy_execution", "folder_paths", "nodes", "server", "execution"}
FORBIDDEN_REQUIREMENTS = {"torch", "torchvision", "torchaudio", "transformers", "comfyui"}
SKIPPED = {".git", ".venv", "venv", "output", "node_modules", "__pycache__", ".ruff_cache", ".pytest_cache"}


def files(folder: Path = ROOT) -> list[Path]:
    return [p for p in folder.rglob("*") if p.is_file() and not SKIPPED & set(p.relative_to(ROOT).parts)]


def python_files(*folders: Path) -> list[Path]:
    return sorted(p for folder in folders for p in files(folder) if p.suffix == ".py")


def imports(path: Path, top_level: bool = False) -> Iterator[tuple[int, str]]:
    """(level, dotted module) of every import; of those run on import alone where `top_level`."""

    def visit(node: ast.AST) -> Iterator[ast.AST]:
        for child in ast.iter_child_nodes(node):
            if top_level and isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)):
                continue
            if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
                continue
            yield child
            yield from visit(child)

    for node in visit(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((0, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.module:
                yield node.level, node.module
            yield from ((node.level, f"{node.module or ''}.{alias.name}".strip(".")) for alias in node.names)


def packages_of_core(path: Path) -> set[str]:
    """First-level parts of tbsd_core that a file of it imports, e.g. {"cameras", "rng"}."""
    inside = path.relative_to(CORE).parts[:-1]
    found = set()
    for level, module in imports(path):
        if level:
            base = inside[: len(inside) - (level - 1)]
            found.add([*base, *module.split(".")][0])
    return found


def top(modules: Iterator[tuple[int, str]]) -> set[str]:
    return {module.split(".")[0] for level, module in modules if level == 0}


@pytest.mark.parametrize("path", python_files(CORE), ids=lambda p: p.relative_to(ROOT).as_posix())
def test_the_core_stands_alone(path):
    assert top(imports(path, top_level=True)) <= {"torch", "numpy"} | sys.stdlib_module_names
    assert not top(imports(path)) & (COMFY | {"tbsd_core", "tbsd_pack"})
    assert not any(name.startswith("comfy") for name in top(imports(path)))
    depth = len(path.relative_to(CORE).parts)
    assert all(level <= depth for level, _ in imports(path)), "a relative import leaves tbsd_core"


@pytest.mark.parametrize(
    "package, never",
    [
        ("guidance", {"scenes", "cameras", "renderer", "mesh", "optim"}),
        ("scenes", {"priors", "guidance", "balancing", "prompts", "optim"}),
        ("priors", {"scenes", "renderer", "guidance", "balancing", "prompts", "optim", "mesh", "metrics"}),
        ("renderer", {"scenes", "priors", "guidance", "balancing", "prompts", "optim", "mesh", "metrics"}),
        ("balancing", {"scenes", "renderer", "priors", "guidance", "prompts", "cameras", "optim", "mesh"}),
        ("prompts", {"scenes", "renderer", "guidance", "balancing", "optim", "mesh", "metrics"}),
        ("cameras", {"scenes", "renderer", "priors", "guidance", "balancing", "prompts", "optim", "mesh"}),
        ("mesh", {"priors", "guidance", "balancing", "prompts", "optim", "metrics"}),
        ("optim", {"metrics", "mesh"}),
        ("analysis", {"renderer", "mesh", "benchmark", "commands"}),
    ],
)
def test_packages_of_the_core_see_only_what_they_may(package, never):
    paths = python_files(CORE / package)
    assert paths
    seen = {p.relative_to(ROOT).as_posix(): sorted(packages_of_core(p) & (never | {"cli", "run"})) for p in paths}
    assert {path: parts for path, parts in seen.items() if parts} == {}


def test_guidance_sees_of_the_priors_only_their_interface():
    for path in python_files(CORE / "guidance"):
        for level, module in imports(path):
            if level == 2 and module.split(".")[0] == "priors" and module != "priors":
                assert module.split(".")[1] in ("base", "schedule"), path


def test_only_the_bridge_touches_comfyui():
    for path in python_files(NODES):
        found = {name for name in top(imports(path)) if name in COMFY or name.startswith("comfy")}
        allowed = found if (NODES / "bridge") in path.parents else {"comfy_api"}
        assert found <= allowed, f"{path}: {found - allowed}"


def test_one_module_asks_what_the_host_has():
    """Modules of the host are looked into, and imports of it tried, in nodes/bridge/compat.py alone."""
    for path in python_files(NODES):
        if path.name == "compat.py":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("hasattr", "getattr"):
                asked = ast.unparse(node.args[0]).split(".")[0]
                assert asked not in COMFY | {"io", "ui", "host", "PromptServer"}, f"{path}:{node.lineno}"
                assert not asked.startswith("comfy"), f"{path}:{node.lineno}"
            if isinstance(node, ast.Try):
                tried = [n for part in node.body for n in ast.walk(part) if isinstance(n, (ast.Import, ast.ImportFrom))]
                assert not tried, f"{path}:{node.lineno}"


def test_what_is_imported_before_a_node_is_asked_for_is_light():
    """The pack imports nothing; its node classes no heavy library beside torch, which the host has loaded."""
    heavy = {"diffusers", "nerfacc", "xatlas", "trimesh", "skimage", "scipy", "matplotlib", "gsplat"}
    heavy |= {"fast_simplification", "transformers", "accelerate", "requests", "ray"}
    for path in python_files(NODES, CORE):
        assert not top(imports(path, top_level=True)) & heavy, path


def test_the_pack_imports_nothing_when_comfyui_lists_it():
    assert not list(imports(ROOT / "__init__.py", top_level=True))
    assert not list(imports(CORE / "__init__.py"))


@pytest.mark.parametrize("path", python_files(CORE, NODES), ids=lambda p: p.relative_to(ROOT).as_posix())
def test_no_pickle_and_no_evaluated_text(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert not top(imports(path)) & {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            assert called not in ("eval", "exec", "compile", "__import__", "torch.load", "torch.save"), node.lineno
            assert not any(k.arg == "allow_pickle" for k in node.keywords), node.lineno


def test_the_network_is_reached_from_the_files_that_are_meant_to():
    """Servers that a user names for a sweep, and the host's own server; libraries fetch only with --allow-download."""
    network = {"socket", "urllib", "http", "requests", "aiohttp", "httpx", "websockets", "ftplib", "smtplib", "ssl"}
    meant = {"tbsd_core/study/comfyui.py", "nodes/bridge/routes.py"}
    found = {p.relative_to(ROOT).as_posix() for p in python_files(CORE, NODES) if top(imports(p)) & network}
    assert found == meant


def toml_lists(name: str) -> list[str]:
    """A list of strings from pyproject.toml, whose parser Python 3.10 lacks."""
    body = re.search(rf"^{name} = \[(.*?)^\]", pyproject(), re.DOTALL | re.MULTILINE)
    assert body is not None, name
    return re.findall(r'^\s*"([^"]+)"', body.group(1), re.MULTILINE)


def pyproject() -> str:
    return (ROOT / "pyproject.toml").read_text(encoding="utf-8")


def setting(section: str, name: str) -> str:
    body = re.search(rf"^\[{re.escape(section)}\]\n(.*?)(?=^\[|\Z)", pyproject(), re.DOTALL | re.MULTILINE)
    assert body is not None, section
    value = re.search(rf'^{re.escape(name)} = "([^"]*)"', body.group(1), re.MULTILINE)
    assert value is not None, f"[{section}] {name}"
    return value.group(1)


def requirements() -> list[str]:
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    return [line.split("#")[0].strip() for line in lines if line.split("#")[0].strip()]


FRONTEND = "comfyui-frontend-package>=1.27.10"  # for the registry alone: a host has its own


def test_requirements_are_the_dependencies_with_lower_bounds_only():
    assert [FRONTEND, *requirements()] == toml_lists("dependencies")
    for line in requirements():
        match = re.fullmatch(r"([A-Za-z0-9-]+)>=\d+(\.\d+)*", line)
        assert match, f"{line}: a lower bound and nothing else"
        assert match.group(1).lower() not in FORBIDDEN_REQUIREMENTS


def test_every_bound_has_its_reason():
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    assert all("#" in line for line in lines if line.strip())


def test_the_registry_finds_what_it_needs():
    assert setting("project", "name") == "tbsd-score-distillation"
    assert setting("project", "requires-python") == ">=3.10"
    assert setting("tool.comfy", "requires-comfyui") == ">=0.3.64"
    assert setting("tool.comfy", "PublisherId") and setting("tool.comfy", "DisplayName")
    for name in ("Icon", "Banner"):
        address = setting("tool.comfy", name)
        assert address.startswith("https://") and (ROOT / address.split("/main/")[1]).is_file()
    assert setting("project.urls", "Repository").startswith("https://")
    assert (ROOT / "LICENSE").read_text(encoding="utf-8").lstrip().startswith("Apache License")


def test_sources_are_read_on_a_windows_of_the_west():
    """comfy-test, which comfy-test.toml is for, refuses Python files that cp1252 cannot hold."""
    for path in python_files(ROOT):
        path.read_text(encoding="utf-8").encode("cp1252")
    config = (ROOT / "comfy-test.toml").read_text(encoding="utf-8")
    run = re.findall(r'"(.+?)\.json"', config)
    assert run and all((ROOT / "workflows" / f"{name}.json").is_file() for name in run)


def test_the_changelog_names_the_version():
    assert f"## {setting('project', 'version')}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").splitlines()


def tracked() -> list[Path]:
    """The files of the repository; without git (an installed copy) everything that is there."""
    try:
        listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return files()
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]


def test_the_archive_holds_all_that_the_pack_needs():
    """The files that the registry leaves out of the published archive, by the patterns that it reads as git reads its
    own."""
    command = ["git", "ls-files", "-z", "-c", "-i", "--exclude-from=.comfyignore"]
    try:
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True).stdout.split("\0")
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    left_out = {name.split("/")[0] for name in listed if name}
    assert left_out >= {"tests", "benchmarks", "docs"}
    assert not any(name.startswith("web/") for name in listed), "help pages are read in ComfyUI"
    assert not left_out & {"__init__.py", "nodes", "web", "workflows", "locales", "LICENSE", "requirements.txt"}


def test_the_archive_is_below_fifteen_megabytes(tmp_path):
    command = ["git", "ls-files", "-z", "-c", "-i", "--exclude-from=.comfyignore"]
    try:
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True).stdout.split("\0")
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    left_out = {ROOT / name for name in listed if name}
    with zipfile.ZipFile(tmp_path / "pack.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for path in tracked():
            if path not in left_out:
                archive.write(path, path.relative_to(ROOT))
    assert (tmp_path / "pack.zip").stat().st_size < 15_000_000


def test_no_file_is_large_except_the_weights():
    weights = CORE / "priors" / "small_world" / "weights"
    large = [str(p) for p in tracked() if p.stat().st_size > 2**20 and weights not in p.parents]
    assert large == []
    assert sum(p.stat().st_size for p in files(weights)) <= 12_000_000
