"""One configuration is one run: in ComfyUI and on the command line, for every method, and from one to the other."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from tbsd_pack.tbsd_core.cameras.sampling import orbit
from tbsd_pack.tbsd_core.cli import main
from tbsd_pack.tbsd_core.configuration import replaced
from tbsd_pack.tbsd_core.experiment import (
    NEWEST,
    Experiment,
    ExperimentConfig,
    Stored,
    config_from_plain,
    default_config,
    read_file,
    read_newest,
    read_prior,
    results,
    run,
)
from tbsd_pack.tbsd_core.guidance import EDITING
from tbsd_pack.tbsd_core.guidance import METHODS as ALL

pytestmark = pytest.mark.once  # long; test_prior.py has the gradients of every version

PROMPT, STEPS, SIZE, VIEWS = "a brick house", 3, 32, 2
METHODS = {name: spec for name, spec in ALL.items() if name not in EDITING}  # here is nothing to edit
COLUMNS = (list(METHODS)[:6][::-1], list(METHODS)[6:])  # of two nodes Compare Methods
NERF = {
    "scene.resolutions": (17,),
    "scene.n_samples": 12,
    "scene.tv_weight": 0.0,  # its gradient is a sign, which rounding decides where neighbours are equal
    "optim.views_per_step": VIEWS,
}


def node(kind: str, /, **inputs) -> dict:
    return {"class_type": kind, "inputs": inputs}


def of_the_command_line(scene: str, method: str, n_steps: int = STEPS) -> ExperimentConfig:
    """The experiment of `run` for the same wishes."""
    config = default_config(PROMPT, scene, method, n_steps=n_steps, size=SIZE)
    for name, value in (NERF if scene == "nerf" else {}).items():
        config = replaced(config, name, value)
    return config


def scene_node(scene: str) -> dict:
    if scene == "image":
        return node("TBSD_ImageScene", size=SIZE, n_images=1, seed=0)
    weights = {name: getattr(of_the_command_line(scene, "sds").scene, name) for name in ("opacity_weight", "tv_weight")}
    return node("TBSD_NeRFScene", encoding="dense", detail=17, n_samples=12, seed=0, **weights)


def optimizer(scene: str, method: str, start: list, steps: int = STEPS, **more) -> dict:
    inputs = dict(guidance=[method, 0], scene=start, steps=steps, lr=0.123, seed=0, **more)  # lr is the settings'
    if scene == "image":
        return node("TBSD_OptimizeImage", **inputs)
    return node("TBSD_Optimizer3D", **inputs, views_per_step=VIEWS, size=SIZE)


def widgets(server, kind: str) -> dict:
    """The defaults of a node's required widgets; settings take their place."""
    required = server.request(f"/object_info/{kind}")[kind]["input"]["required"]
    return {name: spec[1]["default"] for name, spec in required.items() if len(spec) > 1 and "default" in spec[1]}


def method_nodes(server, scene: str, method: str) -> dict:
    """A method with its recommended settings."""
    settings = [f"settings {method}", 10]
    return {
        settings[0]: node("TBSD_RecommendedSettings", model=["models", 0], method=method, scene=scene),
        f"prompts {method}": node(
            "TBSD_TargetNegativePrompt",
            prompts=["plain", 0],
            kind="both",
            descriptors="not these",
            target_modifier="",
            settings=settings,
        ),
        method: node(
            METHODS[method].node,
            model=["models", 0],
            vae=["models", 2],
            prompts=[f"prompts {method}", 0],
            settings=settings,
            **widgets(server, METHODS[method].node),
        ),
    }


def models() -> dict:
    return {
        "models": node("TBSD_DemoModels"),
        "plain": node("TBSD_PromptEncode", clip=["models", 1], prompt=PROMPT, view_dependent=True),
    }


