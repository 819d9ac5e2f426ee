"""A real Chromium on the pages of the real server; tests skip with the reason where one of both is missing.

Screenshots go to $TBSD_SCREENSHOTS, else to a temporary folder that pytest keeps for its last runs.
"""

from __future__ import annotations

import json
import os
import shutil
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Page

ROOT = Path(__file__).resolve().parents[2]
OPTIMIZERS = ("TBSD_OptimizeImage", "TBSD_Optimizer3D", "TBSD_RefineAsMesh")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--use-gl=angle"]
FLAGS += ["--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]  # the host's page asks the network for models
FLAGS += ["--use-angle=swiftshader", "--enable-unsafe-swiftshader"]  # software GL, for the 3D viewers
# a graph that is loaded before the host has restored the last one is replaced by that
READY = """() => Boolean((window.app?.isGraphReady ?? window.app?.graph)
    && window.app.extensionManager?.workflow?.activeWorkflow
    && window.LiteGraph?.registered_node_types['TBSD_Optimizer3D'])"""
# frontend 1.49 reads its own graph while it starts, also without any pack
TOO_EARLY = "ComfyApp graph accessed before initialization"
SECONDS = 1000  # milliseconds, as Playwright counts
FAST = {"steps": 12, "views_per_step": 4, "size": 48, "n_views": 6, "detail": 17, "n_samples": 12, "resolution": 32}


def find_chromium() -> str | None:
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, names)), None)


@pytest.fixture(scope="session")
def browser():
    sync_api = pytest.importorskip("playwright.sync_api", reason="no playwright: pip install playwright")
    executable = find_chromium()
    if executable is None:
        pytest.skip("no Chromium: install it or set CHROMIUM to its path")
    with sync_api.sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=executable, args=FLAGS)
        yield found
        found.close()


