from __future__ import annotations

import torch
from tbsd_pack.tbsd_core.renderer.background import BACKGROUND, Environment, over_background, random_colors


def test_random_colors_change_for_half_of_the_views():
    colors = random_colors(2000, BACKGROUND, torch.Generator().manual_seed(0))
    plain = (colors == torch.tensor(BACKGROUND)).all(-1)
    assert 0.45 < plain.float().mean() < 0.55
    assert torch.allclose(colors[~plain].mean(0), torch.full((3,), 0.5), atol=0.05)


def test_environment_begins_with_one_colour_and_learns_directions():
    environment = Environment(BACKGROUND, torch.Generator().manual_seed(0))
    rays = torch.nn.functional.normalize(torch.randn(64, 3, generator=torch.Generator().manual_seed(1)), dim=-1)
    assert torch.allclose(environment(rays), torch.tensor(BACKGROUND).expand(64, 3), atol=1e-5)
    wanted = (rays[:, 1:2] > 0).float().expand(64, 3)
    optimizer = torch.optim.Adam(environment.parameters(), lr=0.05)
    for _ in range(100):
        optimizer.zero_grad()
        (environment(rays) - wanted).square().mean().backward()
        optimizer.step()
    assert (environment(rays) - wanted).abs().mean() < 0.1


def test_compositing_takes_a_colour_per_ray():
    rgb, opacity = torch.zeros(2, 3), torch.tensor([[0.0], [0.5]])
    colors = torch.tensor([[1.0, 0, 0], [0, 1, 0]])
    assert over_background(rgb, opacity, colors).tolist() == [[1, 0, 0], [0, 0.5, 0]]
