"""fl.private.vector: the noise has the variances that the plan promises."""

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats

from fl.arrays.flatten import flatten
from fl.private.vector import PrivateVector
from tests.kit.private_round_scene import (
    ADAPTIVE,
    CURIOUS,
    LOSS,
    planned,
    update_of,
)
from tests.kit.private_vectors import CONTEXT, WIDE, both_mechanisms, clipped, released

FALSE_POSITIVES = 1e-6


def within_chi_square(statistic: float, degrees: int, tests: int) -> bool:
    """Whether a sum of squares over their variances is as expected; one run in a million of all tests says no."""
    each = FALSE_POSITIVES / tests / 2
    return bool(stats.chi2.ppf(each, degrees) < statistic < stats.chi2.isf(each, degrees))


@pytest.mark.slow
@both_mechanisms
def test_the_noise_has_the_variance_that_the_plan_promises_at_every_survivor_count(mechanism: str):
    """False-positive rate 1e-6 over all counts (Bonferroni). A variance that is 6 % off fails practically always."""
    plan = planned(
        schema=WIDE, mechanism=mechanism, clients=8, max_dropouts=3, adversary=CURIOUS, epsilon=5.0, modulus_bits=32
    )
    # Rounding adds at most a quarter in each vector, which is nothing beside this.
    assert plan.noise.local_variance > 10**5
    counts, repeats = range(plan.min_survivors, plan.clients + 1), 16
    assert list(counts) == [5, 6, 7, 8]
    updates = [[array * 3.0] if client == 2 else [array] for client, array in enumerate(_arrays(8))]
    vector = PrivateVector(plan, CONTEXT, plan.clip)
    for count in counts:
        true = np.add.reduce([clipped(flatten(update, WIDE), plan.clip) for update in updates[:count]])
        squares = 0.0
        for _ in range(repeats):
            total = released(plan, [vector.encode(update) for update in updates[:count]])
            squares += float(np.sum((total.update - true) ** 2))
        assert within_chi_square(squares / plan.noise_stddev(count) ** 2, 1024 * repeats, len(counts)), count


def _arrays(count: int) -> list[npt.NDArray[np.float64]]:
    rng = np.random.default_rng(1)
    return [rng.standard_normal((32, 32)) / 40 for _ in range(count)]


def test_on_a_coarse_lattice_rounding_adds_what_it_may_and_no_more():
    """False-positive rate 1e-6. The promise is at least kept; roundings add from 0 to a quarter a vector."""
    plan = planned(schema=WIDE, clients=8, max_dropouts=3, adversary=CURIOUS, epsilon=30.0)
    assert plan.noise.local_variance < 100
    vector = PrivateVector(plan, CONTEXT, plan.clip)
    updates = [[array] for array in _arrays(5)]
    true = np.add.reduce([clipped(flatten(update, WIDE), plan.clip) for update in updates])
    squares, repeats = 0.0, 16
    for _ in range(repeats):
        squares += float(np.sum((released(plan, [vector.encode(update) for update in updates]).update - true) ** 2))
    promised = plan.noise_stddev(5) ** 2
    most = promised + 5 / 4 / plan.scale(plan.clip) ** 2
    degrees = 1024 * repeats
    assert squares / promised > stats.chi2.ppf(FALSE_POSITIVES / 2, degrees)
    assert squares / most < stats.chi2.isf(FALSE_POSITIVES / 2, degrees)


@pytest.mark.slow
@both_mechanisms
def test_side_values_and_clip_bits_have_the_noise_that_the_plan_promises(mechanism: str):
    """False-positive rate 1e-6 over the three, at two survivor counts."""
    plan = planned(
        mechanism=mechanism, adaptive=ADAPTIVE, side_values=(LOSS,), weight_cap=50, modulus_bits=24, epsilon=30.0
    )
    assert plan.noise.local_variance > 10**4
    vector, repeats = PrivateVector(plan, CONTEXT, 2.0), 300
    assert plan.noise.clip_bit_variance is not None
    for count in (4, 5):
        squares = np.zeros(3)
        bits = []
        for _ in range(repeats):
            words = [
                vector.encode(update_of(client, norm=1.0 + client), 10 * client, {"loss": 1.0})
                for client in range(count)
            ]
            total = released(plan, words, 2.0)
            assert total.clip_bits is not None
            weights = 10.0 * sum(range(count))
            squares[0] += ((total.side_values["loss"] - count) / plan.side_value_stddev("loss", count)) ** 2
            squares[1] += ((total.side_values["weight"] - weights) / plan.side_value_stddev("weight", count)) ** 2
            bits.append(total.clip_bits)
        # Norms 1 and 2 are within the clip norm 2, the others are not.
        true = 2 - (count - 2)
        squares[2] = sum((bit - true) ** 2 for bit in bits) / (count * float(plan.noise.clip_bit_variance))
        for statistic in squares:
            assert within_chi_square(float(statistic), repeats, 6)
