from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from tbsd_pack.tbsd_core.settings import (
    DEMO,
    PUBLISHED,
    Hint,
    Setting,
    check_settings,
    described,
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
