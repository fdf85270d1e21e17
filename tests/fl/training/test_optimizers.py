"""fl.training.optimizers: the papers' update rules, states that survive a restart, and nothing half-written.

The oracle writes the pseudocode of Reddi et al. 2021 (Algorithm 2) and Hsu et al. 2019 (section 4.3) down for one
coordinate, in exact fractions, with a square root of 60 digits.
"""

import copy
import decimal
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fl import fedavg
from fl.arrays.schema import ArraySchema
from fl.codecs.weighted_mean import WeightedMean
from fl.errors import SchemaMismatchError
from fl.training.optimizer_state import OptimizerState
from fl.training.optimizers import FedAdagrad, FedAdam, FedAvg, FedAvgM, FedYogi, ServerOptimizer
from secagg.errors import InvalidInputError, InvalidParameterError
from tests.kit.optimizer_scene import EVERY, run

MODEL = {"w": np.array([[0.5, -1.0], [0.25, 3.0]]), "b": np.array([0.0, 1.0])}

ZEROS = {name: np.zeros(array.shape) for name, array in MODEL.items()}


def square_root(value: Fraction) -> Fraction:
    with decimal.localcontext(prec=60):
        return Fraction((Decimal(value.numerator) / Decimal(value.denominator)).sqrt())


def oracle(optimizer: ServerOptimizer, x: Fraction, deltas: list[Fraction]) -> Fraction:
    """One coordinate of the model after all rounds."""
    f = {name: Fraction(getattr(optimizer, name)) for name in optimizer.__dataclass_fields__ if name != "kind"}
    eta = f["learning_rate"]
    m, v = Fraction(0), f.get("tau", Fraction(0)) ** 2
    for delta in deltas:
        match optimizer:
            case FedAvg():
                x = x + eta * delta
                continue
            case FedAvgM():
                m = f["momentum"] * m + delta
                x = x + eta * m
                continue
            case FedAdagrad():
                v = v + delta**2
            case FedYogi():
                sign = (v > delta**2) - (v < delta**2)
                v = v - (1 - f["beta_2"]) * delta**2 * sign
            case FedAdam():
                v = f["beta_2"] * v + (1 - f["beta_2"]) * delta**2
        m = f["beta_1"] * m + (1 - f["beta_1"]) * delta
        x = x + eta * m / (square_root(v) + f["tau"])
    return x


decays = st.one_of(st.just(0.0), st.floats(0.1, 0.99))

rates, taus = st.floats(0.01, 2), st.floats(1e-4, 0.5)

optimizers: st.SearchStrategy[ServerOptimizer] = st.one_of(
    st.builds(FedAvg, rates),
    st.builds(FedAvgM, rates, decays),
    st.builds(FedAdagrad, rates, taus, decays),
    st.builds(FedYogi, rates, taus, decays, decays),
    st.builds(FedAdam, rates, taus, decays, decays),
)


@given(optimizer=optimizers, seed=st.integers(0, 2**32 - 1), rounds=st.integers(1, 5))
@settings(deadline=None, max_examples=60)
def test_every_coordinate_follows_the_papers_pseudocode(optimizer: ServerOptimizer, seed: int, rounds: int):
    rng = np.random.default_rng(seed)
    model = [rng.normal(size=3), rng.normal(size=(1, 2))]
    # Steps of very different sizes, so that Yogi's sign goes both ways, and one of exactly 0.
    deltas = [[rng.normal(size=3) * 10.0 ** rng.integers(-4, 1), rng.normal(size=(1, 2))] for _ in range(rounds)]
    for delta in deltas:
        delta[0][0] = 0.0
    state, moved = run(optimizer, model, deltas)
    assert state.rounds == rounds
    for place, before in enumerate(model):
        for index in np.ndindex(before.shape):
            column = [Fraction(float(delta[place][index])) for delta in deltas]
            expected = oracle(optimizer, Fraction(float(before[index])), column)
            # Yogi may cancel in v - (1 - beta_2) D^2: a relative error of v of some eps * D^2 / v.
            assert moved[place][index] == pytest.approx(float(expected), rel=1e-11, abs=1e-12)


