"""fl.training.buffered: staleness weights in integers, a buffer's rules, and real sessions on a real model."""

import hashlib
import heapq
import pickle
import struct
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fl import fedavg
from fl.app.demo.model import accuracy, new_model, train
from fl.arrays.schema import ArraySchema
from fl.codecs.weighted_mean import WeightedMean
from fl.digits import load_digits
from fl.errors import SchemaMismatchError
from fl.training.buffered import Buffer, StalenessWeights, StaleUpdateError
from fl.training.optimizers import FedAdam, FedAvg, FedAvgM, ServerOptimizer
from secagg.errors import InvalidInputError, InvalidParameterError, InvalidStateError, TooFewClientsError
from secagg.simulate import simulate

MODEL = [np.zeros(2)]
RULE = StalenessWeights(100, 4)


def buffer_of(optimizer: ServerOptimizer | None = None, size: int = 3, **options: Any) -> Buffer:
    return Buffer(options.pop("model", MODEL), optimizer or FedAvg(), options.pop("weights", RULE), size, **options)


def fill(buffer: Buffer, *clients: int) -> None:
    for client in clients:
        buffer.start(client)
        buffer.arrive(client)


def only(arrays: Any) -> np.ndarray:
    """The one array of a model such as MODEL."""
    (array,) = arrays
    return array


def take_step(buffer: Buffer, delta: float = 0.0) -> frozenset[int]:
    """Fills the buffer with fresh updates of new clients and applies them."""
    fill(buffer, *range(10**6 + 10 * buffer.version, 10**6 + 10 * buffer.version + 3))
    weights = buffer.open_session().weights
    return buffer.apply([np.full(2, delta)], sum(weights.values()), weights)


@given(
    weight_cap=st.integers(1, 2**32),
    staleness=st.integers(0, 10_000),
    exponent=st.fractions(0, 8, max_denominator=8).filter(lambda a: a.numerator <= 8),
)
@settings(deadline=None)
def test_a_weight_is_the_floor_of_the_real_one(weight_cap: int, staleness: int, exponent: Fraction):
    with localcontext(prec=80):
        power = Decimal(exponent.numerator) / Decimal(exponent.denominator)
        real = weight_cap * Decimal(1 + staleness) ** -power
        nearest = real.to_integral_value()
        # Where the real weight is whole, the power of 80 digits may fall just short of it.
        expected = int(nearest) if abs(real - nearest) < Decimal("1e-40") else int(real // 1)
    if expected < 1:
        with pytest.raises(InvalidParameterError, match="weight_cap"):
            StalenessWeights(weight_cap, staleness, exponent)
        return
    assert StalenessWeights(weight_cap, staleness, exponent).weight(staleness) == expected


def test_known_weights():
    assert [RULE.weight(staleness) for staleness in range(5)] == [100, 70, 57, 50, 44]
    assert StalenessWeights(90, 2, Fraction(1)).weight(2) == 30
    assert StalenessWeights(64, 7, Fraction(2, 3)).weight(7) == 16
    assert StalenessWeights(7, 9, 0).weight(9) == 7  # type: ignore[arg-type]


def test_a_digest_binds_every_setting():
    rules = [
        RULE,
        StalenessWeights(101, 4),
        StalenessWeights(100, 5),
        StalenessWeights(100, 4, Fraction(1)),
        StalenessWeights(100, 4, Fraction(1, 3)),
    ]
    assert len({rule.digest for rule in rules}) == len(rules)
    assert RULE.digest == hashlib.sha256(b"fl staleness weights 1" + struct.pack("<4Q", 100, 4, 1, 2)).digest()
    assert StalenessWeights(5, 0, 1).digest == StalenessWeights(5, 0, Fraction(1)).digest  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("parameter", "arguments"),
    [
        ("weight_cap", (0, 1)),
        ("weight_cap", (2**32 + 1, 1)),
        ("weight_cap", (True, 1)),
        ("weight_cap", (10.0, 1)),
        ("weight_cap", (1, 1)),
        ("max_staleness", (10, -1)),
        ("max_staleness", (10, 2**33)),
        ("max_staleness", (10, None)),
        ("exponent", (10, 1, 0.5)),
        ("exponent", (10, 1, True)),
        ("exponent", (10, 1, "1/2")),
        ("exponent", (10, 1, Fraction(-1, 2))),
        ("exponent", (10, 1, Fraction(1, 9))),
        ("exponent", (10, 1, 9)),
    ],
)
def test_a_rule_out_of_range_is_refused(parameter: str, arguments: Any):
    with pytest.raises(InvalidParameterError) as caught:
        StalenessWeights(*arguments)
    assert caught.value.parameter == parameter


