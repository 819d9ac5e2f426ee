"""A user's encounters: cancelling, mistakes, the demo models in core nodes, saving and continuing."""

from __future__ import annotations

import time

import pytest


def node(kind: str, **inputs) -> dict:
    return {"class_type": kind, "inputs": inputs}


def image_run(steps: int = 2, seed: int = 0, **changes) -> dict:
    """A small text-to-image graph; `changes` replace nodes by id."""
    return {
        "models": node("TBSD_DemoModels"),
        "prompts": node("TBSD_PromptEncode", clip=["models", 1], prompt="a brick house", view_dependent=False),
        "guidance": node(
            "TBSD_SDSGuidance",
            model=["models", 0],
            vae=["models", 2],
            prompts=["prompts", 0],
            guidance_scale=5.0,
            weighting="sigma2",
        ),
        "scene": node("TBSD_ImageScene", size=64, n_images=1, seed=0),
        "run": node(
            "TBSD_OptimizeImage", guidance=["guidance", 0], scene=["scene", 0], steps=steps, lr=0.02, seed=seed
        ),
    } | changes


def tiny_nerf(seed: int = 0) -> dict:
    return node(
        "TBSD_NeRFScene", encoding="dense", detail=17, n_samples=12, opacity_weight=0.0, tv_weight=0.0, seed=seed
    )


def conditioning_run(change: dict) -> dict:
    """Prompts from conditioning, with `change` (a node that takes it) between encoder and prompts."""
    return image_run(
        text=node("CLIPTextEncode", clip=["models", 1], text="a brick house"),
        empty=node("CLIPTextEncode", clip=["models", 1], text=""),
        changed=change,
        prompts=node("TBSD_PromptsFromConditioning", target=["changed", 0], uncond=["empty", 0]),
    )


def test_cancel_stops_within_a_step_and_the_next_run_works(server):
    prompt_id = server.queue(image_run(steps=5000, seed=1))
    time.sleep(4)
    start = time.monotonic()
    server.request("/interrupt", {})
    entry = server.wait(prompt_id, seconds=20)
    assert time.monotonic() - start < 5
    assert "execution_interrupted" in dict(entry["status"]["messages"])
    assert server.run(image_run(seed=2))["run"]["images"]


def test_a_missing_vae_does_not_validate(server):
    prompt = image_run()
    del prompt["guidance"]["inputs"]["vae"]
    with pytest.raises(AssertionError) as caught:
        server.queue(prompt)
    errors = caught.value.details["node_errors"]["guidance"]["errors"]
    assert errors[0]["type"] == "required_input_missing" and "vae" in errors[0]["details"]


def test_zero_steps_do_not_validate(server):
    with pytest.raises(AssertionError, match="value_smaller_than_min"):
        server.queue(image_run(steps=0))


def test_an_unknown_word_lists_the_vocabulary(server):
    message = server.error(
        image_run(prompts=node("TBSD_PromptEncode", clip=["models", 1], prompt="a dragon", view_dependent=False))
    )
    assert "'dragon'" in message and "mushroom" in message


def test_conditioning_with_an_area_is_refused(server):
    area = node("ConditioningSetArea", conditioning=["text", 0], width=64, height=64, x=0, y=0, strength=1.0)
    assert "an area" in server.error(conditioning_run(area))


def test_conditioning_with_a_timestep_range_is_refused(server):
    part = node("ConditioningSetTimestepRange", conditioning=["text", 0], start=0.0, end=0.5)
    assert "range of timesteps" in server.error(conditioning_run(part))


def test_plain_conditioning_is_accepted(server):
    full = node("ConditioningSetTimestepRange", conditioning=["text", 0], start=0.0, end=1.0)
    assert server.run(conditioning_run(full))["run"]["images"]


def test_tbsd_without_a_target_negative_says_what_adds_it(server):
    tbsd = node(
        "TBSD_Guidance",
        model=["models", 0],
        vae=["models", 2],
        prompts=["prompts", 0],
        guidance_scale=5.0,
        texture_scale=0.0,
        balancer="mgda_schedule",
        shape_floor=0.1,
        schedule="linear",
        anchor=1.0,
        weighting="sigma2",
    )
    assert "Target Negative Prompt" in server.error(image_run(guidance=tbsd))