def graph(server, scene: str) -> dict:
    """Every method alone, and beside others in another order."""
    prompt = models() | {"start": scene_node(scene)}
    pictures, kept = (0, 1) if scene == "image" else (1, 0)
    for method in METHODS:
        prompt |= method_nodes(server, scene, method) | {
            f"run {method}": optimizer(scene, method, ["start", 0]),
            f"save {method}": node("TBSD_SaveScene", scene=[f"run {method}", kept], filename_prefix=f"p/{method}"),
            f"pictures {method}": node("PreviewImage", images=[f"run {method}", pictures]),
        }
    for i, part in enumerate(COLUMNS):
        prompt[f"compare {i}"] = node(
            "TBSD_Compare",
            scene=["start", 0],
            labels="",
            steps=STEPS,
            match="steps",
            lr=0.321,
            seed=0,
            n_seeds=1,
            views_per_step=VIEWS,
            size=SIZE,
            filename_prefix="p/compare",
            **{f"guidance_{k + 1}": [method, 0] for k, method in enumerate(part)},
        )
        prompt[f"compared {i}"] = node("PreviewImage", images=[f"compare {i}", 1])
    return prompt


@pytest.fixture(scope="module")
def prior():
    torch.set_num_threads(1)
    return read_prior(of_the_command_line("image", "sds"))