def test_yogi_shrinks_grows_and_keeps_the_second_moment():
    yogi = FedYogi(1.0, tau=0.5, beta_1=0.0, beta_2=0.75)
    state, _ = yogi.step(yogi.start([np.zeros(3)]), [np.zeros(3)], [np.array([0.25, 1.0, 0.5])])
    # v starts at 1/4. Squares 1/16, 1 and 1/4, of which a quarter is taken off, added, and neither.
    assert state.moments[1].tolist() == [0.25 - 0.0625 / 4, 0.25 + 0.25, 0.25]


@pytest.mark.parametrize("kind", [FedAdagrad, FedYogi, FedAdam])
def test_a_first_adaptive_step_is_known_in_closed_form(kind: type[ServerOptimizer]):
    optimizer = kind(learning_rate=0.5, tau=2.0, beta_1=0.0, **({} if kind is FedAdagrad else {"beta_2": 0.0}))
    _, moved = optimizer.step(optimizer.start([np.zeros(1)]), [np.zeros(1)], [np.array([3.0])])
    # v_{-1} = 4, D^2 = 9: Adagrad's v is 13, Yogi's 4 + 9, and Adam's without memory 9.
    second = 9.0 if kind is FedAdam else 13.0
    assert moved[0][0] == 0.5 * 3.0 / (np.sqrt(second) + 2.0)


@given(seed=st.integers(0, 2**32 - 1), rate=rates)
@settings(deadline=None, max_examples=30)
def test_federated_averaging_is_apply_and_momentum_of_0(seed: int, rate: float):
    rng = np.random.default_rng(seed)
    model = {"a": rng.normal(size=4).astype(np.float32), "n": rng.integers(-99, 99, 3).astype(np.int16)}
    deltas = [{"a": rng.normal(size=4), "n": rng.normal(0, 9, 3)} for _ in range(3)]
    applied: Any = model
    for delta in deltas:
        applied = fedavg.apply(applied, delta, rate)
    for optimizer in (FedAvg(rate), FedAvgM(rate, momentum=0.0)):
        _, moved = run(optimizer, model, deltas)
        assert {name: (array.dtype, array.tolist()) for name, array in moved.items()} == {
            name: (array.dtype, array.tolist()) for name, array in applied.items()
        }


def test_adam_that_never_forgets_its_start_is_averaging_with_momentum():
    # With v held at tau^2 by beta_2 -> 1, a step is eta m / (2 tau).
    adam = FedAdam(0.5, tau=1.0, beta_1=0.5, beta_2=float(np.nextafter(1, 0)))
    averaging = FedAvgM(0.5 * 0.5 / 2, momentum=0.5)
    deltas = [[np.array([0.1, -0.2])], [np.array([0.3, 0.0])], [np.array([-0.1, 0.4])]]
    _, one = run(adam, [np.zeros(2)], deltas)
    _, other = run(averaging, [np.zeros(2)], deltas)
    assert one[0] == pytest.approx(other[0], rel=1e-12)


@given(optimizer=optimizers, seed=st.integers(0, 2**32 - 1), stops=st.lists(st.booleans(), min_size=4, max_size=4))
@settings(deadline=None, max_examples=60)
def test_a_resumed_run_is_equal_bit_for_bit(optimizer: ServerOptimizer, seed: int, stops: list[bool]):
    rng = np.random.default_rng(seed)
    model: Any = {"a": rng.normal(size=(2, 3)).astype(np.float32), "b": np.float64(rng.normal())}
    deltas = [{"a": rng.normal(size=(2, 3)), "b": np.asarray(rng.normal())} for _ in stops]
    final, straight = run(optimizer, model, deltas)
    state = optimizer.start(model)
    for delta, stop in zip(deltas, stops, strict=True):
        if stop:
            state = OptimizerState.from_bytes(state.to_bytes())
        state, model = optimizer.step(state, model, delta)
    assert state.to_bytes() == final.to_bytes()
    assert {name: array.tobytes() for name, array in model.items()} == {
        name: array.tobytes() for name, array in straight.items()
    }