def test_recommended_settings_drive_a_run(server):
    """Every output goes where its name says; the text names the family and a source."""
    settings = node("TBSD_RecommendedSettings", model=["models", 0], method="sds", scene="nerf")
    prompt = image_run(settings=settings, scene=tiny_nerf(), text=node("PreviewAny", source=["settings", 8]))
    prompt["guidance"]["inputs"]["guidance_scale"] = ["settings", 0]
    prompt["run"] = node(
        "TBSD_Optimizer3D",
        guidance=["guidance", 0],
        scene=["scene", 0],
        steps=2,
        views_per_step=1,
        size=32,
        lr=["settings", 1],
        seed=3,
        encode_size=["settings", 3],
        t_min=["settings", 5],
        t_max=["settings", 6],
        t_max_end=["settings", 7],
    )
    outputs = server.run(prompt)
    assert outputs["run"]["images"]
    (text,) = outputs["text"]["text"]
    assert "sds on the demo model of this pack" in text
    assert "guidance.guidance_scale = 6.0  (measured on the small world)" in text


@pytest.mark.once
def test_csd_runs_and_says_what_its_negative_needs(server):
    csd = node(
        "TBSD_CSDGuidance",
        model=["models", 0],
        vae=["models", 2],
        prompts=["prompts", 0],
        negative_start=0.0,
        negative_end=0.0,
        anneal_end=0.5,
        weighting="uniform",
    )
    assert server.run(image_run(guidance=csd, seed=21))["run"]["images"]
    csd["inputs"]["negative_end"] = 1.0
    assert "Target Negative Prompt" in server.error(image_run(guidance=csd))


def test_a_3d_scene_in_optimize_image_is_refused(server):
    assert "Optimize 3D" in server.error(image_run(scene=tiny_nerf()))


@pytest.mark.once
def test_the_scene_node_is_not_changed_by_the_optimizer(server):
    """The second run starts from the cached scene; it gives the first picture again only if that is untouched."""
    first = server.run(image_run(steps=3, seed=11) | {"save": save("first")})
    again = server.run(image_run(steps=3, seed=12) | {"save": save("other")})
    server.request("/free", {"unload_models": True, "free_memory": True})
    third = server.run(image_run(steps=3, seed=11) | {"save": save("third")})
    files = [server.file(o["save"]["images"][0]).read_bytes() for o in (first, again, third)]
    assert pixels(files[0]) == pixels(files[2]) != pixels(files[1])


def save(name: str) -> dict:
    return node("SaveImage", images=["run", 0], filename_prefix=f"behaviour/{name}")


def pixels(png: bytes) -> bytes:
    import io

    from PIL import Image

    return Image.open(io.BytesIO(png)).tobytes()


def test_latents_can_be_optimised(server):
    scene = node("TBSD_ImageScene", size=64, n_images=2, seed=0, vae=["models", 2])
    assert server.run(image_run(scene=scene))["run"]["images"]


def test_a_saved_scene_can_be_loaded_and_rendered(server):
    save_node = node("TBSD_SaveScene", scene=["scene", 0], filename_prefix="scenes/tiny")
    saved = server.run({"scene": tiny_nerf(5), "save": save_node})
    (name,) = saved["save"]["text"]
    outputs = server.run(
        {
            "load": node("TBSD_LoadScene", scene_file=name),
            "views": node(
                "TBSD_RenderViews", scene=["load", 0], n_views=2, size=32, elevation=10.0, distance=3.0, fov_y=36.0
            ),
            "normals": node("PreviewImage", images=["views", 3]),
            "depth": node("PreviewImage", images=["views", 2]),
            "mask": node("MaskPreview", mask=["views", 1]),
        }
    )
    assert len(outputs["normals"]["images"]) == len(outputs["depth"]["images"]) == 2


def test_files_stay_in_the_output_folder(server):
    prompt = {"scene": tiny_nerf(), "save": node("TBSD_SaveScene", scene=["scene", 0], filename_prefix="../../x")}
    assert "output folder" in server.error(prompt)
    for marked in ("", " [input]"):
        load = node("TBSD_LoadScene", scene_file="../custom_nodes/x.safetensors" + marked)
        save = node("TBSD_SaveScene", scene=["load", 0], filename_prefix="x")
        assert "output or input folder" in server.error({"load": load, "save": save})


def test_a_damaged_scene_file_is_reported(server):
    (server.base / "output" / "broken.safetensors").write_bytes(b"not a scene")
    prompt = {
        "load": node("TBSD_LoadScene", scene_file="broken.safetensors"),
        "save": node("TBSD_SaveScene", scene=["load", 0], filename_prefix="x"),
    }
    assert "cannot be read" in server.error(prompt)


