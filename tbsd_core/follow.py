"""What the processes of a split run do that write nothing: the steps of `run`, beside the process that has rank 0."""

from __future__ import annotations

from pathlib import Path

from .guidance import build_guidance
from .optim import OptimState, create_adapter, load_checkpoint, optimize
from .optim.distributed import Split
from .prompts import build_texts, encode_texts
from .run import RunConfig, check_config, make_scene, read_prior
from .scenes import SCENES


def follow(config: RunConfig, split: Split, resume: Path | None = None) -> None:
    """Take part in the run of rank 0 to its last step; it alone evaluates and writes."""
    check_config(config)
    prior = read_prior(config)
    prompts = encode_texts(build_texts(config.prompt), prior.encode_prompt, config.prompt.perp_neg)
    guidance = build_guidance(config.guidance_name, config.guidance)
    scene = (SCENES[config.scene_name].scene(config.scene) if resume else make_scene(config)).to(config.device)
    state = OptimState.create(scene, config.optim, create_adapter(prior, guidance, config.optim.seed))
    if resume is not None:
        load_checkpoint(resume, scene, state)
    state.split = split
    for _ in optimize(prior, prompts, guidance, scene, config.cameras, config.optim, state):
        pass
