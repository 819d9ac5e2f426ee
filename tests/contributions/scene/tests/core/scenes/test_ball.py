from __future__ import annotations

import pytest
from tbsd_pack.tbsd_core.cameras.sampling import orbit
from tbsd_pack.tbsd_core.scenes.ball import BallConfig, BallScene


def test_it_is_as_large_as_it_says():
    seen = BallScene(BallConfig(radius=0.3)).render(orbit(1), 32, 32)
    assert seen.opacity[0, 0, 16, 16] > 0.99 and seen.opacity[0, 0, 0, 0] < 0.01


def test_no_ball_is_refused():
    with pytest.raises(ValueError, match="radius must be in"):
        BallConfig(radius=0.0)
