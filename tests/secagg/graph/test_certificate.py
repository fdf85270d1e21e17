"""Certificates: what they claim of random rings and of smaller rosters, and the sessions made from them."""

import math
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secagg.errors import InvalidParameterError
from secagg.graph.certificate import Certificate
from secagg.graph.choosing import certify, choose
from secagg.params import AdversaryModel, SessionParams
from secagg.primitives.prg import Suite

ACTIVE, CURIOUS = AdversaryModel.ACTIVE, AdversaryModel.HONEST_BUT_CURIOUS

each_model = pytest.mark.parametrize("adversary", AdversaryModel, ids=lambda model: model.name)

TRIALS = 20_000
HONEST, CORRUPT, DROPPED = 0, 1, 2


def random_rings(certificate: Certificate) -> npt.NDArray[np.int64]:
    """Who stands where on each of many rings."""
    kinds = np.full(certificate.roster, HONEST)
    kinds[: certificate.corrupt_clients] = CORRUPT
    kinds[certificate.corrupt_clients :][: certificate.dropped_clients] = DROPPED
    return np.random.default_rng(1).permuted(np.tile(kinds, (TRIALS, 1)), axis=1)


def around(marks: npt.NDArray[np.bool_], half: int) -> npt.NDArray[np.int64]:
    """How many of the `half` nearest on either side of each place are marked."""
    return sum((np.roll(marks, shift, axis=1).astype(int) for shift in range(-half, half + 1) if shift), np.array(0))


def disconnected(stays: npt.NDArray[np.bool_], half: int) -> bool:
    """Whether those that stay, each joined to the `half` nearest places on either side, are in several components."""
    n = len(stays)
    places = set(np.flatnonzero(stays).tolist())
    waiting = [places.pop()]
    while waiting:
        place = waiting.pop()
        near = {(place + shift) % n for shift in range(-half, half + 1)} & places
        places -= near
        waiting.extend(near)
    return bool(places)


def failures(certificate: Certificate) -> dict[str, int]:
    """In how many rings each condition fails, by its definition."""
    rings, n, k, t = random_rings(certificate), certificate.roster, certificate.neighbours, certificate.threshold
    half, corrupt = k // 2, rings == CORRUPT
    seen, left = around(corrupt, half), around(rings != DROPPED, half)
    if certificate.adversary is CURIOUS:
        return {
            "connected": sum(disconnected(ring == HONEST, half) for ring in rings),
            "private": int((seen >= t).any(axis=1).sum()),
            "alive": int((left < t).any(axis=1).sum()),
        }
    runs = sum((np.roll(corrupt, -ahead, axis=1).astype(int) for ahead in range(half)), np.array(0)) >= t - half
    cut = np.zeros(TRIALS, bool)
    for ahead in range(half, n - half + 1):
        cut |= (runs & np.roll(runs, ahead, axis=1)).any(axis=1)
    return {
        "uncuttable": int(cut.sum()),
        # h honest neighbours and c corrupt ones give h + 2c shares; two times t open both kinds.
        "private": int((k + seen >= 2 * t).any(axis=1).sum()),
        "alive": int((left < t).any(axis=1).sum()),
    }


@pytest.mark.slow
@pytest.mark.parametrize(
    "offer",
    [(50, 6, 3, 0.1, 0.1, CURIOUS), (48, 6, 4, 0.15, 0.08, CURIOUS), (40, 14, 10, 0.15, 0.13, ACTIVE)],
    ids=str,
)
def test_the_bounds_cover_what_random_rings_show(offer: tuple[Any, ...]) -> None:
    """With parameters so weak that failures happen, each bound is above their frequency, and not far above.

    If a bound p holds, more than T p + s failures in T rings have a probability below exp(-s**2 / (2 T p + 2 s / 3))
    (Bernstein), which is 1e-9 for the s below: so rarely would a true bound be found false, with another seed.
    """
    names = ("clients", "neighbours", "threshold", "corrupt", "dropout", "adversary")
    offered: dict[str, Any] = dict(zip(names, offer, strict=True))
    certificate = certify(**offered, security_bits=1, correctness_bits=1, grinding_bits=0)
    found = failures(certificate)
    for bound in certificate.bounds:
        p, x = 2.0**bound.log2_probability, 9 * math.log(10)
        assert 0.001 < p < 0.7, bound
        slack = x / 3 + math.sqrt(x * x / 9 + 2 * x * TRIALS * p)
        assert found[bound.name] <= TRIALS * p + slack, bound
        # A union bound counts rings with several bad places several times, not ten times.
        assert found[bound.name] >= TRIALS * p / 10, bound


