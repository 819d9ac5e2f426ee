from __future__ import annotations

import importlib
import pkgutil
from dataclasses import dataclass, field, fields, is_dataclass, replace
from operator import attrgetter
from typing import Any

import pytest
from tbsd_pack import tbsd_core
from tbsd_pack.tbsd_core.configuration import replaced
from tbsd_pack.tbsd_core.settings import (
    DEMO,
    PUBLISHED,
    Hint,
    Setting,
    check_settings,
    described,
    hint_of,
    preset_for,
    range_of,
    setting,
)

NAN = float("nan")


@dataclass(frozen=True, kw_only=True)
class Inner:
    kind: str = setting("slow", "How.", choices={"slowly": "slow", "fast": "fast"})
    plain: int = 1


@dataclass(frozen=True, kw_only=True)
class Config:
    rate: float = setting(0.5, meaning="how fast", above=0.0, at_most=1.0)
    limit: float | None = setting(None, at_least=2.0)
    levels: tuple[int, ...] = setting((1, 2), at_least=1)
    inner: Inner = field(default_factory=Inner)

    def __post_init__(self) -> None:
        check_settings(self)
        check_settings(self.inner)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"rate": 0.0}, r"rate must be in \(0, 1\], got 0\.0"),
        ({"rate": NAN}, r"rate must be in \(0, 1\], got nan"),
        ({"limit": 1.0}, "limit must be >= 2 or None, got 1.0"),
        ({"levels": (3, 0)}, r"levels must be >= 1, got \(3, 0\)"),
        ({"inner": Inner(kind="slowly")}, "kind must be one of slow, fast, got 'slowly'"),
    ],
)
def test_what_is_outside_its_range_is_refused(values, message):
    with pytest.raises(ValueError, match=message):
        Config(**values)


def test_what_is_inside_is_taken():
    assert Config(rate=1.0, limit=2.0, levels=(1,), inner=Inner(kind="fast", plain=-1)).limit == 2.0
    assert Config(limit=None).limit is None


@pytest.mark.parametrize(
    ("hint", "words"),
    [
        (Hint(), ""),
        (Hint(above=0), "> 0"),
        (Hint(at_most=3.5), "<= 3.5"),
        (Hint(at_least=0, below=1), "in [0, 1)"),
        (Hint(choices=("a", "b")), "one of a, b"),
    ],
)
def test_ranges_in_words(hint, words):
    assert range_of(hint) == words


def test_every_setting_is_described_by_its_dotted_name():
    found = {name: (value, hint) for name, value, hint in described(Config())}
    assert list(found) == ["rate", "limit", "levels", "inner.kind", "inner.plain"]
    assert found["rate"][1].meaning == "how fast" and found["inner.kind"][1].tooltip == "How."
    assert found["inner.plain"] == (1, None)


def test_the_entry_of_one_scene_wins():
    a, b, c = (Setting(value, "a source") for value in (1, 2, 3))
    presets = {(PUBLISHED, ""): {"x": a, "y": a}, (PUBLISHED, "nerf"): {"y": b}, (DEMO, "nerf"): {"x": c}}
    assert preset_for(presets, PUBLISHED, "nerf") == {"x": a, "y": b}
    assert preset_for(presets, PUBLISHED, "image") == {"x": a, "y": a}
    assert preset_for(presets, DEMO, "nerf") == {"x": c}
    assert preset_for(presets, DEMO, "image") == {}


def with_widgets() -> dict[str, Any]:
    """Every configuration of the core with a setting that a widget shows, at its defaults."""
    found = {}
    for module in pkgutil.walk_packages(tbsd_core.__path__, f"{tbsd_core.__name__}."):
        if not module.name.endswith("__main__"):
            kinds = [k for k in vars(importlib.import_module(module.name)).values() if isinstance(k, type)]
            for kind in filter(is_dataclass, kinds):
                if any(hint and hint.tooltip for hint in map(hint_of, fields(kind))):
                    found[kind.__name__] = kind()
    return found


def reachable(hint: Hint, value: Any) -> list[Any]:
    """Both ends of a number's widget, and some of the values between that its steps lead to."""
    low, high = hint.ends
    shown = hint.none if value is None else hint.shown(value) if hint.shown else value
    if isinstance(shown, (bool, str)) or low is None or high is None:
        return []
    step = hint.step or (1 if isinstance(shown, int) else 0.01)
    n = int((high - low) / step)
    kind = type(shown) if hint.none is None else type(step)
    return [kind(low + step * k) for k in (0, 1, 2, n // 3, n // 2, n - 1)] + [kind(high)]


INTERVALS = [("azimuth_min", "azimuth_max"), ("elevation_min", "elevation_max"), ("t_min", "t_max", "t_max_end")]


def accepted(config: Any, name: str, value: Any) -> bool:
    """With all others at their defaults, or with all bounds of an interval at the value."""
    group, _, own = name.rpartition(".")
    inner = attrgetter(group)(config) if group else config
    for names in ((own,), *(bounds for bounds in INTERVALS if own in bounds)):
        try:
            changed = replace(inner, **dict.fromkeys(names, value))
            if group:
                replaced(config, group, changed)
        except ValueError:
            continue
        return True
    return False


@pytest.mark.parametrize("kind", CONFIGS := with_widgets())
def test_what_a_widget_can_be_set_to_is_accepted(kind):
    config = CONFIGS[kind]
    for name, value, hint in described(config):
        if hint and hint.tooltip:
            refused = [shown for shown in reachable(hint, value) if not accepted(config, name, hint.of_widget(shown))]
            assert not refused, f"the widget of {name} goes to {refused}"