@pytest.mark.parametrize("kind", EVERY)
def test_a_step_keeps_the_container_shapes_and_dtypes_and_changes_no_argument(kind: type[ServerOptimizer]):
    for model in (
        {"half": np.ones((2, 1), np.float16), "count": np.array([7, 8], np.int64), "none": np.zeros((0, 3))},
        [np.float32(1), np.array([2.0, 3.0], ">f4")],
    ):
        optimizer = kind()
        delta = fedavg.delta_schema(ArraySchema.of(model)).rebuild(
            [np.full(entry.shape, 0.25) for entry in ArraySchema.of(model).entries]
        )
        state = optimizer.start(model)
        before = copy.deepcopy((model, delta, state.to_bytes()))
        _, moved = optimizer.step(state, model, delta)
        assert ArraySchema.of(moved) == ArraySchema.of(model)
        for array in moved.values() if isinstance(moved, dict) else moved:
            array[...] = 9
        assert repr((model, delta, state.to_bytes())) == repr(before)


def test_a_secure_rounds_mean_moves_the_model():
    rng = np.random.default_rng(5)
    codec = WeightedMean(ArraySchema.of(ZEROS), clip=1.0, modulus_bits=48, clients=4, weight_cap=10)
    deltas = [{name: rng.normal(0, 0.2, array.shape) for name, array in MODEL.items()} for _ in range(4)]
    words = [codec.encode(delta, weight) for delta, weight in zip(deltas, [1, 2, 3, 4], strict=True)]
    mean, _ = codec.decode(np.sum(words, axis=0, dtype=np.uint64), 4)
    adam = FedAdam(tau=0.1)
    _, moved = adam.step(adam.start(MODEL), MODEL, mean)
    plain = {name: np.average([delta[name] for delta in deltas], axis=0, weights=[1, 2, 3, 4]) for name in MODEL}
    _, expected = adam.step(adam.start(MODEL), MODEL, plain)
    for name in MODEL:
        assert np.abs(moved[name] - expected[name]).max() < 1e-9


@pytest.mark.parametrize("kind", EVERY)
@pytest.mark.parametrize(
    "changed",
    [
        {"w": np.zeros((2, 3)), "b": np.zeros(2)},
        {"w": np.zeros((2, 2)), "c": np.zeros(2)},
        {"w": np.zeros((2, 2)), "b": np.zeros(2, np.float32)},
        [np.zeros((2, 2)), np.zeros(2)],
    ],
    ids=["shape", "name", "dtype", "container"],
)
def test_a_model_that_changed_between_rounds_is_refused(kind: type[ServerOptimizer], changed: Any):
    optimizer = kind()
    state, _ = optimizer.step(optimizer.start(MODEL), MODEL, ZEROS)
    schema = fedavg.delta_schema(ArraySchema.of(changed))
    delta = schema.rebuild([np.zeros(entry.shape) for entry in schema.entries])
    with pytest.raises(SchemaMismatchError, match="model"):
        optimizer.step(state, changed, delta)


@pytest.mark.parametrize("kind", EVERY)
def test_a_delta_of_another_model_is_refused(kind: type[ServerOptimizer]):
    optimizer = kind()
    with pytest.raises(SchemaMismatchError):
        optimizer.step(optimizer.start(MODEL), MODEL, {"w": np.zeros((2, 2))})
    with pytest.raises(SchemaMismatchError, match="dtype"):
        optimizer.step(optimizer.start(MODEL), MODEL, {"w": np.zeros((2, 2), np.float32), "b": np.zeros(2)})


