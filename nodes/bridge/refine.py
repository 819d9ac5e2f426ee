"""An optimised NeRF as a scene that paints its surface."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from ...tbsd_core.experiment.refine import SAME_PLACE, as_at_the_end, refined
from ...tbsd_core.guidance import method_of
from ...tbsd_core.guidance.timesteps import TimestepConfig
from ...tbsd_core.mesh import ExportConfig
from ...tbsd_core.optim import OptimConfig
from ...tbsd_core.preset_changes import YOURS
from ...tbsd_core.presets import preset, with_settings
from ...tbsd_core.scenes import MeshTextureConfig, MeshTextureScene, Scene
from .autograd import optimization_mode
from .family import model_family
from .mesh import cut
from .scenes import continued
from .texture import scene_of_mesh, waiting

if TYPE_CHECKING:
    from ..sockets import GuidedModel

NAME = "Refine as Mesh"
NOISE = "optim.timesteps."


def surface_of(scene: Scene, export: ExportConfig, config: MeshTextureConfig, node_id: str | None) -> MeshTextureScene:
    """The surface of a NeRF in the colours that it shows, where it stands. Raises ValueError for a scene without one,
    and for one that is a mesh already."""
    if isinstance(scene, MeshTextureScene):
        raise ValueError(f"{NAME} needs a NeRF; this scene is a mesh already. Connect it to Optimize 3D.")
    mesh, _ = cut(scene, export, node_id, NAME)
    return scene_of_mesh(mesh, config, SAME_PLACE, True, waiting(node_id))


def painted_run(run: str) -> MeshTextureScene:
    """The scene of a run on disk, which has its mesh. Raises as `continued`."""
    with optimization_mode():
        scene = continued(run, MeshTextureScene())
    assert isinstance(scene, MeshTextureScene)
    return scene


def noise_of(guided: GuidedModel, t_max: float) -> TimestepConfig:
    """The noise of this stage from its most; the rest as in `run --stages`, or as the user has set it for every run."""
    family, _ = model_family(guided.model)
    settings = refined(preset(family, "mesh_texture", method_of(guided.guidance).name), family)
    yours = {name: s for name, s in (guided.preset or {}).items() if s.source == YOURS and name.startswith(NOISE)}
    own = asdict(with_settings(OptimConfig(), "optim", settings).timesteps)
    own |= {name.removeprefix(NOISE): setting.value for name, setting in yours.items()}
    least = min(own["t_min"], t_max)
    ends = {"t_min": least, "t_max": t_max, "t_max_end": max(least, min(own["t_max_end"], t_max))}
    return TimestepConfig(**own | ends)


def to_refine(guided: GuidedModel) -> GuidedModel:
    """A guidance with the settings of this stage, in place of connected settings for the scene that came before. Of
    these stay what the user has set for every run, and the size that a small card can encode."""
    family, _ = model_family(guided.model)
    method = method_of(guided.guidance)
    config, settings = guided.guidance.config, guided.preset
    if settings is not None:
        kept = {
            name: setting
            for name, setting in settings.items()
            if name == "optim.encode_size" or (name.startswith(("optim.", "guidance.")) and setting.source == YOURS)
        }
        settings = {**refined(preset(family, "mesh_texture", method.name), family), **kept}
        config = with_settings(method.config(), "guidance", settings)
    return replace(guided, guidance=method.method(as_at_the_end(config, family)), preset=settings)
