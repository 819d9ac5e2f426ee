"""Widgets that a newcomer need not see. Hosts that can fold widgets away show these only on request.

Values count whether they are shown or not. A socket is never folded away.
"""

from __future__ import annotations

from comfy_api.latest import io

ADVANCED = {
    # of guidance: the balancer's details, floors and cutoffs, and what methods take from their papers
    "shape_floor", "anchor", "weighting", "schedule_start", "schedule_end", "conflict_aversion", "cutoff",
    "anneal_end", "lora_rank", "lora_lr", "clean_below", "baseline", "interval_start", "interval_anneal",
    "eta", "overshoot",
    # of scenes: samples, light and regularisers
    "n_samples", "opacity_weight", "tv_weight", "background_mode", "shaded", "sparsity_weight", "orientation_weight",
    "z_variance_weight", "blob_strength", "relocate_every", "backend",
    # of cameras
    "stratified", "distance_max", "fov_y_max", "front",
    # of the optimisation
    "start_size", "latent_until", "reuse_steps", "draw",
    # of a picture that the front keeps to
    "mask_weight",
    # of meshes
    "threshold", "keep_fraction",
    # of analyses
    "post", "n_noises", "progress",
}  # fmt: skip


def with_advanced(schema: io.Schema) -> io.Schema:
    """The schema with the flag on the widgets that ADVANCED names; as hosts without its argument pass it on, too."""
    for entry in schema.inputs:
        if entry.id in ADVANCED:
            entry.extra_dict["advanced"] = True
    return schema
