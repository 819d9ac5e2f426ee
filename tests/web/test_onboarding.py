"""How a newcomer finds in: the template browser, and the help page of a node."""

from __future__ import annotations

from pathlib import Path

import pytest

pytestmark = pytest.mark.once  # the host's own pages

ROOT = Path(__file__).resolve().parents[2]
PACK = "tbsd-score-distillation"


@pytest.mark.slow  # tests/comfy/test_workflows.py asks the host for its list
def test_templates_read_like_a_menu_and_one_opens(open_tab):
    tab = open_tab()
    tab.is_spent = True
    tab.page.evaluate("() => app.extensionManager.command.execute('Comfy.BrowseTemplates')")
    tab.page.get_by_text(PACK).first.click()
    names = sorted(p.stem for p in (ROOT / "workflows").glob("*.json"))
    loaded = """() => [...document.querySelectorAll('[role="dialog"] img')]
        .filter((image) => image.naturalWidth >= 256 && image.naturalWidth <= 512).length"""
    tab.page.get_by_text(names[0], exact=True).first.hover()
    seen: set[str] = set()
    for _ in range(40):  # the host builds cards as they are scrolled to
        seen |= {name for name in names if tab.page.get_by_text(name, exact=True).count()}
        if seen == set(names):
            break
        tab.page.mouse.wheel(0, 250)
        tab.page.wait_for_timeout(250)
    assert seen == set(names)
    card = tab.page.get_by_text("Text to 3D", exact=True).first
    card.scroll_into_view_if_needed()
    tab.page.wait_for_timeout(1500)
    tab.shoot("templates")
    assert tab.page.evaluate(loaded) >= 3, "thumbnails are seen"
    card.click()
    tab.wait_for("() => app.graph.nodes.some((node) => node.type === 'TBSD_Optimizer3D')")
    assert tab.missing_nodes() == []


def test_the_help_page_shows_its_picture_and_equation(open_tab):
    tab = open_tab()
    tab.is_spent = True
    nodes = tab.load("Text to image")
    tab.look_at(nodes["TBSD_Guidance"])
    tab.page.evaluate("(id) => app.canvas.selectNode(app.graph.getNodeById(id))", nodes["TBSD_Guidance"])
    tab.page.locator('[data-testid="info-button"]').first.click()
    tab.wait_for("() => document.querySelector('.node-help-content img')?.naturalWidth > 100")
    equation = tab.page.locator(".node-help-content pre").first
    assert "\u03b5(prompt)" in equation.inner_text()
    equation.scroll_into_view_if_needed()
    tab.page.wait_for_timeout(300)
    tab.shoot("help")
    # the host first asks for a page in its own language
    tab.errors[:] = [e for e in tab.errors if f"/{PACK}/docs/TBSD_Guidance/en.md" not in e]