@pytest.mark.parametrize("staleness", [-1, 5, 10**400, True, 1.0, None])
def test_a_client_is_given_no_weight_for_a_staleness_that_does_not_count(staleness: Any):
    with pytest.raises(InvalidParameterError, match="staleness"):
        RULE.weight(staleness)


def test_the_clients_that_waited_longest_make_the_cohort():
    buffer = buffer_of()
    fill(buffer, 7, 3, 9, 1)
    assert buffer.waiting == (7, 3, 9, 1)
    assert buffer.ready
    cohort = buffer.open_session()
    assert (cohort.version, dict(cohort.weights)) == (0, {7: 100, 3: 100, 9: 100})
    assert list(cohort.weights) == [7, 3, 9]
    assert buffer.waiting == (1,)
    assert buffer.cohort is cohort
    with pytest.raises(TypeError):
        cohort.weights[7] = 1  # type: ignore[index]


def test_a_step_is_the_papers_mean_over_the_survivors():
    buffer = buffer_of(FedAvg(0.5))
    old = buffer.start(1)
    take_step(buffer)
    take_step(buffer)
    buffer.arrive(1)
    fill(buffer, 2, 3)
    cohort = buffer.open_session()
    assert dict(cohort.weights) == {1: 57, 2: 100, 3: 100}
    # Client 3 vanishes. (57 * 0.3 + 100 * -0.6) / (100 * 2), by the learning rate.
    mean = (57 * 0.3 + 100 * -0.6) / 157
    assert buffer.apply([np.array([mean, 0.0])], 157, {1, 2}) == frozenset()
    assert only(buffer.model) == pytest.approx([0.5 * (0.57 * 0.3 - 0.6) / 2, 0], rel=1e-15)
    assert (buffer.version, buffer.cohort, buffer.state.rounds) == (3, None, 3)
    assert old[0] == 0


def test_a_client_may_not_have_two_updates_underway():
    buffer = buffer_of()
    fill(buffer, 1, 2, 3)
    for _ in range(2):
        with pytest.raises(InvalidStateError, match="client 1 has an update"):
            buffer.start(1)
        if buffer.ready:
            buffer.open_session()
    with pytest.raises(InvalidStateError, match="no model"):
        buffer.arrive(1)
    buffer.apply([np.zeros(2)], 300, [1, 2, 3])
    assert buffer.start(1)[0] == 1


def test_who_starts_again_starts_from_the_newest_model():
    buffer = buffer_of()
    buffer.start(1)
    take_step(buffer, 0.5)
    version, model = buffer.start(1)
    assert (version, only(model).tolist()) == (1, [0.5, 0.5])
    buffer.arrive(1)
    fill(buffer, 2, 3)
    assert buffer.open_session().weights[1] == 100


def test_an_update_that_is_too_old_is_refused_and_its_client_starts_again():
    buffer = buffer_of()
    buffer.start(1)
    buffer.start(2)
    for _ in range(4):
        take_step(buffer)
    buffer.arrive(2)
    fill(buffer, 4, 5)
    assert buffer.open_session().weights[2] == 44
    buffer.apply([np.zeros(2)], 244, [2, 4, 5])
    with pytest.raises(StaleUpdateError, match="start again") as caught:
        buffer.arrive(1)
    assert (caught.value.client, caught.value.staleness, caught.value.max_staleness) == (1, 5, 4)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
    with pytest.raises(InvalidStateError, match="no model"):
        buffer.arrive(1)
    assert buffer.start(1)[0] == 5


def test_an_update_that_grows_too_old_while_it_waits_is_evicted():
    buffer = buffer_of(weights=StalenessWeights(100, 0))
    fill(buffer, 1, 2, 3)
    buffer.open_session()
    fill(buffer, 4, 5)
    assert buffer.apply([np.zeros(2)], 300, [1, 2, 3]) == {4, 5}
    assert buffer.waiting == ()
    assert buffer.start(4)[0] == 1


def test_an_update_of_exactly_the_largest_staleness_still_waits():
    buffer = buffer_of(weights=StalenessWeights(100, 1))
    fill(buffer, 1, 2, 3)
    buffer.open_session()
    fill(buffer, 4, 5, 6)
    assert buffer.apply([np.zeros(2)], 300, [1, 2, 3]) == frozenset()
    assert dict(buffer.open_session().weights) == {4: 70, 5: 70, 6: 70}