@pytest.fixture(scope="module", autouse=True)
def few_views():
    """Pictures and measures at the end of a run of the command line take longer than the run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(results, "TURNTABLE_SIZE", 32)
        patch.setattr(results, "EVALUATION_VIEWS", 8)
        yield


# of an object, a method with three predictions below; here each of them
@pytest.fixture(params=["image", pytest.param("nerf", marks=pytest.mark.slow)])
def made(server, request) -> tuple[str, dict[str, Stored], dict]:
    """The scene that each method made in ComfyUI, as read from its file, and what the nodes showed."""
    key = (server.url, request.param)
    if key not in _made:
        outputs = server.run(graph(server, request.param))
        names = {method: outputs[f"save {method}"]["text"][0] for method in METHODS}
        stored = {method: read_file(server.base / "output" / name) for method, name in names.items()}
        shown = {
            name: [np.asarray(Image.open(server.file(file))) for file in output["images"]]
            for name, output in outputs.items()
            if name.startswith(("pictures", "compared"))
        }
        _made[key] = request.param, stored, shown
    return _made[key]


_made: dict = {}  # a graph of all methods runs once on each host


def test_recommended_settings_make_the_run_of_the_command_line(made, prior):
    """The same configuration, and the same parameters up to the rounding of two implementations of one network."""
    scene, stored, _ = made
    for method, file in stored.items():
        config = of_the_command_line(scene, method)
        assert config_from_plain(file.run.config) == config, method
        experiment = Experiment(config, prior)
        for _ in experiment.steps():
            pass
        assert file.run.step == experiment.state.step == STEPS
        away = torch.cat([(file.tensors[n] - v).abs().flatten() for n, v in experiment.scene.named_parameters()])
        # Adam makes steps of what rounding leaves in cells that hardly any ray sees: a few of 20,000
        assert float((away > 1e-4).float().mean()) <= 1e-3 and float(away.max()) <= 1e-3, (method, float(away.max()))
        assert scene != "image" or float(away.max()) <= 1e-4, (method, float(away.max()))
        cameras = orbit(3 if scene == "nerf" else 1)
        views = [shown.render(cameras, SIZE, SIZE).rgb for shown in (file.scene(), experiment.scene)]
        assert float((views[0] - views[1]).detach().abs().max()) <= 1e-4, method


def test_the_multiview_model_makes_the_run_of_the_command_line(server):
    """Groups of four views, told their cameras: the attention patch and the tokens of the bridge, in a whole run."""
    config = replaced(default_config(PROMPT, "nerf", "tbsd", "multiview", STEPS, size=SIZE), "optim.views_per_step", 4)
    for name, value in NERF.items():
        config = config if name == "optim.views_per_step" else replaced(config, name, value)
    run_node = optimizer("nerf", "tbsd", ["start", 0])
    run_node["inputs"]["views_per_step"] = 4
    prompt = models() | {"start": scene_node("nerf"), "run": run_node} | method_nodes(server, "nerf", "tbsd")
    prompt["models"]["inputs"]["prior"] = "multiview"
    prompt["save"] = node("TBSD_SaveScene", scene=["run", 0], filename_prefix="p/multiview")
    file = read_file(server.base / "output" / server.run(prompt)["save"]["text"][0])
    assert config_from_plain(file.run.config) == config
    experiment = Experiment(config, read_prior(config))
    for _ in experiment.steps():
        pass
    away = torch.cat([(file.tensors[n] - v.detach()).abs().flatten() for n, v in experiment.scene.named_parameters()])
    assert float((away > 1e-4).float().mean()) <= 1e-3 and float(away.max()) <= 1e-3, float(away.max())

    # six views do not form whole groups: one sentence, which says what to set
    run_node["inputs"]["views_per_step"] = 6
    assert "Set optim.views_per_step to 8" in server.error(prompt)


def test_beside_others_and_in_another_order_a_method_makes_the_same_pictures(made):
    scene, _, shown = made
    n = 1 if scene == "image" else 8
    for i, part in enumerate(COLUMNS):
        for k, method in enumerate(part):
            own, beside = shown[f"pictures {method}"], shown[f"compared {i}"][k * n : (k + 1) * n]
            assert len(own) == n and all((a == b).all() for a, b in zip(own, beside, strict=True)), method


@pytest.mark.parametrize(
    ("method", "scene"),
    [
        *(("vsd", "image"), ("tbsd", "nerf")),  # one that trains a LoRA, and one with cameras
        *(pytest.param(*both, marks=pytest.mark.slow) for both in (("tbsd", "image"), ("vsd", "nerf"))),
    ],
)
def test_a_run_of_the_command_line_goes_on_in_comfyui_and_back(scene, method, server, prior, tmp_path):
    """Begun here, kept there without a change, continued there, and ended here."""
    whole = of_the_command_line(scene, method, 2 * STEPS)
    part = tmp_path / "part"

    def stop(record) -> None:
        if record.step + 1 == STEPS:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(whole, part, on_step=stop)
    begun = read_newest(part)
    file = server.base / "output" / f"begun_{scene}_{method}.safetensors"
    file.write_bytes((part / NEWEST).read_bytes())
    kept = 1 if scene == "image" else 0
    again = optimizer(scene, method, ["loaded", 0], 2 * STEPS - 1, resume=True)
    outputs = server.run(
        models()
        | method_nodes(server, scene, method)
        | {
            "loaded": node("TBSD_LoadScene", scene_file=file.name),
            "copy": node("TBSD_SaveScene", scene=["loaded", 0], filename_prefix="p/copy"),
            "rendered": node("PreviewImage", images=["run", 1 - kept]),
            "run": again,
            "save": node("TBSD_SaveScene", scene=["run", kept], filename_prefix="p/resumed"),
        }
    )
    copy, resumed = (read_file(server.base / "output" / outputs[n]["text"][0]) for n in ("copy", "save"))
    assert copy.run.config == begun.run.config and copy.run.step == STEPS
    drawn = [{k: v.numpy().tobytes() for k, v in file.run.curves.to_tensors().items()} for file in (copy, begun)]
    assert drawn[0] == drawn[1]
    for of_copy, of_begun in ((copy.tensors, begun.tensors), (copy.run.tensors, begun.run.tensors)):
        assert of_copy.keys() == of_begun.keys() and all(torch.equal(v, of_begun[k]) for k, v in of_copy.items())

    # the file that went through ComfyUI is resumed here to the last bit
    run(whole, tmp_path / "whole")
    arguments = ["run", "--resume", str(server.base / "output" / outputs["copy"]["text"][0])]
    assert main([*arguments, "--out", str(tmp_path / "back")]) == 0
    expected, back = read_newest(tmp_path / "whole"), read_newest(tmp_path / "back")
    assert all(torch.equal(v, back.tensors[k]) for k, v in expected.tensors.items())

    # and the run that ComfyUI continued ends here where the uninterrupted run does
    assert resumed.run.step == 2 * STEPS - 1
    arguments = ["run", "--resume", str(server.base / "output" / outputs["save"]["text"][0])]
    assert main([*arguments, "--set", f"optim.n_steps={2 * STEPS}", "--out", str(tmp_path / "ended")]) == 0
    ended = read_newest(tmp_path / "ended")
    assert ended.run.step == 2 * STEPS and ended.run.curves.steps == list(range(2 * STEPS))
