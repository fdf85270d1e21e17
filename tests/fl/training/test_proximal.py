"""fl.training.proximal: FedProx's penalty and its gradient, against each other and against plain sums."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fl import fedavg
from fl.app.demo.model import Model, _gradients, new_model
from fl.arrays.schema import ArraySchema
from fl.errors import SchemaMismatchError
from fl.training.proximal import proximal_gradient, proximal_penalty
from secagg.errors import InvalidInputError, InvalidParameterError


@given(seed=st.integers(0, 2**32 - 1), mu=st.floats(0, 10))
@settings(deadline=None, max_examples=30)
def test_the_gradient_is_the_penaltys_derivative(seed: int, mu: float):
    rng = np.random.default_rng(seed)
    local = {"w": rng.normal(size=(2, 2)), "b": rng.normal(size=3)}
    start = {name: rng.normal(size=array.shape) for name, array in local.items()}
    gradient = proximal_gradient(local, start, mu)
    assert isinstance(gradient, dict)
    step = 2.0**-10
    for name, array in local.items():
        for index in np.ndindex(array.shape):
            ends = []
            for sign in (1, -1):
                moved = {key: value.copy() for key, value in local.items()}
                moved[name][index] += sign * step
                ends.append(proximal_penalty(moved, start, mu))
            # A central difference of a quadratic is exact but for rounding.
            assert gradient[name][index] == pytest.approx((ends[0] - ends[1]) / (2 * step), abs=1e-9)


def test_known_values():
    local, start = [np.array([3.0, 1.0], np.float32), np.float64(2)], [np.array([1.0, 1.0], np.float32), np.float64(5)]
    assert proximal_penalty(local, start, 0.5) == 0.25 * (4 + 9)
    gradient = proximal_gradient(local, start, 0.5)
    assert [array.tolist() for array in gradient] == [[1.0, 0.0], -1.5]
    assert {array.dtype.name for array in gradient} == {"float64"}


def test_no_pull_at_the_start_and_none_without_mu():
    start = {"a": np.array([1.0, -2.0]), "none": np.zeros((0, 4))}
    away = {"a": np.array([5.0, 5.0]), "none": np.zeros((0, 4))}
    for local, mu in ((start, 3), (away, 0)):
        assert proximal_penalty(local, start, mu) == 0
        gradient = proximal_gradient(local, start, mu)
        assert isinstance(gradient, dict)
        assert gradient["a"].tolist() == [0, 0]
        assert gradient["none"].shape == (0, 4)


def test_the_models_are_left_as_they_were():
    local, start = [np.array([3.0])], [np.array([1.0])]
    proximal_gradient(local, start, 2.0)[0][:] = 9
    assert (local[0].tolist(), start[0].tolist()) == ([3], [1])


def test_a_pulled_client_ends_nearer_to_the_global_model():
    rng = np.random.default_rng(1)
    start = new_model(rng)
    features = rng.random((40, 64), np.float32)
    labels = rng.integers(0, 10, 40)

    def distance(mu: float) -> float:
        model: Model = {name: array.copy() for name, array in start.items()}
        for _ in range(30):
            pull = proximal_gradient(model, start, mu)
            assert isinstance(pull, dict)
            for name, gradient in _gradients(model, features, labels).items():
                model[name] -= (0.1 * (gradient + pull[name])).astype(np.float32)
        delta = fedavg.client_delta(start, model)
        assert isinstance(delta, dict)
        return sum(float((array**2).sum()) for array in delta.values())

    free, held, tight = distance(0), distance(1), distance(5)
    assert free > 2 * held > 4 * tight > 0


@pytest.mark.parametrize("mu", [-1e-9, np.nan, np.inf, 10**400, True, "1", None])
@pytest.mark.parametrize("function", [proximal_penalty, proximal_gradient])
def test_mu_must_be_finite_and_not_negative(function: Any, mu: Any):
    with pytest.raises(InvalidParameterError, match="mu"):
        function([np.zeros(1)], [np.zeros(1)], mu)


@pytest.mark.parametrize("function", [proximal_penalty, proximal_gradient])
@pytest.mark.parametrize(
    "local", [[np.zeros(2)], {"a": np.zeros(3)}, {"a": np.zeros(2, np.float32)}, {"b": np.zeros(2)}]
)
def test_models_of_two_schemas_are_refused(function: Any, local: Any):
    with pytest.raises(SchemaMismatchError):
        function(local, {"a": np.zeros(2)}, 1.0)


@pytest.mark.parametrize("function", [proximal_penalty, proximal_gradient])
def test_integers_have_no_gradient(function: Any):
    with pytest.raises(SchemaMismatchError, match="trained arrays only") as caught:
        function({"steps": np.zeros(1, np.int64)}, {"steps": np.zeros(1, np.int64)}, 1.0)
    assert "'steps'" in caught.value.what


@pytest.mark.parametrize("function", [proximal_penalty, proximal_gradient])
@pytest.mark.parametrize(("local", "start"), [(np.nan, 0), (0, np.inf), (1.7e308, -1.7e308)])
@pytest.mark.parametrize("mu", [0.0, 1.0])
def test_values_that_are_not_finite_are_refused(function: Any, local: float, start: float, mu: float):
    with pytest.raises(InvalidInputError):
        function([np.array([local], float)], [np.array([start], float)], mu)


def test_results_beyond_float64_are_refused():
    with pytest.raises(InvalidInputError, match="penalty"):
        proximal_penalty([np.array([1e200])], [np.zeros(1)], 1.0)
    with pytest.raises(InvalidInputError, match="array 0"):
        proximal_gradient([np.array([1e200])], [np.zeros(1)], 1e200)


def test_the_gradient_has_the_schema_of_a_delta():
    model = {"a": np.zeros((2, 3), np.float16), "b": np.float32(1)}
    assert ArraySchema.of(proximal_gradient(model, model, 1.0)) == fedavg.delta_schema(ArraySchema.of(model))
