"""The colours of a mesh whose shape is given: what artists call texturing.

The colours are a field in space that is read where a pixel sees the surface, not a picture that is wrapped
around it: no seams, no texture coordinates needed, and neighbouring pixels of different charts stay neighbours.
A texture is baked from it at the end (mesh/texture.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..cameras.pose import Cameras
from ..cameras.rays import ray_lengths
from ..renderer.background import BACKGROUND, over_background
from ..renderer.rasterize import project, rasterize
from ..rng import named_generator
from ..settings import DEMO, PUBLISHED, Setting, check_settings, setting
from ..sources import AGAINST_SIGNAL, CSD_3D, MEASURED, NARROW_FRONT, REHEARSED, THREESTUDIO
from .base import RenderOutput, Scene
from .encodings import ENCODINGS, check_resolutions, encoding_setting, resolutions_setting
from .kept import N_BYTES, ORIGINAL, ORIGINAL_OF, PREFIX, WEIGHT, check_kept, mixed
from .kept_texture import KeptTexture, low_pass_difference, uv_area
from .spec import SceneSpec
from .surface import SurfaceConfig, surface_config

TEXTURE = PREFIX + "texture"
BESIDE = PREFIX + "beside"  # colours of the locked part that is nearest, and how near it is: what match_weight reads
MAX_SIDE = 16384  # texels along each side
MAX_VERTICES = MAX_FACES = 5_000_000  # sizes come from files; a mesh this large takes 0.5 GB
SHADINGS = ("none", "soft")
COLORS, GREY = "its colours", "grey"
LIGHT = (0.50, 0.72, 0.48)  # from the upper right front, as in the small world
AMBIENT, DIFFUSE = 0.55, 0.5


@dataclass(frozen=True, kw_only=True)
class MeshTextureConfig:
    """The colour field on a fixed surface. The sizes come from the geometry, which the scene's file holds."""

    n_vertices: int = setting(3, at_least=1, at_most=MAX_VERTICES)  # of the geometry
    n_faces: int = setting(1, at_least=1, at_most=MAX_FACES)
    n_uvs: int = 0  # 0, or n_vertices where the mesh has texture coordinates of its own
    encoding: str = encoding_setting("the colours are", optional=True)
    resolutions: tuple[int, ...] = resolutions_setting(
        (33, 97),
        "Colour cells along each side of the finest level. 97 suits 64-pixel pictures; 256 and more for Stable "
        "Diffusion.",
        low=17,
        high=512,
    )
    color_gain: float = setting(1.0, above=0)  # step of the colour logits per step of the encoding
    shading: str = setting(
        "soft",
        "soft: the model sees it lit, and the texture stays free of shadows. none: light and shadow are painted into "
        "the texture.",
        choices=SHADINGS,
    )
    # rendered pixels per pixel along each side; texture finer than a pixel does not flicker
    supersample: int = setting(2, at_least=1, at_most=8)
    bound: float = setting(1.0, above=0)  # radius of the ball that holds the mesh, world units
    background: tuple[float, float, float] = setting(BACKGROUND, at_least=0, at_most=1)
    tv_weight: float = setting(0.1, at_least=0)  # against noise on the finest grid
    seed: int = setting(0, "Decides the values that the colours start from.")
    # on mean colours of patches that differ from those that the mesh had: colours stay, detail is free
    pin_weight: float = setting(0.0, at_least=0)
    # to the colours of the locked part beside, near it; for a region that mixes with what is locked
    match_weight: float = setting(0.0, at_least=0)
    pin_width: float = setting(0.125, above=0, at_most=1)  # side of a patch / side of a view
    # the start of a mesh that keeps its colours, where it may change; an existing pattern would stay visible
    begin: str = setting(COLORS, choices=(COLORS, GREY))
    surface: SurfaceConfig = field(default_factory=SurfaceConfig)  # the mesh's attachments beside its colours

    def __post_init__(self) -> None:
        check_settings(self)
        check_resolutions(self.encoding, self.resolutions)
        if self.n_uvs not in (0, self.n_vertices):
            raise ValueError(f"n_uvs must be 0 or n_vertices = {self.n_vertices}, got {self.n_uvs}.")