def test_an_abandoned_session_loses_its_updates_and_no_others():
    buffer = buffer_of()
    fill(buffer, 1, 2, 3, 4)
    buffer.open_session()
    assert buffer.abandon() == {1, 2, 3}
    assert (buffer.version, buffer.cohort, buffer.waiting, buffer.state.rounds) == (0, None, (4,), 0)
    with pytest.raises(InvalidStateError, match="no model"):
        buffer.arrive(1)
    fill(buffer, 1, 2)
    assert list(buffer.open_session().weights) == [4, 1, 2]


def test_transitions_out_of_order_are_refused():
    buffer = buffer_of()
    for call in (buffer.abandon, lambda: buffer.apply([np.zeros(2)], 1, [1])):
        with pytest.raises(InvalidStateError, match="no session"):
            call()
    fill(buffer, 1, 2)
    assert not buffer.ready
    with pytest.raises(InvalidStateError, match="2 clients wait, and a session needs 3"):
        buffer.open_session()
    fill(buffer, 3, 4, 5, 6)
    buffer.open_session()
    assert not buffer.ready
    with pytest.raises(InvalidStateError, match="a session is open"):
        buffer.open_session()
    with pytest.raises(InvalidParameterError, match="client"):
        buffer.start(-1)


@pytest.mark.parametrize(
    ("delta", "total_weight", "survivors", "error"),
    [
        ([np.zeros(2)], 299, [1, 2, 3], InvalidInputError),
        ([np.zeros(2)], 300, [1, 2], InvalidInputError),
        ([np.zeros(2)], 300.0, [1, 2, 3], InvalidInputError),
        ([np.zeros(2)], 0, [], InvalidParameterError),
        ([np.zeros(2)], 300, [1, 2, 4], InvalidParameterError),
        ([np.zeros(3)], 300, [1, 2, 3], SchemaMismatchError),
        ([np.array([0, np.nan])], 300, [1, 2, 3], InvalidInputError),
        ([np.array([0, 1.7e308])], 300, [1, 2, 3], InvalidInputError),
    ],
)
def test_an_outcome_that_is_refused_changes_nothing(
    delta: Any, total_weight: Any, survivors: Any, error: type[Exception]
):
    buffer = buffer_of(FedAvgM(1e10))
    fill(buffer, 1, 2, 3, 4)
    cohort, state = buffer.open_session(), buffer.state.to_bytes()
    with pytest.raises(error):
        buffer.apply(delta, total_weight, survivors)
    assert buffer.cohort is cohort
    assert (buffer.version, buffer.waiting, buffer.state.to_bytes()) == (0, (4,), state)
    assert only(buffer.model).tolist() == [0, 0]
    buffer.apply([np.zeros(2)], 300, [1, 2, 3])


def test_the_model_is_a_read_only_copy():
    own = [np.ones(2)]
    buffer = buffer_of(model=own)
    own[0][:] = 5
    _, model = buffer.start(1)
    assert only(model).tolist() == [1, 1]
    with pytest.raises(ValueError, match="read-only"):
        only(model)[0] = 9
    take_step(buffer, 0.5)
    assert only(model).tolist() == [1, 1]
    with pytest.raises(ValueError, match="read-only"):
        only(buffer.model)[0] = 9


def test_a_resumed_buffer_goes_on_bit_for_bit():
    straight = buffer_of(FedAdam())
    take_step(straight, 0.1)
    resumed = buffer_of(FedAdam(), model=straight.model, state=straight.state, version=straight.version)
    for buffer in (straight, resumed):
        take_step(buffer, -0.3)
    assert resumed.version == straight.version == 2
    assert only(resumed.model).tobytes() == only(straight.model).tobytes()
    assert resumed.state.to_bytes() == straight.state.to_bytes()


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"size": 2}, InvalidParameterError),
        ({"size": True}, InvalidParameterError),
        ({"size": 2**21}, InvalidParameterError),
        ({"optimizer": "FedAvg"}, InvalidParameterError),
        ({"weights": 100}, InvalidParameterError),
        ({"version": -1}, InvalidParameterError),
        ({"state": FedAvgM().start(MODEL)}, InvalidParameterError),
        ({"state": FedAvg().start([np.zeros(3)])}, SchemaMismatchError),
        ({"model": "model"}, SchemaMismatchError),
        ({"model": [np.array([np.nan])]}, InvalidInputError),
    ],
)
def test_a_buffer_checks_its_arguments(options: Any, error: type[Exception]):
    with pytest.raises(error):
        buffer_of(**options)


