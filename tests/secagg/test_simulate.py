"""The simulator: dropouts at any stage, the terms of a session, and what went over the wire."""

import numpy as np
import pytest

from secagg import (
    AdversaryModel,
    ClientPolicy,
    ClientSession,
    InvalidInputError,
    InvalidParameterError,
    PolicyViolationError,
    ServerSession,
    SessionParams,
    Suite,
    TooFewClientsError,
    simulate,
)
from secagg.primitives.packing import word_dtype
from tests.kit.sessions import (
    MODEL,
    STAGES,
    make_params,
    models,
    stages_of,
)
from tests.kit.weak_keys import BASE_POINT


def inputs(n: int, length: int = 4, bits: int = 16) -> dict[int, np.ndarray]:
    return {client: np.full(length, 3 * client % 2**bits, word_dtype(bits)) for client in range(n)}


@models
@pytest.mark.parametrize("stage", STAGES)
def test_simulated_dropouts(adversary: AdversaryModel, stage: str):
    vectors = inputs(7)
    params = make_params(adversary, n=7, vector_length=4, modulus_bits=16)
    result = simulate(vectors, params, dropouts={stage: [1, 5]}, model_digest=MODEL)
    masked = STAGES.index(stage) > STAGES.index("masked_input")
    assert result.survivors == (set(vectors) if masked else set(vectors) - {1, 5})
    assert result.sum.tolist() == [3 * sum(result.survivors)] * 4
    assert not result.culprits
    for other, answered in result.traffic.answered.items():
        left = STAGES.index(other) >= STAGES.index(stage)
        assert answered == (set(vectors) - {1, 5} if left else set(vectors)), other
    assert set(result.traffic.answered) == set(stages_of(adversary))


def test_simulated_dropouts_at_every_stage_at_once():
    params = make_params(n=13, vector_length=4, modulus_bits=16)
    dropouts = {stage: [10 - 2 * number] for number, stage in enumerate(STAGES)}
    result = simulate(inputs(13), params, dropouts=dropouts)
    assert result.survivors == set(range(13)) - {10, 8, 6}
    assert [len(result.traffic.answered[stage]) for stage in STAGES] == [12, 11, 10, 9, 8]
    assert result.sum.tolist() == [3 * (sum(range(13)) - 24)] * 4


def test_the_first_stage_counts_for_a_client_that_is_named_twice():
    params = make_params(n=7, vector_length=4, modulus_bits=16)
    result = simulate(inputs(7), params, dropouts={"unmask": [1], "share_keys": [1]})
    assert 1 not in result.survivors


@pytest.mark.parametrize("dropouts", [{"masking": [1]}, {"": []}, {"unmask": [99]}, {"unmask": ["1"]}])
def test_unknown_stages_and_clients_are_refused(dropouts: dict):
    with pytest.raises(InvalidParameterError, match="dropouts"):
        simulate(inputs(5), make_params(vector_length=4, modulus_bits=16), dropouts=dropouts)


@pytest.mark.parametrize("stage", STAGES)
def test_too_many_simulated_dropouts(stage: str):
    with pytest.raises(TooFewClientsError) as caught:
        simulate(inputs(4), make_params(n=4, vector_length=4, modulus_bits=16), dropouts={stage: [0, 1]})
    assert caught.value.stage == stage


def test_a_simulation_takes_terms_and_bad_inputs_as_a_session_does():
    params = make_params(vector_length=4, modulus_bits=16)
    terms = ClientPolicy(identities={1: BASE_POINT}, suites=frozenset({Suite.AES_128_CTR}))
    with pytest.raises(PolicyViolationError, match="suite"):
        simulate(inputs(5), params, policy=terms)
    with pytest.raises(InvalidInputError, match="vector"):
        simulate(inputs(5, length=5), params)
    with pytest.raises(InvalidInputError, match="clients"):
        simulate(inputs(4), params)


@models
def test_traffic_is_what_went_over_the_wire(adversary: AdversaryModel, monkeypatch: pytest.MonkeyPatch):
    up, down = dict.fromkeys(range(6), 0), dict.fromkeys(range(6), 0)
    receive, take = ClientSession.receive, ServerSession.receive

    def heard_by_client(self: ClientSession, data: bytes, **given: object) -> bytes | None:
        down[self._client] += len(data)
        return receive(self, data, **given)

    def heard_by_server(self: ServerSession, sender: int, data: bytes) -> None:
        up[sender] += len(data)
        take(self, sender, data)

    monkeypatch.setattr(ClientSession, "receive", heard_by_client)
    monkeypatch.setattr(ServerSession, "receive", heard_by_server)
    params = make_params(adversary, n=6, vector_length=4, modulus_bits=16)
    result = simulate(inputs(6), params, dropouts={"masked_input": [2]})
    assert result.traffic.up == up
    # What was sent to the one that vanished at masked_input is counted, though nobody was there to hear it.
    assert result.traffic.down[2] > down.pop(2)
    assert {client: result.traffic.down[client] for client in down} == down
    assert up[2] < min(up[client] for client in (0, 1, 3, 4, 5))


@pytest.mark.slow
@models
@pytest.mark.parametrize(
    ("length", "bits", "n"), [(0, 1, 4), (1, 1, 5), (1000, 13, 4), (5000, 32, 8), (100, 64, 30), (7, 3, 60)]
)
def test_a_client_uploads_its_vector_200_bytes_for_each_peer_and_little_else(
    adversary: AdversaryModel, length: int, bits: int, n: int
):
    params = make_params(adversary, n=n, vector_length=length, modulus_bits=bits)
    result = simulate({client: np.zeros(length, word_dtype(bits)) for client in range(n)}, params)
    limit = -(-length * bits // 8) + 200 * (n - 1) + 512
    assert max(result.traffic.up.values()) <= limit
    assert min(result.traffic.up.values()) >= limit - 8 * (n - 1) - 512


def test_the_default_threshold_runs():
    params = SessionParams.for_cohort(cohort_size=9, vector_length=4, modulus_bits=16)
    result = simulate(inputs(9), params, dropouts={"masked_input": [0], "unmask": [1]})
    assert result.sum.tolist() == [3 * sum(range(9))] * 4


def test_whom_a_policy_knows_beyond_the_simulated_clients_stays_in_its_population():
    params = SessionParams.for_cohort(cohort_size=9, vector_length=4, modulus_bits=16)
    forty = ClientPolicy(identities=dict.fromkeys(range(40), BASE_POINT), min_cohort=3)
    with pytest.raises(PolicyViolationError, match="4 corrupt"):
        simulate(inputs(9), params, policy=forty)
    enough = SessionParams.for_cohort(cohort_size=9, vector_length=4, modulus_bits=16, corrupt_clients=4)
    assert simulate(inputs(9), enough, policy=forty).sum.tolist() == [3 * sum(range(9))] * 4