@pytest.mark.parametrize("kind", EVERY)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_are_refused(kind: type[ServerOptimizer], bad: float):
    optimizer = kind()
    state = optimizer.start([np.zeros(2)])
    with pytest.raises(InvalidInputError):
        optimizer.step(state, [np.zeros(2)], [np.array([0.0, bad])])
    with pytest.raises(InvalidInputError):
        optimizer.step(state, [np.array([0.0, bad])], [np.zeros(2)])


@pytest.mark.parametrize("kind", [FedAdagrad, FedYogi, FedAdam])
def test_a_square_beyond_float64_is_refused(kind: type[ServerOptimizer]):
    optimizer = kind()
    with pytest.raises(InvalidInputError, match="moment"):
        optimizer.step(optimizer.start([np.zeros(1)]), [np.zeros(1)], [np.array([1e200])])


def test_a_momentum_beyond_float64_is_refused_and_the_state_goes_on():
    optimizer = FedAvgM(1e-300, momentum=0.9)
    state, model = run(optimizer, [np.zeros(1)], [[np.array([1.7e308])]])
    with pytest.raises(InvalidInputError, match="moment"):
        optimizer.step(state, model, [np.array([1.7e308])])
    assert optimizer.step(state, model, [np.zeros(1)])[0].rounds == 2


@pytest.mark.parametrize(
    ("optimizer", "dtype", "start", "delta"),
    [
        (FedAvg(), "u1", 1, -2.0),
        (FedAvg(1e300), "f8", 0, 1e300),
        (FedAvgM(), "i1", 127, 1.0),
        (FedAdam(1e6, beta_1=0.0), "f2", 0, 1.0),
        (FedYogi(1.7e308), "f8", 1.7e308, 1.0),
        (FedAdagrad(1e308, tau=1e-300), "f8", 0, 1e-290),
    ],
    ids=lambda value: value.kind if isinstance(value, ServerOptimizer) else "",
)
def test_a_step_out_of_the_dtypes_range_is_refused(optimizer: ServerOptimizer, dtype: str, start: float, delta: float):
    model = [np.array([start], dtype)]
    with pytest.raises(InvalidInputError, match="array 0"):
        optimizer.step(optimizer.start(model), model, [np.array([delta])])
    assert model[0].tolist() == [start]


def test_the_state_of_another_optimizer_is_refused():
    for offered in (FedYogi().start(MODEL), None):
        with pytest.raises(InvalidParameterError, match="FedAdam") as caught:
            FedAdam().step(offered, MODEL, ZEROS)
        assert caught.value.parameter == "state"


def test_settings_may_change_between_rounds():
    state, model = run(FedAdam(1.0), MODEL, [ZEROS])
    FedAdam(0.5, beta_2=0.5).step(state, model, ZEROS)


@pytest.mark.parametrize("bad", [0, -1.0, np.nan, np.inf, 10**400, True, "1", None])
@pytest.mark.parametrize(("kind", "name"), [(kind, "learning_rate") for kind in EVERY] + [(FedAdam, "tau")])
def test_rates_must_be_finite_and_positive(kind: Any, name: str, bad: Any):
    with pytest.raises(InvalidParameterError) as caught:
        kind(**{name: bad})
    assert caught.value.parameter == name


@pytest.mark.parametrize("bad", [-0.1, 1.0, 2, np.nan, np.inf, True, "0", None])
@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (FedAvgM, "momentum"),
        (FedAdagrad, "beta_1"),
        (FedYogi, "beta_1"),
        (FedYogi, "beta_2"),
        (FedAdam, "beta_1"),
        (FedAdam, "beta_2"),
    ],
)
def test_decays_lie_below_1(kind: Any, name: str, bad: Any):
    with pytest.raises(InvalidParameterError) as caught:
        kind(**{name: bad})
    assert caught.value.parameter == name


def test_whole_numbers_are_taken_as_floats():
    assert FedAvgM(2, momentum=0) == FedAvgM(2.0, momentum=0.0)
    assert type(FedAdam(1, tau=1).tau) is float
