from __future__ import annotations

import pytest
from tbsd_pack.tbsd_core.balancing.schedules import KINDS, ProgressSchedule


@pytest.mark.parametrize("kind", [k for k in KINDS if k != "constant"])
def test_goes_monotonically_from_start_to_end(kind):
    schedule = ProgressSchedule(kind=kind, start=0.9, end=0.2)
    values = [schedule(i / 20) for i in range(21)]
    assert (values[0], values[-1]) == (0.9, 0.2)
    assert values == sorted(values, reverse=True)


def test_pinned_values_at_a_quarter():
    at = {kind: ProgressSchedule(kind=kind)(0.25) for kind in KINDS}
    assert at == {
        "constant": 1.0,
        "linear": 0.75,
        "cosine": pytest.approx(0.853553390593),
        "sqrt": 0.5,
    }


def test_bad_settings_are_refused():
    with pytest.raises(ValueError, match="constant, linear, cosine, sqrt"):
        ProgressSchedule(kind="step")
    with pytest.raises(ValueError, match="end must be in"):
        ProgressSchedule(end=-0.1)
    with pytest.raises(ValueError, match="progress must be in"):
        ProgressSchedule()(1.1)
