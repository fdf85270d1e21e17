"""fl.codecs.own_clips: arrays of another size than weights, clipped on their own within one mean."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fl
from fl.codecs.own_clips import OwnClips
from secagg.errors import InvalidParameterError

ARRAYS = {
    "bn.num_batches_tracked": np.array(40.0),
    "bn.running_var": np.full(3, 9.0),
    "fc": np.array([[0.05, -0.07]]),
    "none": np.zeros(0),
}
SCHEMA = fl.ArraySchema.of(ARRAYS)
CLIPS = {"bn.running_var": 50.0, "bn.num_batches_tracked": 1000.0, "none": 2.0}


def codec(**change: Any) -> fl.WeightedMean:
    terms: dict[str, Any] = {"clip": 0.1, "modulus_bits": 32, "clients": 4, "weight_cap": 10, "clips": CLIPS}
    return fl.WeightedMean(SCHEMA, **(terms | change))


def mean_of(codec: fl.WeightedMean, clients: list[dict[str, np.ndarray]], weight: int = 10) -> dict[str, np.ndarray]:
    words = [codec.encode(arrays, weight) for arrays in clients]
    mean, total_weight = codec.decode(sum(words[1:], words[0]), len(words))
    assert total_weight == weight * len(words)
    return dict(mean)  # type: ignore[arg-type]


def test_statistics_keep_their_size_and_weights_their_grid():
    mean = mean_of(codec(), [ARRAYS] * 4)
    for name, array in ARRAYS.items():
        step = 2 * CLIPS.get(name, 0.1) / codec().quantizer.levels
        assert np.abs(mean[name] - array).max(initial=0) <= 1.01 * step
        assert step <= codec().error_bound(4, total_weight=40)


@given(factor=st.floats(-3, 3), clip=st.floats(1e-6, 1e6), own=st.floats(1e-6, 1e6), weight=st.integers(1, 10))
@settings(deadline=None, max_examples=200)
def test_the_mean_is_that_of_clipped_arrays_within_the_bound(factor: float, clip: float, own: float, weight: int):
    made = codec(clip=clip, clips={"bn.running_var": own, "bn.num_batches_tracked": own})
    arrays = {name: np.full(array.shape, factor * (clip if name == "fc" else own)) for name, array in ARRAYS.items()}
    mean = mean_of(made, [arrays] * 3, weight)
    bound = made.error_bound(3, total_weight=3 * weight)
    for name, array in arrays.items():
        most = clip if name == "fc" else own
        assert np.abs(mean[name] - np.clip(array, -most, most)).max(initial=0) <= bound
    assert made.clipped_count(arrays) == (6 if abs(factor) > 1 else made.clipped_count(arrays))


def test_only_what_is_beyond_its_own_clip_counts_as_clipped():
    assert codec().clipped_count(ARRAYS) == 0
    assert codec(clips=CLIPS | {"bn.running_var": 8.0}).clipped_count(ARRAYS) == 3
    assert codec(clip=0.06).clipped_count(ARRAYS) == 1


def test_they_are_bound_into_the_session_and_without_any_nothing_changes():
    plain = fl.ArraySchema.of({"w": np.zeros(3), "v": np.zeros(3)})
    terms: dict[str, Any] = {"clip": 1.0, "modulus_bits": 32, "clients": 4, "weight_cap": 1}
    all_clips: list[Any] = [(), {"w": 1.0}, {"w": 2.0}, {"v": 2.0}, {"w": 2.0, "v": 2.0}]
    assert len({fl.WeightedMean(plain, **terms, clips=clips).application() for clips in all_clips}) == len(all_clips)
    assert codec() == codec(clips=tuple(CLIPS.items()))
    assert hash(codec()) == hash(codec(clips=tuple(CLIPS.items())))


@pytest.mark.parametrize(
    ("clips", "parameter"),
    [
        ({"bn": 1.0}, "clips"),
        ("fc", "clips"),
        (("fc", 1.0), "clips"),
        (None, "clips"),
        ({"fc": 0.0}, "clips['fc']"),
        ({"fc": float("nan")}, "clips['fc']"),
        ({"fc": "1"}, "clips['fc']"),
        ({"fc": 2.0**501}, "clips['fc']"),
    ],
)
def test_a_clip_that_is_none_is_refused(clips: Any, parameter: str):
    with pytest.raises(InvalidParameterError) as refused:
        OwnClips.of(clips, SCHEMA, clip=1.0)
    assert refused.value.parameter == parameter


def test_the_ends_of_the_range_of_clips_neither_overflow_nor_vanish():
    for clip, own in ((2.0**-500, 2.0**500), (2.0**500, 2.0**-500)):
        made = codec(clip=clip, clips={"bn.running_var": own, "bn.num_batches_tracked": own})
        arrays = {name: np.full(array.shape, 1.7e308) for name, array in ARRAYS.items()}
        mean = mean_of(made, [arrays])
        np.testing.assert_allclose(mean["bn.running_var"], own, rtol=1e-9)
