from __future__ import annotations

import math

import pytest
import torch
from tbsd_pack.tbsd_core.cameras.sampling import orbit
from tbsd_pack.tbsd_core.renderer.shading import AMBIENT, CONE, DIFFUSE, lambertian, random_lights


def test_lights_are_unit_vectors_spread_over_the_cone_around_each_camera():
    eyes = orbit(4, 30.0).c2w()[:, :3, 3].repeat(500, 1)
    lights = random_lights(eyes, torch.Generator().manual_seed(0))
    assert torch.allclose(lights.norm(dim=-1), torch.ones(2000), atol=1e-5)
    cos = (lights * torch.nn.functional.normalize(eyes, dim=-1)).sum(-1)
    edge = math.cos(math.radians(CONE))
    assert cos.min() >= edge - 1e-5
    # uniform on a spherical cap: so is the cosine (Archimedes)
    assert cos.mean().item() == pytest.approx((1 + edge) / 2, abs=0.01)


def test_brightness_is_lamberts():
    normals = torch.tensor([[0.0, 0, 1], [0, 1, 0], [0, 0, -1]])
    light = torch.tensor([0.0, math.sin(math.radians(60)), math.cos(math.radians(60))]).expand(3, 3)
    expected = [AMBIENT + DIFFUSE * 0.5, AMBIENT + DIFFUSE * math.sqrt(0.75), AMBIENT]
    assert lambertian(normals, light)[:, 0].tolist() == pytest.approx(expected)
