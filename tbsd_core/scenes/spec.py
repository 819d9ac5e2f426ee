"""The facts about a kind of scene. Everything that lists, makes, configures or shows scenes reads them here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ..settings import Presets
from .base import Scene


@dataclass(frozen=True, kw_only=True)
class Given:
    """The facts that are known before a scene is made; some scenes take their sizes from them.

    Args:
        size: pixels along each side of a view.
        latent_channels, spatial_factor: of the prior.
        mesh: the one to paint (mesh.Mesh), or None.
    """

    size: int
    latent_channels: int
    spatial_factor: int
    mesh: Any = None


@dataclass(frozen=True, kw_only=True)
class SceneSpec:
    """One kind of scene.

    Args:
        name: in files, on the command line and in tables.
        label: in titles, and in the name of the node: "NeRF".
        scene: makes the scene from its configuration (None: the defaults).
        config: its frozen dataclass; ranges, words and widgets stand on the fields (settings.setting).
        summary: a line of a list.
        uses_cameras: as of the scene: False for pictures.
        paints_mesh: whether it is made of a given mesh (mesh.paint.texture_scene).
        fit: the configuration with the sizes that are given.
        description: what the node is for, to a user; "" for a scene whose node is not made of its settings.
        presets: the settings a run begins with, by kind of model family and method.
    """

    name: str
    label: str
    scene: Callable[..., Scene]
    config: type
    summary: str
    uses_cameras: bool = True
    paints_mesh: bool = False
    fit: Callable[[Any, Given], Any] = lambda config, given: config
    description: str = ""
    presets: Presets = field(default_factory=dict)

    @property
    def node(self) -> str:
        """The id of its node; never changes."""
        return f"TBSD_{self.label}Scene"
