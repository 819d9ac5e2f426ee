from __future__ import annotations

import pytest
from tbsd_pack.tbsd_core.experiment import default_config, evaluations_per_view, plain_config
from tbsd_pack.tbsd_core.guidance import METHODS
from tbsd_pack.tbsd_core.study import assigned, job_of, labelled, matched, of_cell


def configs(*methods: str, scene: str = "latent", n_steps: int | None = None):
    return {method: default_config("brick", scene, method, n_steps=n_steps) for method in methods}


def test_labels_are_methods_or_names_of_their_own():
    assert labelled(["sds, tbsd", "strong = sds"]) == {"sds": "sds", "tbsd": "tbsd", "strong": "sds"}
    bad = (("sds,sds", "appears twice"), ("=sds", "LABEL=METHOD"), ("a:b=sds", "no ':'"), ("", "no method"))
    for text, message in bad:
        with pytest.raises(ValueError, match=message):
            labelled([text])


def test_a_setting_reaches_all_that_have_it_or_the_label_that_is_named():
    texts = ["guidance.guidance_scale=3", "optim.lr=0.5", "csd:optim.timesteps.t_min=0.1"]
    found = assigned(configs("sds", "csd"), texts)
    assert found["sds"].guidance.guidance_scale == 3 and not hasattr(found["csd"].guidance, "guidance_scale")
    assert found["sds"].optim.lr == found["csd"].optim.lr == 0.5
    assert found["csd"].optim.timesteps.t_min == 0.1 != found["sds"].optim.timesteps.t_min
    with pytest.raises(ValueError, match="comes from the prompts, --seeds"):
        assigned(configs("sds"), ["sds:optim.seed=3"])


def test_another_size_of_the_views_changes_what_follows_from_it():
    assert assigned(configs("sds"), ["optim.size=32"])["sds"].scene.size == 8, "latent cells"
    pictures = configs("sds", "tbsd", scene="image")
    found = assigned(pictures, ["sds:optim.size=32"])
    assert (found["sds"].scene.size, found["tbsd"].scene.size) == (32, 64)
    own = assigned(pictures, ["optim.size=32", "scene.size=48"])
    assert own["sds"].scene.size == 48, "its own"


def test_each_method_keeps_its_own_steps_or_has_those_of_the_first():
    by_label = configs("sds", "vsd", "sdi", scene="nerf")
    assert matched(by_label, "preset") == by_label
    steps = matched(assigned(by_label, ["sds:optim.n_steps=7"]), "steps")
    assert {c.optim.n_steps for c in steps.values()} == {7}
    assert steps["sdi"].optim.timesteps == by_label["sdi"].optim.timesteps != steps["sds"].optim.timesteps


@pytest.mark.parametrize("first", ["sds", "sdi"])
def test_matched_evaluations_spend_what_the_first_costs_and_one_step_more_would_exceed_it(first):
    by_label = {first: configs(first, n_steps=20)[first], **configs(*METHODS, n_steps=20)}
    found = matched(by_label, "evaluations")
    budget = evaluations_per_view(by_label[first])
    assert found[first] == by_label[first] and list(found) == list(by_label)
    for label, config in found.items():
        more = assigned({label: config}, [f"optim.n_steps={config.optim.n_steps + 1}"])[label]
        assert evaluations_per_view(config) <= budget < evaluations_per_view(more) or config.optim.n_steps == 1, label


def test_a_job_says_what_it_is_and_seeds_go_everywhere():
    config = of_cell(configs("sds")["sds"], "wooden", 3, 1003)
    job = job_of("a", config)
    assert (job.label, job.prompt, job.seeds, job.n_steps) == ("a", "wooden", (3, 1003), config.optim.n_steps)
    assert job.title == "a on 'wooden', seed 3, timesteps 1003" and job.config == plain_config(config)
    assert (config.scene.seed, config.optim.draw_seeds) == (3, (3, 1003))