def soft_light(normals: Tensor) -> Tensor:
    """Brightness [..., 1] of unit normals [..., 3]: mostly ambient, brighter towards LIGHT, at most 1.05."""
    light = F.normalize(torch.tensor(LIGHT, dtype=normals.dtype), dim=0).to(normals.device, non_blocking=True)
    return AMBIENT + DIFFUSE * (normals * light).sum(-1, keepdim=True).clamp(min=0)


class MeshTextureScene(Scene):
    """A scene whose shape is fixed; grey at first.

    The geometry is held as buffers, so that it is saved and copied with the colours; `set_geometry` fills
    them. place maps the mesh's own coordinates into the scene: scene = place[:3, :3] @ own + place[:3, 3].
    """

    fixed_geometry = True
    config: MeshTextureConfig
    vertices: Tensor
    faces: Tensor
    corner_normals: Tensor
    place: Tensor
    uvs: Tensor
    backdrop: Tensor
    kept: KeptTexture | None
    _uv_area: float | None = None

    def __init__(self, config: MeshTextureConfig | None = None) -> None:
        c = config or MeshTextureConfig()
        super().__init__(c)
        self.bound = c.bound
        self.encoding = ENCODINGS[c.encoding](c.resolutions, named_generator(c.seed, "mesh texture init"))
        self.register_buffer("vertices", torch.zeros(c.n_vertices, 3))
        self.register_buffer("faces", torch.zeros(c.n_faces, 3, dtype=torch.long))
        self.register_buffer("corner_normals", torch.zeros(c.n_faces, 3, 3))
        self.register_buffer("place", torch.eye(4))
        self.register_buffer("uvs", torch.zeros(c.n_uvs, 2))
        self.register_buffer("backdrop", torch.tensor(c.background), persistent=False)

    @torch.no_grad()
    def set_geometry(
        self,
        vertices: Tensor,  # [N, 3] in the scene, inside the ball
        faces: Tensor,  # [M, 3]
        corner_normals: Tensor,  # [M, 3, 3] unit vectors at the corners of the faces
        place: Tensor,  # [4, 4]
        uvs: Tensor,  # [n_uvs, 2]
    ) -> None:
        """Fill the geometry.

        Raises:
            ValueError: sizes that differ from the config, or faces with vertices that do not exist.
        """
        c = self.config
        for name, value, shape in (
            ("vertices", vertices, (c.n_vertices, 3)),
            ("faces", faces, (c.n_faces, 3)),
            ("corner_normals", corner_normals, (c.n_faces, 3, 3)),
            ("place", place, (4, 4)),
            ("uvs", uvs, (c.n_uvs, 2)),
        ):
            if tuple(value.shape) != shape:
                raise ValueError(f"MeshTextureScene: {name} must be {list(shape)}, got {list(value.shape)}.")
            getattr(self, name).copy_(value)
        self.check_geometry()

    def attach(self, tensors: Mapping[str, Tensor]) -> None:
        """The mesh's attachments beside its colours; its texture, if it had one, and how far that may change."""
        ours = {n: v for n, v in tensors.items() if n.startswith(PREFIX) or n in (ORIGINAL, ORIGINAL_OF)}
        self.config.surface.check({n: v for n, v in tensors.items() if n not in ours})
        check_kept(type(self).__name__, ours, texture_shapes(ours))
        if ours and not self.config.n_uvs:
            raise ValueError("MeshTextureScene: a texture is attached, and the mesh has no texture coordinates.")
        self.attached = dict(tensors)
        beside = ours.get(BESIDE) if self.config.match_weight else None  # it doubles what is kept on the device
        self.kept = KeptTexture(ours[TEXTURE], ours[WEIGHT], beside) if WEIGHT in ours else None
        self._uv_area = None

    def check_geometry(self) -> None:
        """Raise ValueError unless all faces are of vertices that are there and all numbers are finite."""
        if bool((self.faces < 0).any()) or int(self.faces.max()) >= self.config.n_vertices:
            raise ValueError(f"MeshTextureScene: a face names a vertex beyond the {self.config.n_vertices} there are.")
        if not bool(torch.isfinite(self.vertices).all() and torch.isfinite(self.corner_normals).all()):
            raise ValueError("MeshTextureScene: the geometry has numbers that are not finite.")

    def load_state_dict(self, state_dict: Mapping[str, Any], *args: Any, **kwargs: Any) -> Any:
        """Of nn.Module; the geometry comes from a file, so it is checked."""
        result = super().load_state_dict(state_dict, *args, **kwargs)
        self.check_geometry()
        return result

    def albedo(self, points: Tensor) -> Tensor:
        """Base colours [N, 3] in [0, 1] at points [N, 3], without light."""
        return torch.sigmoid(self.encoding(points / self.bound)[:, 1:] * self.config.color_gain)

    def render(
        self, cameras: Cameras, height: int, width: int, generator=None, with_normal=False, progress=1.0
    ) -> RenderOutput:
        """Render B views; opacity is the part of a pixel that the mesh covers. Only colours carry a gradient."""
        c, s = self.config, self.config.supersample
        cameras = cameras.to(self.vertices.device)
        seen = rasterize(project(cameras, self.vertices, height * s, width * s), self.faces, height * s, width * s)
        face = seen.face.flatten().index_select(0, seen.at)
        weights = seen.barycentric.flatten(0, 2).index_select(0, seen.at)[..., None]
        points = (self.vertices[self.faces[face]] * weights).sum(-2)
        normals = F.normalize((self.corner_normals[face] * weights).sum(-2), dim=-1)
        # both sides are painted: a surface seen from behind is lit as if it faced the camera
        eye = cameras.c2w()[:, :3, 3].index_select(0, seen.at // seen.face[0].numel())
        normals = torch.where(((eye - points) * normals).sum(-1, keepdim=True) < 0, -normals, normals)
        color, before, beside = self.albedo(points), None, None
        if self.kept is not None:
            uvs = (self.uvs[self.faces[face]] * weights).sum(-2)
            before, weight, beside = self.kept.seen_at(uvs, self._texels_per(len(seen.at) / len(cameras)))
            color = mixed(before, color, weight)
        if c.shading == "soft":
            light = soft_light(normals)
            color, before = color * light, None if before is None else before * light
            beside = None if beside is None else torch.cat([beside[:, :3] * light, beside[:, 3:]], 1)

        def image(values: Tensor) -> Tensor:
            flat = values.new_zeros(seen.face.numel(), values.shape[-1]).index_copy(0, seen.at, values)
            return F.avg_pool2d(flat.view(*seen.face.shape, -1).movedim(-1, 1), s)

        opacity = F.avg_pool2d((seen.face >= 0).to(points.dtype)[:, None], s)
        along_ray = seen.depth[:, None] * ray_lengths(cameras, height * s, width * s)
        depth = F.avg_pool2d(along_ray, s)
        rgb = image(color).movedim(1, -1)
        rgb = over_background(rgb, opacity.movedim(1, -1), self.backdrop).movedim(-1, 1)
        normal = F.normalize(image(normals), dim=1) if with_normal else None
        penalties, patch = {}, round(c.pin_width * width)
        if c.pin_weight and before is not None:
            penalties["pin"] = low_pass_difference(image(color), image(before), opacity, patch)
        if c.match_weight and beside is not None and beside.shape[1]:
            penalties["match"] = low_pass_difference(image(color), image(beside[:, :3]), image(beside[:, 3:]), patch)
        # cut off at 1 with a gradient, without which a lit white surface would stay white
        rgb = rgb - (rgb.detach() - 1).clamp(min=0)
        return RenderOutput(rgb, opacity, depth / opacity.clamp(min=1e-6), normal, penalties=penalties)

    def _texels_per(self, n: float) -> float:
        """Texels of the kept texture for each of the n places that a view sees, about half of all."""
        assert self.kept is not None
        if self._uv_area is None:
            self._uv_area = min(1.0, uv_area(self.uvs, self.faces))
        return 0.5 * self._uv_area * self.kept.weight.numel() / max(n, 1.0)

    def parameter_groups(self, lr: float) -> list[dict[str, Any]]:
        """Parameter groups of the encoding; lr = 0.02 with Adam suits the defaults."""
        return self.encoding.parameter_groups(lr)

    def regularization(self, render: RenderOutput, progress: float) -> dict[str, Tensor]:
        """Total variation of the finest grid, and how far mean colours have moved where they are pinned."""
        if self.config.pin_weight and "pin" not in render.penalties:
            raise ValueError("pin_weight holds the colours of a mesh: let it keep them (keep_colors), or set it to 0.")
        weights = {"pin": self.config.pin_weight, "match": self.config.match_weight}
        losses = {"tv": self.config.tv_weight * self.encoding.total_variation()}
        return losses | {name: weights[name] * value for name, value in render.penalties.items()}


def texture_shapes(tensors: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    """The shapes that the attached texture and its weight must have; they follow the texture's size.

    Raises:
        ValueError: an invalid texture.
    """
    shapes: dict[str, tuple[int, ...]] = {ORIGINAL_OF: (N_BYTES,)}
    for name in (ORIGINAL, TEXTURE):
        value = tensors.get(name)
        if value is None:
            continue
        if value.dtype != torch.uint8 or value.ndim != 3 or value.shape[2] != 3 or not 0 < max(value.shape) <= MAX_SIDE:
            raise ValueError(
                f"{name} must be a texture [H, W, 3] of 8 bits, of at most {MAX_SIDE}, got {list(value.shape)} of "
                f"{value.dtype}."
            )
        shapes[name] = tuple(value.shape)
        if name == TEXTURE:
            shapes[WEIGHT] = tuple(value.shape[:2])
            if BESIDE in tensors:
                shapes[BESIDE] = (*value.shape[:2], 4)
    return shapes


SPEC = SceneSpec(
    name="mesh_texture",
    label="MeshTexture",
    scene=MeshTextureScene,
    config=MeshTextureConfig,
    summary="the colours of a given mesh",
    paints_mesh=True,
    fit=lambda config, given: replace(
        config,
        n_vertices=len(given.mesh.vertices),
        n_faces=len(given.mesh.faces),
        n_uvs=0 if given.mesh.uvs is None else len(given.mesh.uvs),
        surface=surface_config(given.mesh),
    ),
    presets={
        (PUBLISHED, ""): {
            "optim.n_steps": Setting(3000, "ours: the shape is there, and colours settle sooner"),
            "optim.views_per_step": Setting(4, "ours: as for the NeRF"),
            "optim.lr": Setting(0.02, "measured on the small world, for the dense grid"),
            "optim.size": Setting(512, "ours: no rays are marched, so that full views are affordable"),
            "optim.normalize_by": Setting("signal", AGAINST_SIGNAL),
            "optim.eps": Setting(1e-9, REHEARSED),
            "cameras.elevation_min": Setting(-10.0, THREESTUDIO),
            "cameras.elevation_max": Setting(60.0, "ours: tops are seen, and prompts know few views from above"),
            "cameras.front": Setting(30.0, NARROW_FRONT),
            "scene.resolutions": Setting((65, 257), "ours: as fine as the views of 512 pixels show"),
            "scene.tv_weight": Setting(0.05, REHEARSED),
            "optim.timesteps.t_min": Setting(0.02, THREESTUDIO),
            "optim.timesteps.t_max": Setting(0.98, THREESTUDIO),
            "optim.timesteps.t_max_end": Setting(0.5, "ProlificDreamer, arXiv:2305.16213: t_max falls to 0.5"),
            "optim.timesteps.anneal_end": Setting(0.5, "halfway, as " + CSD_3D),
        },
        (DEMO, ""): {
            "optim.n_steps": Setting(200, MEASURED),
            "optim.views_per_step": Setting(4, MEASURED),
            "optim.lr": Setting(0.02, MEASURED),
            "optim.timesteps.t_max_end": Setting(0.15, MEASURED),
        },
    },
)