@pytest.fixture(scope="session")
def screenshots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = Path(os.environ.get("TBSD_SCREENSHOTS") or tmp_path_factory.mktemp("screenshots"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@dataclass
class Tab:
    """A browser tab on ComfyUI, with what a test asks of it."""

    FAST: ClassVar = FAST  # in place of the real sizes of templates

    page: Page
    url: str
    screenshots: Path
    errors: list[str] = field(default_factory=list)  # of the console and of the page
    alerts: list[str] = field(default_factory=list)
    changed: dict[str, object] = field(default_factory=dict)  # settings as they were
    is_spent: bool = False  # shows what the next test must not see

    def __post_init__(self) -> None:
        self.page.set_default_timeout(120 * SECONDS)  # a busy machine boots the frontend slowly
        self.page.on("pageerror", lambda error: self.errors.append(error.stack or str(error)))
        self.page.on("console", self.hear)
        self.page.on("dialog", self.dismiss)

    def hear(self, message) -> None:
        """The host asks for files that an installation may lack (user.css, translations); that is not the pack's."""
        url = message.location.get("url", "")
        is_host_file = message.text.startswith("Failed to load resource") and "tbsd" not in url.lower()
        if message.type == "error" and not is_host_file and message.text != TOO_EARLY:
            self.errors.append(f"{message.text} ({url})")

    def dismiss(self, dialog) -> None:
        if dialog.type == "beforeunload":  # the graph is not saved
            dialog.accept()
        else:
            self.alerts.append(dialog.message)
            dialog.dismiss()

    def open(self) -> Tab:
        self.page.goto(self.url)
        self.ready()
        return self

    def leave_subgraph(self) -> None:
        """Frontend 1.27 stays in it when another graph is opened."""
        self.page.evaluate("() => app.canvas.setGraph(app.rootGraph ?? app.graph)")

    def emptied(self) -> Tab:
        """As it was opened: with an empty graph, and nothing kept by the page or by an earlier test."""
        self.leave_subgraph()
        self.errors.clear()
        self.changed.clear()
        script = """async () => {
            await app.extensionManager.command.execute('Comfy.NewBlankWorkflow');
            const store = app.extensionManager.workflow;
            for (const workflow of [...store.openWorkflows])
                if (workflow.path !== store.activeWorkflow.path) await store.closeWorkflow(workflow);
        }"""
        self.page.evaluate(script)
        self.page.mouse.move(750, 475)
        return self

    def reload(self) -> None:
        self.page.reload()
        self.ready()

    def ready(self) -> None:
        self.page.wait_for_function(READY, timeout=120 * SECONDS)

    @property
    def headline(self) -> str:
        return self.panel().locator(".tbsd-headline").inner_text()

    def button(self, name: str):
        """A button of the panel."""
        return self.panel().get_by_role("button", name=name)

    def load(self, name: str, **widgets) -> dict[str, str]:
        """Open a shipped workflow as its template does, and set widgets by name; ids of the nodes by class."""
        graph = json.loads((ROOT / "workflows" / f"{name}.json").read_text(encoding="utf-8"))
        script = """async ([graph, widgets]) => {
            await app.loadGraphData(graph);
            for (const node of app.graph.nodes)
                for (const widget of node.widgets ?? [])
                    if (widget.name in widgets) widget.value = widgets[widget.name];
            return Object.fromEntries(app.graph.nodes.map((node) => [node.comfyClass ?? node.type, String(node.id)]));
        }"""
        return self.page.evaluate(script, [graph, widgets])

    def set(self, setting: str, value) -> None:
        """Change a setting of the host; the fixture that opens tabs puts it back."""
        script = """async ([name, value]) => {
            const settings = app.extensionManager.setting, before = settings.get(name);
            await settings.set(name, value);
            return before;
        }"""
        before = self.page.evaluate(script, [setting, value])
        self.changed.setdefault(setting, before)

    def queue(self) -> None:
        self.page.evaluate("() => app.queuePrompt(0)")

    def panel(self, status: str | None = None):
        """The panel, with this status."""
        return self.page.locator(".tbsd-panel" + (f'[data-status="{status}"]' if status else ""))

    def wait(self, status: str, seconds: float = 120) -> None:
        self.panel(status).first.wait_for(state="attached", timeout=seconds * SECONDS)

    def wait_for(self, script: str, seconds: float = 120) -> None:
        self.page.wait_for_function(script, timeout=seconds * SECONDS)

    def outputs(self, seconds: float = 240) -> dict[str, dict]:
        """The outputs that the nodes show once the graph has run, by their ids; the page must show no error."""
        waiting = "async () => Object.values(await (await fetch('/queue')).json()).flat().length"
        for _ in range(round(2 * seconds)):
            self.page.wait_for_timeout(500)  # in which the graph reaches the queue, or the page hears of the end
            if self.page.evaluate(waiting) == 0:
                break
        assert self.page.locator(".p-dialog:visible, .comfy-error-report:visible").count() == 0, "an error dialog"
        return self.page.evaluate("() => app.nodeOutputs")

    def look_at(self, node_id: str, scale: float = 1.0) -> None:
        """Bring a node to the middle of the canvas."""
        script = """([id, scale]) => {
            const node = app.graph.getNodeById(id);
            app.canvas.ds.scale = scale;
            app.canvas.centerOnNode(node);
            app.canvas.setDirty(true, true);
        }"""
        self.page.evaluate(script, [node_id, scale])
        self.page.wait_for_timeout(400)

    def show_all(self) -> None:
        self.page.evaluate("() => app.extensionManager.command.execute('Comfy.Canvas.FitView')")
        self.page.wait_for_timeout(600)

    def shoot(self, name: str) -> Path:
        path = self.screenshots / f"{name}.png"
        self.page.screenshot(path=str(path))
        return path

    def missing_nodes(self) -> list[str]:
        script = """() => app.graph.nodes.filter((node) => node.has_errors
            || !(node.type in LiteGraph.registered_node_types)).map((node) => node.type)"""
        return self.page.evaluate(script)

    def curve_pixels(self) -> int:
        """Drawn pixels of the curves of the panel that draws most."""
        script = """() => {
            const drawn = [...document.querySelectorAll('.tbsd-panel canvas')].map((canvas) => {
                if (!canvas.width || !canvas.height) return 0;
                const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
                let n = 0;
                for (let i = 3; i < data.length; i += 4) n += data[i] > 100;
                return n;
            });
            return Math.max(0, ...drawn);
        }"""
        return self.page.evaluate(script)

    def draws_curves(self, pixels: int) -> bool:
        """Whether a panel comes to draw more than so many pixels of curves; a busy machine is slow to."""
        for _ in range(50):
            if self.curve_pixels() > pixels:
                return True
            self.page.wait_for_timeout(200)
        return False

    def picture(self) -> dict:
        """Address and width of the picture in the first panel."""
        script = """() => {
            const image = document.querySelector('.tbsd-stage img');
            return {url: image.src, width: image.naturalWidth, alt: image.alt};
        }"""
        return self.page.evaluate(script)


@pytest.fixture(scope="session")
def idle(browser) -> list[Tab]:
    """Tabs that a test is done with and the next one takes."""
    return []


@pytest.fixture
def tabs_on(browser, screenshots, idle):
    """A context manager that opens tabs on a server; at its end none of them may have an error in its console or have
    shown an alert."""

    @contextmanager
    def tabs_on(server):
        tabs: list[Tab] = []

        def make(context=None) -> Tab:
            """Without a context it may be one that an earlier test has opened: a page boots for seconds."""
            while idle and context is None:
                tab = idle.pop()
                if tab.url == server.url:
                    server.wait_until_idle()
                    tabs.append(tab)
                    return tab.emptied()
                tab.page.context.close()
            if context is None:
                # with --disable-api-nodes version 0.33 forbids its own 3D viewer the textures that it makes
                size = {"width": 1500, "height": 950}
                context = browser.new_context(viewport=size, bypass_csp=True, reduced_motion="reduce")
            tabs.append(Tab(context.new_page(), server.url, screenshots))
            return tabs[-1].open()

        is_whole = False
        try:
            yield make
            is_whole = True
        finally:
            server.request("/interrupt", {})
            live = {"Comfy.VueNodes.Enabled", "Comfy.ColorPalette"}  # which act without a reload
            kept = tabs[0] if is_whole and tabs and tabs[0].changed.keys() <= live and not tabs[0].is_spent else None
            for tab in tabs:
                for setting, before in list(tab.changed.items()):
                    tab.set(setting, before)
            for tab in tabs:
                if kept is not None and tab.page.context == kept.page.context:
                    if tab is not kept:
                        tab.page.close(run_before_unload=False)
                else:
                    tab.page.context.close()
            errors = [error for tab in tabs for error in tab.errors]
            alerts = [alert for tab in tabs for alert in tab.alerts]
            if kept is not None and not errors and not alerts:
                idle.append(kept)
            elif kept is not None:
                kept.page.context.close()
        assert errors == []
        assert alerts == []

    return tabs_on


@pytest.fixture
def open_tab(server, tabs_on):
    with tabs_on(server) as open_tab:
        yield open_tab
