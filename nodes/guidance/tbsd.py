"""Target-balanced score distillation as a node."""

from __future__ import annotations

from comfy_api.latest import io

from ...tbsd_core.balancing import BALANCERS, BalanceConfig, ProgressSchedule
from ...tbsd_core.balancing.schedules import KINDS
from ...tbsd_core.guidance import TBSD, TBSDConfig
from .. import sockets
from ..base import Node
from ..sockets import default
from .widgets import anchor_input, guidance_output, guided, model_inputs, scale_input, weighting_input


class TBSDGuidance(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TBSD_Guidance",
            display_name="TBSD Guidance",
            category=sockets.GUIDANCE,
            description="Target-Balanced Score Distillation: balances shape against texture, step by step.",
            inputs=[
                *model_inputs("Prompts with a target negative, from Target Negative Prompt."),
                scale_input(TBSDConfig),
                io.Float.Input(
                    "texture_scale",
                    default=0.0,
                    min=0.0,
                    max=1000.0,
                    step=0.5,
                    round=False,
                    tooltip="How hard the texture direction pulls. 0 takes the guidance scale.",
                ),
                io.Combo.Input(
                    "balancer",
                    options=list(BALANCERS),
                    default=default(TBSDConfig, "balancer"),
                    tooltip="How shape and texture are weighed: MGDA, PCGrad and CAGrad keep one from undoing the "
                    "other, band splits them by frequency, unit makes them equally long, ..._schedule also moves from "
                    "shape to texture over the run; fixed keeps half and half.",
                ),
                io.Float.Input(
                    "shape_floor",
                    default=default(BalanceConfig, "shape_floor"),
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    round=False,
                    tooltip="Least weight of the shape. Raise it if the object melts or becomes another one.",
                ),
                io.Combo.Input(
                    "schedule",
                    options=list(KINDS),
                    default=default(ProgressSchedule, "kind"),
                    tooltip="How the attention moves from shape to texture over the run.",
                ),
                anchor_input(TBSDConfig),
                weighting_input(TBSDConfig),
                *(
                    io.Float.Input(
                        f"schedule_{end}",
                        optional=True,
                        default=default(ProgressSchedule, end),
                        min=0.0,
                        max=1.0,
                        step=0.05,
                        round=False,
                        tooltip=f"Share of the shape at the {end} of the run; the texture gets the rest.",
                    )
                    for end in ("start", "end")
                ),
                io.Float.Input(
                    "conflict_aversion",
                    optional=True,
                    default=default(BalanceConfig, "conflict_aversion"),
                    min=0.0,
                    max=0.99,
                    step=0.05,
                    round=False,
                    tooltip="For cagrad: how far it turns to the direction that the mean neglects. 0 is the mean.",
                ),
                io.Float.Input(
                    "cutoff",
                    optional=True,
                    default=default(BalanceConfig, "cutoff"),
                    min=0.01,
                    max=0.5,
                    step=0.01,
                    round=False,
                    tooltip="For band: coarser than this, in cycles per latent cell, is shape; finer is texture.",
                ),
            ],
            outputs=[guidance_output()],
        )

    @classmethod
    def execute(
        cls,
        model,
        vae,
        prompts,
        guidance_scale,
        texture_scale,
        balancer,
        shape_floor,
        schedule,
        anchor,
        weighting,
        schedule_start=ProgressSchedule.start,
        schedule_end=ProgressSchedule.end,
        **optional: float,  # conflict_aversion, cutoff
    ) -> io.NodeOutput:
        over_time = ProgressSchedule(kind=schedule, start=schedule_start, end=schedule_end)
        balance = BalanceConfig(shape_floor=shape_floor, schedule=over_time, **optional)
        config = TBSDConfig(
            guidance_scale=guidance_scale,
            texture_scale=texture_scale or None,
            balancer=balancer,
            balance=balance,
            anchor=anchor,
            weighting=weighting,
        )
        return guided(model, vae, prompts, TBSD(config))