# The whole thing: sixteen clients of very different speeds, sessions of five, real bytes.

CLIENTS, SIZE, STEPS = 16, 5, 24
DIGITS_RULE = StalenessWeights(1024, 8)


@pytest.mark.slow
def test_digits_are_learnt_through_secure_buffers():
    rng = np.random.default_rng(11)
    features, labels = load_digits()
    features = features.astype(np.float32)
    order = rng.permutation(len(labels))
    test, parts = order[:360], np.array_split(order[360:], CLIENTS)
    speeds = rng.lognormal(0, 1, CLIENTS)
    model = new_model(rng)
    schema = fedavg.delta_schema(ArraySchema.of(model))
    codec = WeightedMean(schema, clip=1.0, modulus_bits=32, clients=SIZE, weight_cap=DIGITS_RULE.weight_cap)
    buffer = Buffer(model, FedAvgM(2.0, momentum=0.5), DIGITS_RULE, SIZE)
    momentum = {name: np.zeros(array.shape) for name, array in model.items()}
    done: list[tuple[float, int]] = []
    updates: dict[int, tuple[int, Any]] = {}

    def begin(client: int, now: float) -> None:
        """A client trains from what it is handed, and is done after a time of its own."""
        version, start = buffer.start(client)
        trained = train(start, features[parts[client]], labels[parts[client]], rng, epochs=3)  # type: ignore[arg-type]
        updates[client] = (version, fedavg.client_delta(start, trained))
        heapq.heappush(done, (now + rng.exponential(speeds[client]), client))

    for client in range(CLIENTS):
        begin(client, 0.0)
    staleness: list[int] = []
    lost = too_old = 0
    while buffer.version < STEPS:
        now, client = heapq.heappop(done)
        try:
            buffer.arrive(client)
        except StaleUpdateError:
            too_old += 1
            begin(client, now)
        if not buffer.ready:
            continue
        cohort = buffer.open_session()
        params = codec.session_params(round_number=cohort.version, user=DIGITS_RULE.digest)
        # Each client works out its own weight, from the version it kept and the session's.
        own = {client: params.round_number - updates[client][0] for client in cohort.weights}
        words = {client: codec.encode(updates[client][1], DIGITS_RULE.weight(own[client])) for client in cohort.weights}
        # One client vanishes in every third session, and once two, which is too many.
        count = 2 if cohort.version == 5 and not lost else int(cohort.version % 3 == 0)
        vanishing = {"masked_input": [*cohort.weights][:count]}
        try:
            outcome = simulate(words, params, dropouts=vanishing)
        except TooFewClientsError:
            lost += 1
            again = buffer.abandon()
        else:
            staleness += [own[client] for client in outcome.survivors]
            mean, total_weight = codec.decode(outcome.sum, len(outcome.survivors))
            before = buffer.model
            again = buffer.apply(mean, total_weight, outcome.survivors) | cohort.weights.keys()
            check_against_plain_means(codec, before, buffer.model, momentum, updates, own, outcome.survivors)
        for client in sorted(again):
            begin(client, now)
    assert lost == 1
    assert len(set(staleness)) >= 5
    assert max(staleness) <= DIGITS_RULE.max_staleness
    assert accuracy(model, features[test], labels[test]) < 0.3
    assert accuracy(buffer.model, features[test], labels[test]) > 0.9  # type: ignore[arg-type]


def check_against_plain_means(
    codec: WeightedMean, before: Any, after: Any, momentum: Any, updates: Any, own: Any, survivors: frozenset[int]
) -> None:
    """The step again, in the clear; keeps its own momentum."""
    weights = {client: int(1024 / np.sqrt(1 + own[client])) for client in survivors}
    total = sum(weights.values())
    share = total / (1024 * len(survivors))
    bound = 2.0 * share * codec.quantizer.error_bound(len(survivors), total)
    for name, array in before.items():
        mean = sum(weights[client] * np.clip(updates[client][1][name], -1, 1) for client in survivors) / total
        momentum[name] = 0.5 * momentum[name] + share * mean
        expected = array.astype(np.float64) + 2.0 * momentum[name]
        # Every round's bound is the same, and its error lives on in the momentum, halved each time; then float32
        # rounds. The last term is for the float64 of both computations.
        assert (np.abs(after[name] - expected) <= 2 * bound + 2**-24 * np.abs(expected) + 1e-13).all()
