"""Two levels of secure aggregation: the sum of a group is a client's vector on the next level.

    pip install .
    python examples/two_levels.py

Each hospital runs one session among its departments. Its server then takes part in a second session, among the
hospitals, with its own sum as its vector. Sums modulo 2**m of sums modulo 2**m are sums modulo 2**m, and the weights
are words of the same vector: the total is, bit for bit, what one large session would have given.

Who learns what, if all follow the protocol:

* a hospital's server: the mean and the total weight **of its own departments**, and who of them survived;
* the central server: the mean, the total weight and the number of departments over **all** hospitals together,
  and which hospitals took part: no hospital's sum, size or weight;
* a department: nothing but what is published.

What two levels cost: towards its own hospital's server a department hides among the departments of that hospital
only, and not among all; where that server is not trusted with its group's sum, groups must be large, or noise be
added. Once the total is published, a hospital's server can subtract its own sum and knows that of all the others
together: with two hospitals, the other one's. Colluding hospitals can subtract all of theirs.

Groups that lose too many departments, and hospitals that vanish, are missing from the total and do no other harm.
"""

# ruff: noqa: T201 - an example prints what it found

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fl import ArraySchema, WeightedMean
from secagg import SessionParams, TooFewClientsError, simulate

MODULUS_BITS = 32
WEIGHT_CAP = 500
CLIP = 1.0
HOSPITALS = {"north": 6, "east": 5, "south": 7, "west": 4, "island": 4, "valley": 5}
"""Hospitals and how many departments each has."""

DROPPED = {"masked_input": {3, 14}, "unmask": {9}}
"""Departments that vanish, by stage: 9 only after its vector is in the sum."""

LOST_GROUP = {"masked_input": {23, 24, 25}}
"""Three of the island's four: too few are left."""

LOST_HOSPITAL = "valley"
"""Its server vanishes on the upper level."""

Model = dict[str, npt.NDArray[np.float64]]
Words = npt.NDArray[np.unsignedinteger]


@dataclass(frozen=True)
class GroupSum:
    """What a hospital's server knows after its session."""

    words: Words
    survivors: frozenset[int]


def departments() -> tuple[dict[str, dict[int, Model]], dict[int, int]]:
    """Returns every department's delta, by hospital, and every department's number of examples."""
    rng = np.random.default_rng(0)  # noqa: TID251 - inputs of an example, no secrets
    deltas: dict[str, dict[int, Model]] = {}
    weights: dict[int, int] = {}
    for hospital, count in HOSPITALS.items():
        deltas[hospital] = {}
        for _ in range(count):
            number = len(weights) + 1
            deltas[hospital][number] = {"weight": rng.normal(0, 0.2, (20, 10)), "bias": rng.normal(0, 0.2, 10)}
            weights[number] = int(rng.integers(1, WEIGHT_CAP, endpoint=True))
    return deltas, weights


def aggregate_group(codec: WeightedMean, hospital: str, words: Mapping[int, Words]) -> GroupSum | None:
    """Runs a hospital's session; returns None if too few departments are left."""
    params = SessionParams.for_cohort(
        cohort_size=len(words),
        vector_length=codec.vector_length,
        modulus_bits=codec.modulus_bits,
        # The level and the group are bound into the session: nothing of it opens in another one.
        application=codec.application(f"departments of {hospital}".encode()),
    )
    leaving = DROPPED if hospital != "island" else LOST_GROUP
    dropouts = {stage: clients & words.keys() for stage, clients in leaving.items()}
    try:
        outcome = simulate(words, params, dropouts=dropouts)
    except TooFewClientsError:
        return None
    return GroupSum(outcome.sum, outcome.survivors)


def aggregate_hospitals(codec: WeightedMean, groups: Mapping[str, GroupSum]) -> tuple[Words, int, list[str]]:
    """Runs the session among the hospitals; returns its sum, the departments in it, and the hospitals in it."""
    names = sorted(groups)
    # One more word counts the departments, so that the central server learns their number in total only.
    vectors = {
        number: np.append(groups[name].words, groups[name].words.dtype.type(len(groups[name].survivors)))
        for number, name in enumerate(names)
    }
    params = SessionParams.for_cohort(
        cohort_size=len(vectors),
        vector_length=codec.vector_length + 1,
        modulus_bits=codec.modulus_bits,
        application=codec.application(b"hospitals"),
    )
    lost = [number for number, name in enumerate(names) if name == LOST_HOSPITAL]
    outcome = simulate(vectors, params, dropouts={"masked_input": lost})
    return outcome.sum[:-1], int(outcome.sum[-1]), [names[number] for number in sorted(outcome.survivors)]


def main() -> None:
    """Runs both levels, prints what each server learns, and compares with one level and with the plain mean."""
    deltas, weights = departments()
    schema = ArraySchema.of(next(iter(deltas["north"].values())))
    # The grid has room for all departments of all hospitals: no sum wraps on either level.
    codec = WeightedMean(schema, CLIP, MODULUS_BITS, clients=len(weights), weight_cap=WEIGHT_CAP)
    encoded = {
        hospital: {number: codec.encode(delta, weights[number]) for number, delta in group.items()}
        for hospital, group in deltas.items()
    }

    groups: dict[str, GroupSum] = {}
    for hospital, words in encoded.items():
        group = aggregate_group(codec, hospital, words)
        if group is None:
            print(f"{hospital}: too few of {len(words)} departments are left; its server learns nothing")
            continue
        groups[hospital] = group
        _, weight = codec.decode(group.words, len(group.survivors))
        print(
            f"{hospital}: its server learns the mean of {len(group.survivors)} of {len(words)} departments, "
            f"total weight {weight}"
        )

    total, survivors, present = aggregate_hospitals(codec, groups)
    mean, weight = codec.decode(total, survivors)
    print(f"hospitals in the total: {', '.join(present)}")
    print(f"the central server learns the mean of {survivors} departments, total weight {weight}, and no group's")

    in_total = sorted(number for name in present for number in groups[name].survivors)
    every = {number: words for group in encoded.values() for number, words in group.items()}
    one_level = simulate({number: every[number] for number in in_total}, _one_level(codec, len(in_total)))
    print("the sum equals that of one level:", np.array_equal(total, one_level.sum))

    plain = {number: delta for group in deltas.values() for number, delta in group.items()}
    close = weight == sum(weights[number] for number in in_total)
    for name, array in mean.items() if isinstance(mean, dict) else ():
        clipped = [np.clip(plain[number][name], -CLIP, CLIP) for number in in_total]
        truth = np.average(clipped, axis=0, weights=[weights[number] for number in in_total])
        close = close and bool((np.abs(array - truth) <= codec.quantizer.error_bound(survivors, weight)).all())
    print("the mean is within the quantiser's bound of the plain one:", close)


def _one_level(codec: WeightedMean, clients: int) -> SessionParams:
    return SessionParams.for_cohort(
        cohort_size=clients, vector_length=codec.vector_length, modulus_bits=codec.modulus_bits
    )


if __name__ == "__main__":
    main()
