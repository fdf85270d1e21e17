"""fl.private.plan_record: the numbers that follow from a plan: the length of the vector, and the lattice."""

import math

import pytest

from tests.kit.private_round_scene import ADAPTIVE, LOSS, planned


def test_the_vector_has_a_power_of_two_of_coordinates_and_the_bit():
    assert planned().vector_length == 16
    assert planned(adaptive=ADAPTIVE).vector_length == 17
    assert planned(weight_cap=50, side_values=(LOSS,)).vector_length == 32
    assert planned(weight_cap=50).noise.dimension == 16


def test_the_lattice_follows_the_clip_norm():
    plan = planned(adaptive=ADAPTIVE, side_values=(LOSS,))
    assert plan.joint_clip(3.0) == pytest.approx(3 * math.sqrt(1.25), rel=1e-15)
    for clip in (0.01, 1.0, 77.0):
        assert plan.scale(clip) * plan.joint_clip(clip) == pytest.approx(plan.noise.scaled_clip, rel=1e-15)
        adapted = plan.adaptive_at(clip)
        assert adapted is not None
        assert (adapted.clip_norm, adapted.largest) == (clip, 100.0)
    assert planned().adaptive_at(1.0) is None
