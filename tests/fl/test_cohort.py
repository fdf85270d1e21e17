"""fl.cohort: a policy assumes exactly the plan's colluders, and a threshold lets as many vanish as it may."""

import math
from fractions import Fraction

import pytest

from fl.cohort import SAMPLE_IDENTITY, corrupt_fraction, threshold
from secagg import AdversaryModel, ClientPolicy, SessionParams, default_threshold

ACTIVE, CURIOUS = AdversaryModel.ACTIVE, AdversaryModel.HONEST_BUT_CURIOUS


def test_the_policy_assumes_exactly_the_plans_colluders():
    for clients in [*range(1, 130), 997, 1000, 10**4 + 7, 2**20]:
        for colluders in {0, clients // 10, clients // 3, (clients - 1) // 2}:
            fraction = corrupt_fraction(colluders, clients=clients)
            assert math.ceil(Fraction(str(fraction)) * clients) == colluders
            assert fraction < 0.5


@pytest.mark.parametrize("adversary", AdversaryModel, ids=lambda model: model.name)
def test_a_threshold_is_the_usual_one_or_the_nearest_that_is_safe(adversary: AdversaryModel):
    for clients in (4, 5, 10, 11, 64):
        for colluders in range((clients - 1) // 2):
            for max_dropouts in range(clients):
                found = threshold(clients=clients, max_dropouts=max_dropouts, colluders=colluders, adversary=adversary)
                safe = (clients - 1 + colluders) // 2 + 1 if adversary is ACTIVE else colluders + 1
                safe = max(safe, (clients - 1) // 2 + 1)
                assert found >= safe
                if safe <= default_threshold(clients) <= clients - 1 - max_dropouts:
                    assert found == default_threshold(clients)
                elif found > safe:
                    assert found == clients - 1 - max_dropouts


def test_a_session_with_that_threshold_is_accepted_by_a_policy_with_that_fraction():
    for adversary in (ACTIVE, CURIOUS):
        params = SessionParams(
            cohort_size=10,
            threshold=threshold(clients=10, max_dropouts=2, colluders=1, adversary=adversary),
            vector_length=1,
            modulus_bits=8,
            adversary=adversary,
            min_survivors=8,
        )
        identities = {0: SAMPLE_IDENTITY} if adversary is ACTIVE else {}
        policy = ClientPolicy(
            identities=identities, adversary=adversary, corrupt_fraction=corrupt_fraction(1, clients=10)
        )
        policy.check(params)
        assert policy.assumed_corrupt(10) == 1