@each_model
@pytest.mark.parametrize("clients", [100, 1000])
def test_for_all_clients_on_the_ring_certifying_a_choice_gives_it_back(adversary: AdversaryModel, clients: int) -> None:
    chosen = choose(clients, corrupt=0.1, dropout=0.1, adversary=adversary)
    assert (
        certify(
            clients,
            neighbours=chosen.neighbours,
            threshold=chosen.threshold,
            corrupt=0.1,
            dropout=0.1,
            adversary=adversary,
        )
        == chosen
    )
    assert (
        certify(
            clients,
            neighbours=chosen.neighbours,
            threshold=chosen.threshold,
            corrupt=0.1,
            dropout=0.1,
            adversary=adversary,
            roster=clients,
        )
        == chosen
    )
    assert (chosen.clients, chosen.roster, chosen.dropped_clients) == (clients, clients, clients // 10)


@given(
    clients=st.integers(33, 300),
    corrupt=st.sampled_from([0, 0.05, 0.1, 0.2, 0.35]),
    dropout=st.sampled_from([0.05, 0.1, 0.2, 0.3]),
    early=st.sampled_from([0, 0.3, 1]),
    adversary=st.sampled_from(AdversaryModel),
    bits=st.sampled_from([3, 20, 40]),
)
@settings(deadline=None, max_examples=60)
def test_a_choice_for_absent_clients_holds_in_every_roster_that_may_come(
    clients: int, corrupt: float, dropout: float, early: float, adversary: AdversaryModel, bits: int
) -> None:
    absent = round(early * dropout, 3)
    try:
        chosen = choose(
            clients,
            corrupt=corrupt,
            dropout=dropout,
            adversary=adversary,
            security_bits=bits,
            correctness_bits=bits,
            rounds=1,
            grinding_bits=10,
            absent=absent,
        )
    except InvalidParameterError:
        return
    assert chosen.roster == clients - math.ceil(Fraction(str(absent)) * clients)
    assert chosen.holds
    certified = partial(
        certify,
        clients,
        neighbours=chosen.neighbours,
        threshold=chosen.threshold,
        corrupt=corrupt,
        dropout=dropout,
        adversary=adversary,
        security_bits=bits,
        correctness_bits=bits,
        rounds=1,
        grinding_bits=10,
    )
    assert certified(absent=absent) == chosen
    for roster in range(chosen.roster, clients + 1):
        certificate = certified(roster=roster)
        assert certificate.holds, certificate
        assert certificate.roster == roster
        # What the session promises covers what each roster needs, and can be kept with all that may vanish gone.
        assert certificate.min_survivors <= chosen.min_survivors <= clients - chosen.dropped_clients
        assert certificate.dropped_clients == chosen.dropped_clients - (clients - roster)


def test_absent_clients_cost_neighbours() -> None:
    degrees = [
        choose(10**4, corrupt=0.2, dropout=0.2, adversary=ACTIVE, absent=absent).neighbours
        for absent in (0, 0.07, 0.14, 0.2)
    ]
    assert degrees == sorted(set(degrees))


@each_model
def test_a_roster_smaller_than_assumed_is_refused_sooner_or_later(adversary: AdversaryModel) -> None:
    chosen = choose(1000, corrupt=0.1, dropout=0.1, adversary=adversary, absent=0.05)

    def holds(roster: int) -> bool:
        return certify(
            1000,
            neighbours=chosen.neighbours,
            threshold=chosen.threshold,
            corrupt=0.1,
            dropout=0.1,
            adversary=adversary,
            roster=roster,
        ).holds

    assert holds(950)
    assert not any(holds(roster) for roster in (*range(1, 20), 100, 200, 600))


def test_a_roster_has_all_corrupt_clients_and_fewer_that_may_still_vanish() -> None:
    certificate = certify(100, neighbours=40, threshold=20, corrupt=0.1, dropout=0.2, adversary=CURIOUS, roster=85)
    assert (certificate.corrupt_clients, certificate.dropped_clients) == (10, 5)
    assert (
        certify(
            100, neighbours=40, threshold=20, corrupt=0.1, dropout=0.2, adversary=CURIOUS, roster=70
        ).dropped_clients
        == 0
    )
    assert (
        certify(
            100, neighbours=40, threshold=20, corrupt=0.5, dropout=0.2, adversary=CURIOUS, roster=30
        ).corrupt_clients
        == 30
    )


@each_model
def test_in_a_roster_of_k_or_fewer_everyone_is_a_neighbour(adversary: AdversaryModel) -> None:
    """As certain as in the complete graph: 2t > m + A or t > A, and t peers left."""
    for roster in range(15, 42):
        certificate = certify(
            100, neighbours=40, threshold=25, corrupt=0.1, dropout=0.7, adversary=adversary, roster=roster
        )
        left = roster - 1 - max(0, 70 - (100 - roster))
        private = adversary is CURIOUS or roster - 1 + 10 < 2 * 25
        alive = left >= 25 and roster - max(0, roster - 30) >= certificate.min_survivors
        assert certificate.complete
        assert certificate.grinding_bits == 0
        assert [bound.holds for bound in certificate.bounds] == [True, private, alive], roster
    assert not certify(
        100, neighbours=40, threshold=25, corrupt=0.1, dropout=0.7, adversary=adversary, roster=42
    ).complete


def test_a_threshold_above_the_peers_there_are_does_not_hold() -> None:
    certificate = certify(100, neighbours=40, threshold=25, corrupt=0.0, dropout=0.9, adversary=CURIOUS, roster=25)
    assert [bound.name for bound in certificate.bounds if not bound.holds] == ["alive"]


@given(
    clients=st.integers(33, 2000),
    corrupt=st.sampled_from([0, 0.1, 0.2]),
    dropout=st.sampled_from([0, 0.1, 0.25]),
    share=st.floats(0.8, 1),
)
@settings(deadline=None, max_examples=60)
def test_no_two_survivor_sets_reach_the_minimum_of_an_active_certificate(
    clients: int, corrupt: float, dropout: float, share: float
) -> None:
    chosen = choose(clients, corrupt=corrupt, dropout=dropout, adversary=ACTIVE)
    roster = math.ceil(share * clients)
    certificate = certify(
        clients,
        neighbours=chosen.neighbours,
        threshold=chosen.threshold,
        corrupt=corrupt,
        dropout=dropout,
        adversary=ACTIVE,
        roster=roster,
    )
    for one in (chosen, certificate):
        signers = one.roster + one.corrupt_clients  # corrupt ones sign twice
        assert 2 * one.min_survivors > signers
        assert one.min_survivors > one.threshold
        assert 2 * (one.min_survivors - 1) <= signers or one.min_survivors == one.threshold + 1


@given(
    clients=st.integers(33, 1500),
    neighbours=st.integers(2, 40).map(lambda half: 2 * half),
    corrupt=st.sampled_from([0, 0.05, 0.1, 0.3]),
    bits=st.sampled_from([5, 20, 40]),
)
@settings(deadline=None, max_examples=100)
def test_the_minimum_of_a_curious_certificate_is_the_last_that_is_connected(
    clients: int, neighbours: int, corrupt: float, bits: int
) -> None:
    neighbours = min(neighbours, (clients - 3) // 2 * 2)
    threshold = neighbours // 4 + 1
    certificate = certify(
        clients,
        neighbours=neighbours,
        threshold=threshold,
        corrupt=corrupt,
        dropout=0.0,
        adversary=CURIOUS,
        security_bits=bits,
    )

    def connected(survivors: int) -> bool:
        gone = certificate.corrupt_clients + clients - survivors
        cuts = Fraction(clients * (clients - neighbours - 1), 2) * math.comb(gone, neighbours)
        return cuts / math.comb(clients, neighbours) <= Fraction(1, 2 ** (bits + 1))

    fewest = certificate.min_survivors
    assert certificate.bounds[0].name == "connected"
    assert certificate.bounds[0].holds == connected(clients)
    if connected(clients):
        assert connected(fewest)
        assert fewest == threshold + 1 or not connected(fewest - 1)
    else:
        assert fewest == clients


def test_a_complete_graph_needs_its_threshold_of_peers_and_a_majority_against_a_lying_server() -> None:
    curious, active = (
        choose(30, corrupt=0.1, dropout=0.1, adversary=CURIOUS),
        choose(30, corrupt=0.1, dropout=0.1, adversary=ACTIVE),
    )
    assert curious.min_survivors == curious.threshold + 1 == 21
    assert active.min_survivors == max(active.threshold + 1, (30 + 3) // 2 + 1) == 21


def test_a_quorum_that_cannot_stay_is_not_alive() -> None:
    # Each neighbourhood is large enough with all that vanish, but 34 stay of the 35 whose signatures are demanded.
    certificate = certify(
        60,
        neighbours=58,
        threshold=30,
        corrupt=0.14,
        dropout=0.43,
        adversary=ACTIVE,
        security_bits=1,
        correctness_bits=1,
        grinding_bits=0,
    )
    assert certificate.min_survivors == (60 + 9) // 2 + 1 == 35
    assert certificate.bounds[2].name == "alive"
    assert certificate.bounds[2].log2_probability == 0.0


@each_model
@pytest.mark.parametrize(("clients", "absent"), [(20, 0.0), (1000, 0.0), (1000, 0.1)])
def test_a_session_has_the_graph_of_its_certificate(adversary: AdversaryModel, clients: int, absent: float) -> None:
    chosen = choose(clients, corrupt=0.1, dropout=0.1, adversary=adversary, absent=absent)
    params = chosen.session_params(
        vector_length=7, modulus_bits=24, suite=Suite.CHACHA20, round_number=3, application=b"plan"
    )
    assert params == SessionParams(
        cohort_size=clients,
        neighbours=chosen.neighbours,
        threshold=chosen.threshold,
        vector_length=7,
        modulus_bits=24,
        adversary=adversary,
        suite=Suite.CHACHA20,
        min_survivors=chosen.min_survivors,
        round_number=3,
        application=b"plan",
    )
    assert params.min_survivors == chosen.min_survivors
    assert chosen.session_params(vector_length=7, modulus_bits=24, min_survivors=clients).min_survivors == clients
    assert chosen.session_params(vector_length=7, modulus_bits=24, min_survivors=1) == chosen.session_params(
        vector_length=7, modulus_bits=24
    )


def test_no_session_is_made_of_a_certificate_that_does_not_hold() -> None:
    weak = certify(1000, neighbours=52, threshold=27, corrupt=0.1, dropout=0.1, adversary=CURIOUS)
    with pytest.raises(InvalidParameterError) as raised:
        weak.session_params(vector_length=7, modulus_bits=24)
    assert raised.value.parameter == "private"


def test_equal_questions_are_answered_once() -> None:
    first = certify(1000, neighbours=52, threshold=28, corrupt=0.1, dropout=0.1, adversary=CURIOUS, roster=990)
    assert certify(1000, neighbours=52, threshold=28, corrupt=0.1, dropout=0.1, adversary=CURIOUS, roster=990) is first
    # What is no number is refused, however equal it is to one that was asked about.
    assert certify(1000, neighbours=52, threshold=28, corrupt=0.1, dropout=0, adversary=CURIOUS).holds
    with pytest.raises(InvalidParameterError):
        certify(1000, neighbours=52, threshold=28, corrupt=0.1, dropout=False, adversary=CURIOUS)
