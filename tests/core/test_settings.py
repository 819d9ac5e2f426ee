from __future__ import annotations

import math
from dataclasses import dataclass, field

import pytest
from tbsd_pack.tbsd_core.settings import (
    DEMO,
    PUBLISHED,
    Setting,
    check_settings,
    described,
    hint_of,
    preset_for,
    range_of,
    setting,
)


@dataclass(frozen=True, kw_only=True)
class Inner:
    mode: str = setting("a", "What it does.", choices={"first": "a", "second": "b"})

    def __post_init__(self) -> None:
        check_settings(self)


@dataclass(frozen=True, kw_only=True)
class Outer:
    share: float = setting(0.5, above=0, at_most=1)
    count: int | None = setting(None, at_least=2)
    below: float = setting(0.0, below=10)
    many: tuple[float, ...] = setting((1.0,), at_least=-90, at_most=90)
    large: int = setting(1, at_least=1, at_most=5_000_000)
    free: float = 0.0
    inner: Inner = field(default_factory=Inner)

    def __post_init__(self) -> None:
        check_settings(self)


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"share": 0.0}, r"share must be in \(0, 1\], got 0.0"),
        ({"share": math.nan}, "share must be in"),
        ({"count": 1}, "count must be >= 2, got 1"),
        ({"below": 10.0}, "below must be < 10, got 10.0"),
        ({"many": (0.0, 91.0)}, r"many must be in \[-90, 90\], got \(0.0, 91.0\)"),
        ({"large": 0}, r"large must be in \[1, 5000000\], got 0"),
    ],
)
def test_a_value_outside_its_range_is_named_with_its_range(wrong, message):
    with pytest.raises(ValueError, match=message):
        Outer(**wrong)


def test_a_choice_is_one_of_the_values_whatever_people_read():
    with pytest.raises(ValueError, match="mode must be one of a, b, got 'first'"):
        Inner(mode="first")


def test_the_edges_of_ranges_and_values_without_one_are_taken():
    Outer(share=1.0, count=2, below=-math.inf, many=(-90.0, 90.0), free=math.nan)
    Outer(count=None)


def test_every_setting_is_described_by_its_dotted_name():
    found = {name: (value, hint) for name, value, hint in described(Outer())}
    assert list(found) == ["share", "count", "below", "many", "large", "free", "inner.mode"]
    assert found["free"] == (0.0, None) and range_of(found["share"][1]) == "in (0, 1]"
    assert found["inner.mode"][1] == hint_of(Inner.__dataclass_fields__["mode"])


def test_the_particular_entry_of_a_preset_wins():
    one, two = Setting(1, "for all"), Setting(2, "for one")
    presets = {(PUBLISHED, ""): {"a": one, "b": one}, (PUBLISHED, "nerf"): {"b": two}}
    assert preset_for(presets, PUBLISHED, "nerf") == {"a": one, "b": two}
    assert preset_for(presets, PUBLISHED, "image") == {"a": one, "b": one} and preset_for(presets, DEMO, "nerf") == {}
