"""A private weighted mean is never longer than the clip norm, and where no weight is there is no mean."""

import numpy as np
import pytest

import fl
from fl import private
from fl.private import NoMeanError, PrivateVector


@pytest.mark.parametrize(
    ("clients", "cap", "weight", "epsilon", "rounds"),
    [(12, 100, 10, 8.0, 10), (50, 1000, 50, 4.0, 50), (12, 100, 0, 8.0, 10)],
)
def test_a_released_mean_is_within_the_clip_norm_or_there_is_none(
    clients: int, cap: int, weight: int, epsilon: float, rounds: int
):
    schema = fl.ArraySchema.of({"w": np.zeros(64, np.float32)})
    plan = private.make_plan(
        scope="s",
        schema=schema,
        clients=clients,
        max_dropouts=clients // 10,
        colluders=0,
        clip=1.0,
        epsilon=epsilon,
        delta=1e-5,
        rounds=rounds,
        weight_cap=cap,
    )
    without = 0
    for number in range(12):
        vector = PrivateVector(plan, number.to_bytes(32, "big"), 1.0)
        words = [vector.encode({"w": np.full(64, 0.1, np.float32)}, weight) for _ in range(clients)]
        total = sum(word.astype(np.uint64) for word in words) & np.uint64((1 << plan.noise.modulus_bits) - 1)
        released = vector.decode(total.astype(words[0].dtype), clients)
        try:
            mean = released.mean()
        except NoMeanError:
            without += 1
            continue
        assert released.denominator > 3 * released.denominator_stddev
        assert np.linalg.norm(mean["w"]) <= 1 + 1e-6
    if not weight:
        # Each of twelve is above three standard deviations with a probability of 0.0014: three of them with 5e-7.
        assert without >= 10
