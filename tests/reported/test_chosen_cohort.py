"""Who invites chooses the cohort: all corrupt clients of the population count in it."""

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secagg import (
    AdversaryModel,
    ClientPolicy,
    Identity,
    InvalidParameterError,
    PolicyViolationError,
    SessionParams,
    certify,
    choose,
)
from tests.kit.sessions import ACTIVE, CURIOUS, Live, make_params
from tests.kit.weak_keys import BASE_POINT

KEYS = {client: Identity.generate().public_key for client in range(1, 41)}


def invited(cohort: int, **changes) -> SessionParams:
    return SessionParams.for_cohort(cohort_size=cohort, vector_length=3, modulus_bits=20, **changes)


@pytest.mark.parametrize("cohort", range(4, 10))
def test_a_small_part_of_forty_known_clients_is_refused_at_the_invitation(cohort: int):
    """4 of 40 collude. With them and one victim the sum is the victim's; with 4 + 4 a split view opens one client."""
    with pytest.raises(PolicyViolationError) as refused:
        ClientPolicy(identities=KEYS).check(invited(cohort))
    assert (refused.value.rule, refused.value.offered) == ("cohort_size", cohort)
    with pytest.raises(PolicyViolationError):
        ClientPolicy(identities=KEYS, min_cohort=3).check(invited(min(cohort, 8)))


def test_the_minimum_of_survivors_covers_every_corrupt_client_of_the_population():
    policy = ClientPolicy(identities=KEYS, min_cohort=3)
    for cohort in range(3, 41):
        assert policy.assumed_corrupt(cohort) == min(cohort, 4)
    assert policy.required_survivors(invited(12)) >= 4 + 3


@given(
    st.integers(1, 60),
    st.integers(1, 60),
    st.decimals("0", "0.49", places=2).map(float),
    st.sampled_from(AdversaryModel),
)
def test_the_corrupt_of_any_cohort_are_those_of_the_population(
    cohort: int, population: int, part: float, adversary: AdversaryModel
):
    corrupt = math.ceil(Fraction(str(part)) * max(population, cohort))
    if adversary is ACTIVE:
        keys = dict.fromkeys(range(population), BASE_POINT)
        policy = ClientPolicy(identities=keys, corrupt_fraction=part)
    elif max(population, cohort) < 3:
        return
    else:
        policy = ClientPolicy(adversary=adversary, corrupt_fraction=part, population=max(population, cohort, 3))
        corrupt = math.ceil(Fraction(str(part)) * max(population, cohort, 3))
    assert policy.assumed_corrupt(cohort) == min(cohort, corrupt)


def test_a_curious_servers_cohort_is_the_population_unless_it_is_said():
    assert ClientPolicy(adversary=CURIOUS).assumed_corrupt(10) == 1
    policy = ClientPolicy(adversary=CURIOUS, population=100)
    assert policy.assumed_corrupt(10) == 10
    with pytest.raises(PolicyViolationError, match="at least 11 with 10 corrupt"):
        policy.check(invited(10, adversary=CURIOUS))
    with pytest.raises(PolicyViolationError, match="3 to 20|10 to 20"):
        ClientPolicy(adversary=CURIOUS, population=20).check(invited(21, adversary=CURIOUS))


def test_who_trusts_an_honest_drawing_says_so_and_gets_the_tail_not_the_mean():
    drawn = {"adversary": CURIOUS, "population": 1000, "drawn_honestly": True}
    assert ClientPolicy(**drawn).assumed_corrupt(50) == 24
    assert ClientPolicy(**drawn, corrupt_clients=100).assumed_corrupt(50) == 24
    with pytest.raises(InvalidParameterError, match="population"):
        ClientPolicy(adversary=CURIOUS, drawn_honestly=True)
    keys = dict.fromkeys(range(1000), BASE_POINT)
    assert ClientPolicy(identities=keys, drawn_honestly=True).assumed_corrupt(50) == 24


def test_a_number_of_corrupt_clients_takes_the_place_of_the_part():
    policy = ClientPolicy(identities=KEYS, corrupt_clients=2, min_cohort=3)
    assert [policy.assumed_corrupt(cohort) for cohort in (1, 5, 40)] == [1, 2, 2]
    with pytest.raises(InvalidParameterError, match="corrupt_clients"):
        ClientPolicy(adversary=CURIOUS, population=4, corrupt_clients=5)


def test_graphs_are_chosen_and_certified_for_the_population():
    small = choose(100, corrupt=0.1, dropout=0.1, adversary=CURIOUS)
    large = choose(100, corrupt=0.1, dropout=0.1, adversary=CURIOUS, population=300)
    assert (small.corrupt_clients, large.corrupt_clients) == (10, 30)
    assert large.neighbours > small.neighbours
    offered = {"neighbours": small.neighbours, "threshold": small.threshold, "corrupt": 0.1, "dropout": 0.1}
    assert not certify(100, **offered, adversary=CURIOUS, population=300).holds
    random = choose(100, corrupt=0.1, dropout=0.1, adversary=CURIOUS, population=3000, drawn_honestly=True)
    assert random.corrupt_clients < 40
    with pytest.raises(InvalidParameterError, match="population"):
        choose(100, corrupt=0.1, dropout=0.1, adversary=CURIOUS, population=99)
    policy = ClientPolicy(adversary=CURIOUS, population=300)
    with pytest.raises(PolicyViolationError):
        policy.check(small.session_params(vector_length=1, modulus_bits=8))
    policy.check(large.session_params(vector_length=1, modulus_bits=8))


def test_a_cohort_with_a_stranger_is_refused_when_the_roster_shows_it():
    """A cohort larger than what a client knows is no population that it believes in."""
    live = Live(make_params(n=6))
    known = dict(list(live.public_keys.items())[:5])
    policy = ClientPolicy(identities=known, corrupt_fraction=0.0)
    policy.check(live.params)
    assert policy.assumed_corrupt(6) == 0
    assert ClientPolicy(identities=known, corrupt_fraction=0.4).assumed_corrupt(6) == 3


def test_a_policy_keeps_what_it_was_given():
    keys = dict(KEYS)
    policy = ClientPolicy(identities=keys)
    keys[1] = bytes(32)
    assert policy.identities == KEYS
    with pytest.raises(TypeError):
        policy.identities[1] = bytes(32)