def test_core_nodes_sample_from_the_demo_models(server):
    """KSampler at 128 x 128 makes 16 x 16 latent cells, which the demo VAE decodes to 64 x 64 pixels."""
    outputs = server.run(
        {
            "models": node("TBSD_DemoModels"),
            "positive": node("CLIPTextEncode", clip=["models", 1], text="a (brick:1.2) house, front view"),
            "negative": node("CLIPTextEncode", clip=["models", 1], text=""),
            "latent": node("EmptyLatentImage", width=128, height=128, batch_size=2),
            "sampler": node(
                "KSampler",
                model=["models", 0],
                positive=["positive", 0],
                negative=["negative", 0],
                latent_image=["latent", 0],
                seed=3,
                steps=12,
                cfg=3.0,
                sampler_name="dpmpp_2m",
                scheduler="karras",
                denoise=1.0,
            ),
            "decode": node("VAEDecode", samples=["sampler", 0], vae=["models", 2]),
            "save": node("SaveImage", images=["decode", 0], filename_prefix="sampled"),
        }
    )
    from PIL import Image

    pictures = [Image.open(server.file(f)) for f in outputs["save"]["images"]]
    assert [p.size for p in pictures] == [(64, 64)] * 2
    assert all(max(hi - lo for lo, hi in p.getextrema()) > 100 for p in pictures)


def test_a_checkpoint_of_the_core_loader_can_be_distilled(server, checkpoint_of):
    """The ordinary graph with free text, half-precision weights and the VAE inside the checkpoint."""
    path = server.base / "models" / "checkpoints" / "generated.safetensors"
    path.hardlink_to(checkpoint_of("sd15"))
    outputs = server.run(
        image_run(
            models=node("CheckpointLoaderSimple", ckpt_name=path.name),
            prompts=node("TBSD_PromptEncode", clip=["models", 1], prompt="a dragon", view_dependent=False),
            save=save("checkpoint"),
        )
    )
    picture = pixels(server.file(outputs["save"]["images"][0]).read_bytes())
    assert len(picture) == 64 * 64 * 3 and max(picture) - min(picture) > 10
    path.unlink()


@pytest.mark.once
def test_optimisers_in_one_graph_disturb_neither_each_other_nor_a_sampler(server):
    """One graph with two runs, then a sampler on the optimised picture; then each run alone."""
    second = node("TBSD_OptimizeImage", guidance=["guidance", 0], scene=["scene", 0], steps=2, lr=0.05, seed=31)
    sampler = {
        "positive": node("CLIPTextEncode", clip=["models", 1], text="a brick house"),
        "latent": node("VAEEncode", pixels=["run", 0], vae=["models", 2]),
        "sampled": node(
            "KSampler",
            model=["models", 0],
            positive=["positive", 0],
            negative=["positive", 0],
            latent_image=["latent", 0],
            seed=3,
            steps=2,
            cfg=1.0,
            sampler_name="euler",
            scheduler="normal",
            denoise=0.5,
        ),
        "decoded": node("VAEDecode", samples=["sampled", 0], vae=["models", 2]),
    }
    saves = {
        name: node("SaveImage", images=[name, 0], filename_prefix=f"together/{name}")
        for name in ("run", "other", "decoded")
    }
    graph = image_run(steps=3, seed=30) | {"other": second} | sampler
    together = server.run(graph | {f"save_{k}": v for k, v in saves.items()})
    for name in saves:
        # /free drops every cache and loaded model: nothing of the runs above is left
        server.request("/free", {"unload_models": True, "free_memory": True})
        time.sleep(1.5)
        wanted = ancestors(graph, name) | {"save": saves[name]}
        alone = server.run(wanted)["save"]["images"][0]
        first = together[f"save_{name}"]["images"][0]
        assert pixels(server.file(first).read_bytes()) == pixels(server.file(alone).read_bytes()), name


@pytest.mark.once
def test_reused_predictions_are_an_approximation_of_their_own(server):
    pictures = []
    for reuse_steps in (1, 2):
        run = node(
            "TBSD_OptimizeImage",
            guidance=["guidance", 0],
            scene=["scene", 0],
            steps=4,
            lr=0.02,
            seed=40,
            reuse_steps=reuse_steps,
        )
        outputs = server.run(image_run(run=run, save=save(f"reuse{reuse_steps}")))
        pictures.append(pixels(server.file(outputs["save"]["images"][0]).read_bytes()))
    assert pictures[0] != pictures[1]


def ancestors(graph: dict, name: str) -> dict:
    """The part of a graph that a node depends on, itself included."""
    found = {name: graph[name]}
    for value in graph[name]["inputs"].values():
        if isinstance(value, list):
            found |= ancestors(graph, value[0])
    return found
