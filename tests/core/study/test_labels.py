from __future__ import annotations

from dataclasses import replace

import pytest
from tbsd_pack.tbsd_core.experiment import ExperimentConfig, default_config
from tbsd_pack.tbsd_core.guidance.bridge import BridgeConfig
from tbsd_pack.tbsd_core.guidance.tbsd import TBSDConfig
from tbsd_pack.tbsd_core.study import Entry, labels_of, told_apart, with_labels


def config(method: str, guidance=None) -> ExperimentConfig:
    made = default_config("a brick house", "image", method)
    return made if guidance is None else replace(made, guidance=guidance)


def test_labels_name_the_settings_in_which_a_method_differs():
    tnp, gnp = (config("bridge", BridgeConfig(negative=n)) for n in ("target_negative", "negative"))
    assert labels_of([tnp, gnp, config("sds"), config("csd")]) == ["Bridge TNP", "Bridge GNP", "SDS", "CSD"]
    scales = [config("tbsd", TBSDConfig(guidance_scale=s)) for s in (2.5, 40.0)]
    assert labels_of(scales) == ["TBSD guidance_scale 2.5", "TBSD guidance_scale 40"]


def test_other_settings_tell_experiments_apart_too():
    sds = config("sds")
    faster = replace(sds, optim=replace(sds.optim, lr=0.5))
    assert labels_of([sds, faster]) == [f"SDS lr {sds.optim.lr:g}", "SDS lr 0.5"]


def test_experiments_without_a_difference_are_numbered():
    assert labels_of([config("sds")] * 3) == ["SDS", "SDS #2", "SDS #3"]


def test_no_two_labels_are_the_same_whatever_somebody_calls_them():
    assert told_apart(["a #2", "a", "a", "b"], [{}] * 4) == ["a #2", "a", "a #3", "b"]
    lines = [{"prompt": "a brick\n house"}, {"prompt": "a cone"}]
    assert told_apart(["a", "a"], lines) == ["a prompt a brick house", "a prompt a cone"]


@pytest.mark.parametrize("methods", [("sds", "csd"), ("sds", "sds")])
def test_entries_are_relabelled_and_stay_what_they_are(methods):
    entries = [Entry(label="", config=config(name), facts={"name": name}) for name in methods]
    labelled = with_labels(entries)
    assert len({entry.label for entry in labelled}) == 2
    assert [replace(entry, label="") for entry in labelled] == entries
