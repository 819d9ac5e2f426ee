from __future__ import annotations

import dataclasses

import pytest
from guidance_properties import ALL
from tbsd_pack.tbsd_core.balancing import BALANCERS, BalanceConfig
from tbsd_pack.tbsd_core.guidance import METHODS, BridgeConfig, TBSDConfig, build_guidance, default_config
from tbsd_pack.tbsd_core.guidance.bsd import BSDConfig
from tbsd_pack.tbsd_core.guidance.csd import CSDConfig
from tbsd_pack.tbsd_core.guidance.dds import DDSConfig
from tbsd_pack.tbsd_core.guidance.dvrf import DVRFConfig
from tbsd_pack.tbsd_core.guidance.esd import ESDConfig
from tbsd_pack.tbsd_core.guidance.hifa import HiFAConfig
from tbsd_pack.tbsd_core.guidance.ism import ISMConfig
from tbsd_pack.tbsd_core.guidance.nfsd import NFSDConfig
from tbsd_pack.tbsd_core.guidance.pds import PDSConfig
from tbsd_pack.tbsd_core.guidance.sdi import SDIConfig
from tbsd_pack.tbsd_core.guidance.sds import SDSConfig
from tbsd_pack.tbsd_core.guidance.ssd import SSDConfig
from tbsd_pack.tbsd_core.guidance.tbsd_edit import TBSDEditConfig
from tbsd_pack.tbsd_core.guidance.vsd import VSDConfig
from tbsd_pack.tbsd_core.priors.base import LoRAConfig
from tbsd_pack.tbsd_core.settings import described, range_of

VARIANTS = [
    ("sds", SDSConfig()),
    ("sds", SDSConfig(guidance_scale=1.0)),
    ("sds", SDSConfig(guidance_scale=0.0, weighting="uniform")),
    ("csd", CSDConfig()),
    ("csd", CSDConfig(negative_start=1.5, negative_end=0.0, anneal_end=0.0, weighting="sigma2")),
    ("bridge", BridgeConfig()),
    ("bridge", BridgeConfig(negative="negative", anchor=0.5, weighting="sqrt_alpha")),
    *(("tbsd", TBSDConfig(balancer=name)) for name in BALANCERS),
    ("vsd", VSDConfig()),
    ("vsd", VSDConfig(guidance_scale=1.0, weighting="uniform")),
    ("esd", ESDConfig()),
    ("esd", ESDConfig(entropy=1.0)),
    ("esd", ESDConfig(entropy=0.0)),
    ("nfsd", NFSDConfig()),
    ("nfsd", NFSDConfig(guidance_scale=0.0, clean_below=1.0, weighting="uniform")),
    ("bsd", BSDConfig()),
    ("bsd", BSDConfig(guidance_scale=0.5, weighting="sigma2")),
    ("ism", ISMConfig()),
    ("ism", ISMConfig(baseline="negative", weighting="uniform")),
    ("ism", ISMConfig(guidance_scale=1.0)),
    ("ism", ISMConfig(guidance_scale=0.0, baseline="negative")),
    ("sdi", SDIConfig()),
    ("sdi", SDIConfig(guidance_scale=1.0)),
    ("hifa", HiFAConfig()),
    ("hifa", HiFAConfig(guidance_scale=1.0, pixel_scale=0.0)),
    ("dds", DDSConfig()),
    ("dds", DDSConfig(guidance_scale=1.0, weighting="sigma2")),
    ("dds", DDSConfig(guidance_scale=0.0)),
    ("pds", PDSConfig()),
    ("pds", PDSConfig(guidance_scale=1.0, stride=20)),
    ("ssd", SSDConfig()),
    ("ssd", SSDConfig(source_scale=0.0, enhance_scale=0.0, identity=0.0)),
    ("tbsd_edit", TBSDEditConfig()),
    ("tbsd_edit", TBSDEditConfig(anchor=0.0, hold=2.0, balance=BalanceConfig(shape_floor=0.0))),
    ("tbsd_edit", TBSDEditConfig(balancer="schedule", hold=0.0, texture_scale=3.0)),
    ("dvrf", DVRFConfig()),
    ("dvrf", DVRFConfig(shift=0.0)),
    ("tbsd", TBSDConfig(anchor=0.0, texture_scale=7.0, balance=BalanceConfig(shape_floor=0.0))),
    ("tbsd", TBSDConfig(balancer="fixed", anchor=0.0, balance=BalanceConfig(shape_share=0.0))),
]


@pytest.mark.parametrize("check", ALL, ids=lambda c: c.__name__)
@pytest.mark.parametrize(("name", "config"), VARIANTS)
def test_property(name, config, check):
    check(build_guidance(name, config))


