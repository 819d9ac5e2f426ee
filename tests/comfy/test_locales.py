"""The pack in the user's language: locales/en holds the texts of the nodes and the panel, and each other language has
all of them, as ComfyUI serves it. The browser's side is in tests/web/test_language.py."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LANGUAGES = sorted(p.name for p in (ROOT / "locales").iterdir() if p.is_dir() and p.name != "en")
FILES = ("main.json", "nodeDefs.json")
RENEW = "Renew locales/en with `make locales`; it says what is left to translate"
SCRIPTS = {"zh": re.compile(r"[\u4e00-\u9fff]")}  # what a text of that language has in it
UNCHANGED = {"TBSD", "CLIP", "VAE", "ControlNet"}  # names that Chinese keeps, too
# what a translation must repeat: {names}, identifiers, endings of files, acronyms and numbers
TOKEN = re.compile(r"\{\w+\}|\w*_\w+|(?<!\w)\.[a-z]{3,}|\b[A-Z][A-Z0-9]+\b|\d[\d,.]*(?<=\d)", re.ASCII)

spec = importlib.util.spec_from_file_location("tbsd_locales", Path(__file__).parent / "inside" / "locales.py")
locales = importlib.util.module_from_spec(spec)
spec.loader.exec_module(locales)


def texts(language: str, name: str) -> dict[tuple[str, ...], str]:
    return dict(locales.flat(locales.read(ROOT / "locales" / language / name)))


@pytest.fixture(scope="module")
def nodes(server) -> dict:
    return {k: v for k, v in server.request("/object_info").items() if k.startswith("TBSD_")}


def test_english_is_what_the_nodes_and_the_panel_say(nodes):
    for name, said in locales.english(list(nodes.values()), ROOT).items():
        kept, said = texts("en", name), dict(locales.flat(said))
        stale = sorted(" > ".join(path) for path in said.keys() | kept.keys() if said.get(path) != kept.get(path))
        assert stale == [], f"{RENEW}."


def test_every_text_of_every_node_is_there(nodes):
    kept = locales.read(ROOT / "locales" / "en" / "nodeDefs.json")
    assert kept.keys() == nodes.keys()
    for node_id, node in nodes.items():
        sockets = {**node["input"].get("required", {}), **node["input"].get("optional", {})}
        assert kept[node_id].get("inputs", {}).keys() == sockets.keys(), node_id
        assert len(kept[node_id].get("outputs", {})) == len(node["output"]), node_id
        for group in ("inputs", "outputs"):
            assert all(t["name"] and t["tooltip"] for t in kept[node_id].get(group, {}).values()), node_id


def test_the_server_offers_each_language_whole(server):
    served = server.request("/i18n")
    for language in ("en", *LANGUAGES):
        main, defs = (locales.read(ROOT / "locales" / language / name) for name in FILES)
        assert served[language] == {**main, "nodeDefs": defs}


@pytest.mark.parametrize("language", LANGUAGES)
def test_choices_that_a_tooltip_explains_keep_their_names(nodes, language):
    found = 0
    for node_id, node in nodes.items():
        for name, (kind, options) in {**node["input"].get("required", {}), **node["input"].get("optional", {})}.items():
            choices = kind if isinstance(kind, list) else options.get("options", [])
            translated = texts(language, "nodeDefs.json")[node_id, "inputs", name, "tooltip"]
            for choice in (c for c in map(str, choices) if re.search(rf"\b{re.escape(c)}:", options["tooltip"])):
                assert choice in translated, f"{node_id}.{name}: {choice}"
                found += 1
    assert found > 10


def test_the_panel_writes_its_texts_where_they_are_collected():
    for path in (ROOT / "web" / "js").glob("*.js"):
        source = path.read_text(encoding="utf-8").replace("export function t(", "")
        assert len(re.findall(r"(?<![\w.])t\(", source)) == len(locales.PANEL_TEXT.findall(source)), path.name
    assert texts("en", "main.json").keys() >= {(locales.PANEL_KEY, text) for text in locales.panel_texts(ROOT)}, RENEW


def test_refusals_are_translated_as_the_server_writes_them():
    written = (ROOT / "web" / "js" / "server_texts.js").read_text(encoding="utf-8").split("const REFUSALS")[1]
    source = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "nodes" / "bridge").glob("r*.py"))
    refusals = re.findall(r'^  "(.+?)": \(\) =>', written, re.MULTILINE)
    assert len(refusals) > 3
    assert [text for text in refusals if f'"{text}"' not in source] == []


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("language", LANGUAGES)
class TestTranslation:
    def test_is_complete(self, language, name):
        assert [" > ".join(path) for path in texts("en", name).keys() ^ texts(language, name).keys()] == []

    def test_is_in_its_language(self, language, name):
        said = texts(language, name).values()
        assert [text for text in said if not SCRIPTS[language].search(text) and text not in UNCHANGED] == []

    def test_keeps_names_and_numbers(self, language, name):
        lost = {}
        for path, text in texts("en", name).items():
            if path[-1] not in ("name", "display_name"):
                missing = set(TOKEN.findall(text)) - set(TOKEN.findall(texts(language, name)[path]))
                lost |= {" > ".join(path): missing} if missing else {}
        assert lost == {}

    def test_says_the_same_in_the_same_words(self, language, name):
        said: dict = {}
        for path, text in texts("en", name).items():
            said.setdefault((path[-1], text), set()).add(texts(language, name)[path])
        assert [words for words in said.values() if len(words) > 1] == []


@pytest.mark.parametrize("language", ["en", *LANGUAGES])
def test_no_text_of_a_node_means_something_to_the_host(language):
    """The frontend reads {}, @ and | in a text as its own markup."""
    assert [text for text in texts(language, "nodeDefs.json").values() if re.search(r"[{}@|]", text)] == []


def test_a_translation_follows_changed_english():
    before = {"a": {"tooltip": "Old."}, "b": {"tooltip": "Same."}, "gone": {"tooltip": "Gone."}}
    after = {"a": {"tooltip": "New."}, "b": {"tooltip": "Same."}, "c": {"tooltip": "Same."}, "d": {"tooltip": "More."}}
    old, same, gone = ({"tooltip": f"{letter}\u3002"} for letter in "\u65e7\u540c\u65e0")
    translation = {"a": old, "b": same, "gone": gone}
    assert locales.renewed(before, after, translation) == {"b": same, "c": same}
    assert locales.renewed(after, after, {}) == {}
