from __future__ import annotations

import json
from dataclasses import dataclass, field

import pytest
from tbsd_pack.tbsd_core.configuration import all_settings, from_plain, to_plain, with_setting
from tbsd_pack.tbsd_core.experiment import MeshInput, config_from_plain, default_config
from tbsd_pack.tbsd_core.guidance import METHODS
from tbsd_pack.tbsd_core.scenes import SCENES


@dataclass(frozen=True, kw_only=True)
class Inner:
    rate: float = 0.5
    name: str = "a"

    def __post_init__(self) -> None:
        if self.rate <= 0:
            raise ValueError(f"rate must be > 0, got {self.rate}.")


@dataclass(frozen=True, kw_only=True)
class Outer:
    count: int = 3
    flag: bool = False
    levels: tuple[int, ...] = (1, 2)
    limit: float | None = None
    pair: tuple[float, float] = (0.0, 1.0)
    inner: Inner = field(default_factory=Inner)


@pytest.mark.parametrize(
    "name, text, value",
    [
        ("count", "7", 7),
        ("flag", "true", True),
        ("levels", "[4, 5, 6]", (4, 5, 6)),
        ("levels", "(4, 5, 6)", (4, 5, 6)),
        ("levels", "4,5,6", (4, 5, 6)),
        ("limit", "2", 2.0),
        ("limit", ".5", 0.5),
        ("limit", "null", None),
        ("inner.rate", "1", 1.0),
        ("inner.name", "25", "25"),
    ],
)
def test_a_setting_reads_as_its_type_and_leaves_the_rest(name, text, value):
    config = Outer(limit=1.0)
    changed = all_settings(with_setting(config, name, text))
    assert changed[name] == value and type(changed[name]) is type(value)
    assert {**changed, name: None} == {**all_settings(config), name: None}


@pytest.mark.parametrize(
    "name, text, message",
    [
        ("size", "1", "no setting 'size' in Outer; it has count, flag"),
        ("inner", "1", "group of settings; choose one of inner.rate, inner.name"),
        ("inner.speed", "1", "no setting 'speed' in Inner"),
        ("count.x", "1", "single setting"),
        ("count", "1.5", "count must be of type int, got 1.5"),
        ("count", "true", "count must be of type int"),
        ("flag", "1", "flag must be of type bool"),
        ("pair", "[1]", "pair must be 2 values, got 1"),
        ("inner.rate", "fast", "rate must be of type float, got 'fast'"),
        ("inner.rate", "__import__('os').getcwd()", "rate must be of type float"),
        ("inner.rate", "-1", "rate must be > 0"),
    ],
)
def test_a_bad_setting_is_refused(name, text, message):
    with pytest.raises(ValueError, match=message):
        with_setting(Outer(), name, text)


def test_plain_data_survives_json():
    config = Outer(count=9, levels=(8,), inner=Inner(rate=2.0, name="b"))
    assert from_plain(Outer, json.loads(json.dumps(to_plain(config)))) == config
    assert from_plain(Outer, {}) == Outer()
    with pytest.raises(ValueError, match="Outer has no setting colour"):
        from_plain(Outer, {"colour": 1})


@pytest.mark.parametrize("scene", SCENES)
@pytest.mark.parametrize("method", METHODS)
def test_every_run_configuration_survives_json_and_every_setting_is_reachable(scene, method):
    mesh = MeshInput(file="sample:cube") if scene == "mesh_texture" else None
    config = default_config("a brick house", scene, method, mesh=mesh)
    assert config_from_plain(json.loads(json.dumps(to_plain(config)))) == config
    for name, value in all_settings(config).items():
        if name not in ("guidance_name", "scene_name"):
            assert with_setting(config, name, value if isinstance(value, str) else json.dumps(value)) == config, name