def test_tables_agree():
    for name, spec in METHODS.items():
        assert build_guidance(name).config == default_config(name) == spec.config()
        assert spec.name == name and type(build_guidance(name)) is spec.method


@pytest.mark.parametrize("spec", METHODS.values(), ids=list(METHODS))
def test_a_method_is_described(spec):
    for text in (spec.label, spec.summary, spec.equation, spec.paper, spec.evaluations, spec.description, spec.prompts):
        assert isinstance(text, str) and text
    for name, value, hint in described(spec.config()):
        assert hint is not None and (hint.tooltip or hint.meaning), name
        assert range_of(hint) or name == "inversion_scale", name
        assert not hint.tooltip or (value is None) <= (hint.none is not None), f"{name}: a widget has no empty value"


def test_the_ids_of_the_nodes_never_change():
    known = "SDS CSD Bridge VSD ESD NFSD BSD ISM SDI HiFA DDS PDS SSD DVRF Edit".split()
    assert {spec.node for spec in METHODS.values()} >= {"TBSD_Guidance", *(f"TBSD_{name}Guidance" for name in known)}


def test_wrong_names_and_configs_are_refused():
    with pytest.raises(ValueError, match="known methods: sds, csd, bridge, tbsd, vsd, esd, nfsd, bsd, ism, sdi, hifa"):
        build_guidance("dreamfusion")
    with pytest.raises(ValueError, match="known methods"):
        default_config("dreamfusion")
    with pytest.raises(TypeError, match="takes a TBSDConfig, got SDSConfig"):
        build_guidance("tbsd", SDSConfig())


@pytest.mark.parametrize(
    ("config", "field", "value", "message"),
    [
        (SDSConfig(), "guidance_scale", -1.0, "guidance_scale must be >= 0, got -1"),
        (SDSConfig(), "guidance_scale", float("nan"), "guidance_scale"),
        (SDSConfig(), "weighting", "sigma", "weighting must be one of sigma2"),
        (CSDConfig(), "negative_start", -0.5, "negative_start must be >= 0, got -0.5"),
        (CSDConfig(), "negative_end", float("nan"), "negative_end must be >= 0"),
        (CSDConfig(), "anneal_end", 1.5, "anneal_end must be in"),
        (CSDConfig(), "weighting", "sigma", "weighting must be one of sigma2"),
        (BridgeConfig(), "switch", 1.5, "switch must be in"),
        (BridgeConfig(), "negative", "uncond", "target_negative, negative"),
        (BridgeConfig(), "guidance_scale", 0.0, "guidance_scale must be > 0"),
        (BridgeConfig(), "anchor", -1.0, "anchor"),
        (VSDConfig(), "guidance_scale", -1.0, "guidance_scale must be >= 0"),
        (ESDConfig(), "entropy", 1.5, "entropy must be in"),
        (LoRAConfig(), "rank", 0, "rank must be >= 1"),
        (LoRAConfig(), "lr", 0.0, "lr must be > 0"),
        (LoRAConfig(), "camera_dropout", 2.0, "camera_dropout must be in"),
        (NFSDConfig(), "guidance_scale", -1.0, "guidance_scale must be >= 0"),
        (NFSDConfig(), "clean_below", 1.5, "clean_below must be in"),
        (BSDConfig(), "guidance_scale", 0.0, "guidance_scale must be > 0"),
        (ISMConfig(), "baseline", "target", "baseline must be one of uncond, negative, got 'target'"),
        (ISMConfig(), "stride", 0.0, "stride must be in"),
        (ISMConfig(), "interval", 1.5, "interval must be in"),
        (ISMConfig(), "interval_anneal", -0.1, "interval_anneal must be in"),
        (SDIConfig(), "inversion_scale", float("nan"), "inversion_scale must be finite"),
        (SDIConfig(), "n_inversion_steps", 0, "n_inversion_steps must be >= 1"),
        (SDIConfig(), "eta", -0.1, "eta must be in"),
        (SDIConfig(), "overshoot", 2.0, "overshoot must be in"),
        (HiFAConfig(), "guidance_scale", -1.0, "guidance_scale must be >= 0"),
        (HiFAConfig(), "pixel_scale", -1.0, "pixel_scale must be >= 0"),
        (TBSDConfig(), "balancer", "sum", "balancer must be one of mgda_schedule"),
        (TBSDConfig(), "texture_scale", 0.0, "texture_scale must be > 0 or None"),
        (TBSDConfig(), "anchor", -0.1, "anchor"),
    ],
)
def test_values_out_of_range_are_refused(config, field, value, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(config, **{field: value})
