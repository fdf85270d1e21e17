"""The server's optimisers: how the mean of the clients' deltas moves the model.

With D_t the mean delta, x_t the model, and every operation by coordinate:

    FedAvg       x_{t+1} = x_t + eta D_t
    FedAvgM      m_t = beta m_{t-1} + D_t
                 x_{t+1} = x_t + eta m_t
    FedAdagrad   v_t = v_{t-1} + D_t^2
    FedYogi      v_t = v_{t-1} - (1 - beta_2) D_t^2 sign(v_{t-1} - D_t^2)
    FedAdam      v_t = beta_2 v_{t-1} + (1 - beta_2) D_t^2
    these three  m_t = beta_1 m_{t-1} + (1 - beta_1) D_t
                 x_{t+1} = x_t + eta m_t / (sqrt(v_t) + tau)

from m_{-1} = 0 and v_{-1} = tau^2, the smallest start that the paper allows. FedAvg: McMahan et al. 2017,
Algorithm 1. FedAvgM: Hsu et al. 2019, section 4.3, without Nesterov's look-ahead. The others: Reddi et al. 2021
("Adaptive Federated Optimization"), Algorithm 2. A delta points downhill: it is the paper's pseudo-gradient, negated.

FedAdam corrects no bias, as in the paper. Flower 1.x starts v at 0 and corrects the learning rate of its FedAdam,
so the first steps of a run differ from those here.

All are functions of the mean alone, which is what secure aggregation releases. Applied to a differentially private
mean they are post-processing and cost no privacy; their state tells no more than the released means do.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from fl.arrays.flatten import flatten, restore
from fl.arrays.schema import Arrays, ArraySchema, NamedArrays
from fl.checks import check_number
from fl.errors import SchemaMismatchError
from fl.fedavg import delta_schema
from fl.float_events import ignoring
from fl.training.optimizer_state import MOMENTS, OptimizerState, are_finite
from secagg import InvalidInputError, InvalidParameterError

__all__ = ["FedAdagrad", "FedAdam", "FedAvg", "FedAvgM", "FedYogi", "OptimizerState", "ServerOptimizer"]

_Vector = npt.NDArray[np.float64]


class ServerOptimizer(ABC):
    """Base of the optimisers: settings that never change, and a step as a pure function.

    Guarantees:
        `step` is deterministic and computes in float64. A run that is resumed from a saved model and a saved
        state is equal bit for bit to one that was never interrupted.
    """

    __slots__ = ()
    kind: ClassVar[str]

    def start(self, model: Arrays) -> OptimizerState:
        """Returns the state before the first round.

        Args:
            model: the first global model; only its schema is used.

        Raises:
            SchemaMismatchError: the model is of a kind that cannot be summed.
        """
        schema = ArraySchema.of(model)
        first = tuple(np.full(schema.size, value) for value in self._first_moments())
        return OptimizerState(self.kind, schema.digest, 0, first)

    @ignoring("under")
    def step(
        self, state: OptimizerState, model: Arrays, mean_delta: Arrays, *, tolerance: float = 0.0
    ) -> tuple[OptimizerState, NamedArrays]:
        """Returns the state and the model after one round; neither argument is changed.

        Args:
            state: what `start` or the last `step` returned, or `OptimizerState.from_bytes` restored.
            model: the global model that the clients of this round started from.
            mean_delta: the decoded mean of their deltas, float64.
            tolerance: by how much the step may be off, as in `fl.restore`: a value at the end of its dtype's range
                stays there where rounding or noise alone moved it out.

        Returns:
            The next state, and new arrays in the model's container, shapes and dtypes; integers are rounded
            half to even.

        Raises:
            InvalidParameterError: the state is of another optimiser, or the tolerance no number from 0 on.
            SchemaMismatchError: the model is not of the schema that the state began with, or the delta does not
                belong to the model.
            InvalidInputError: a value is not finite, or a result is out of the range of its dtype by more than the
                tolerance.

        Cost:
            Some ten passes over the model, and five vectors of 8 bytes an element.
        """
        schema = ArraySchema.of(model)
        self.check_state(state, schema)
        delta = flatten(mean_delta, delta_schema(schema))
        moved = flatten(model, schema)
        # What leaves float64 becomes infinity or NaN, and is refused below and in restore.
        with np.errstate(over="ignore", invalid="ignore"):
            moments, step = self._advance(state.moments, delta)
            if not are_finite(moments):
                raise InvalidInputError("mean_delta", "a moment would leave the range of float64", "smaller")
            moved += step
        restored = restore(moved, schema, tolerance=tolerance)
        return OptimizerState(self.kind, schema.digest, state.rounds + 1, moments), restored

    def check_state(self, state: OptimizerState, schema: ArraySchema) -> None:
        """Checks that a state is of this optimiser and belongs to models of a schema.

        Settings are no part of a state: a learning rate may change from round to round.

        Raises:
            InvalidParameterError: the state is of another optimiser.
            SchemaMismatchError: it began with models of another schema.
        """
        if not isinstance(state, OptimizerState) or state.kind != self.kind:
            offered = state.kind if isinstance(state, OptimizerState) else type(state).__name__
            raise InvalidParameterError("state", offered, f"an OptimizerState of {self.kind}: see start")
        if state.schema_digest != schema.digest or any(len(moment) != schema.size for moment in state.moments):
            raise SchemaMismatchError(
                "model",
                f"{schema.size} elements, schema {schema.digest.hex()[:16]}",
                f"the schema {state.schema_digest.hex()[:16]} that the optimiser's state began with",
            )

    def _first_moments(self) -> tuple[float, ...]:
        """Returns m_{-1} and v_{-1}, as far as there are any."""
        return (0.0,) * MOMENTS[self.kind]

    @abstractmethod
    def _advance(self, moments: tuple[_Vector, ...], delta: _Vector) -> tuple[tuple[_Vector, ...], _Vector]:
        """Returns the next moments and x_{t+1} - x_t; may overwrite `delta`, never the moments."""


@dataclass(frozen=True, slots=True)
class FedAvg(ServerOptimizer):
    """Federated averaging: equal to `fl.fedavg.apply`.

    Args:
        learning_rate: eta, above 0; 1 replaces the model by the mean of the clients' models.

    Raises:
        InvalidParameterError: the learning rate is out of its range.
    """

    kind: ClassVar[str] = "FedAvg"
    learning_rate: float = 1.0

    def __post_init__(self) -> None:
        _check_positive(self, "learning_rate")

    def _advance(self, moments: tuple[_Vector, ...], delta: _Vector) -> tuple[tuple[_Vector, ...], _Vector]:
        delta *= self.learning_rate
        return (), delta


@dataclass(frozen=True, slots=True)
class FedAvgM(ServerOptimizer):
    """Federated averaging with server momentum.

    Args:
        learning_rate: eta, above 0. In the long run a step is eta / (1 - momentum) mean deltas.
        momentum: beta, from 0 (FedAvg) to below 1.

    Raises:
        InvalidParameterError: a setting is out of its range.
    """

    kind: ClassVar[str] = "FedAvgM"
    learning_rate: float = 1.0
    momentum: float = 0.9

    def __post_init__(self) -> None:
        _check_positive(self, "learning_rate")
        _check_decay(self, "momentum")

    def _advance(self, moments: tuple[_Vector, ...], delta: _Vector) -> tuple[tuple[_Vector, ...], _Vector]:
        momentum = moments[0] * self.momentum
        momentum += delta
        np.multiply(momentum, self.learning_rate, out=delta)
        return (momentum,), delta


@dataclass(frozen=True, slots=True)
class _Adaptive(ServerOptimizer):
    """What FedAdagrad, FedYogi and FedAdam have in common."""

    learning_rate: float = 0.1
    tau: float = 1e-3
    beta_1: float = 0.9

    def __post_init__(self) -> None:
        _check_positive(self, "learning_rate", "tau")
        _check_decay(self, "beta_1")

    def _first_moments(self) -> tuple[float, ...]:
        return 0.0, self.tau * self.tau

    def _advance(self, moments: tuple[_Vector, ...], delta: _Vector) -> tuple[tuple[_Vector, ...], _Vector]:
        scratch = np.multiply(delta, 1 - self.beta_1)
        first = moments[0] * self.beta_1
        first += scratch
        np.multiply(delta, delta, out=delta)
        second = self._second_moment(moments[1], delta, scratch)
        np.sqrt(second, out=scratch)
        scratch += self.tau
        np.divide(first, scratch, out=scratch)
        scratch *= self.learning_rate
        return (first, second), scratch

    @abstractmethod
    def _second_moment(self, second: _Vector, squares: _Vector, scratch: _Vector) -> _Vector:
        """Returns v_t from v_{t-1} and D_t^2; may overwrite `squares` and `scratch`."""


@dataclass(frozen=True, slots=True)
class _Forgetting(_Adaptive):
    """What FedYogi and FedAdam have in common: their second moment decays too."""

    beta_2: float = 0.99

    def __post_init__(self) -> None:
        _Adaptive.__post_init__(self)
        _check_decay(self, "beta_2")


@dataclass(frozen=True, slots=True)
class FedAdagrad(_Adaptive):
    """Adagrad on the server: steps shrink as a coordinate's squares add up.

    Args:
        learning_rate: eta, above 0. Steps are about eta in size, not a fraction of the delta.
        tau: the degree of adaptivity, above 0; smaller adapts more.
        beta_1: decay of the first moment, from 0 (as in the paper's experiments) to below 1.

    Raises:
        InvalidParameterError: a setting is out of its range.
    """

    kind: ClassVar[str] = "FedAdagrad"
    beta_1: float = 0.0

    def _second_moment(self, second: _Vector, squares: _Vector, scratch: _Vector) -> _Vector:
        squares += second
        return squares


@dataclass(frozen=True, slots=True)
class FedYogi(_Forgetting):
    """Yogi on the server: the second moment grows and shrinks by a share of the square, so it forgets slowly.

    Args:
        learning_rate: eta, above 0. Steps are about eta in size, not a fraction of the delta.
        tau: the degree of adaptivity, above 0; smaller adapts more.
        beta_1: decay of the first moment, from 0 to below 1.
        beta_2: decay of the second moment, from 0 to below 1.

    Raises:
        InvalidParameterError: a setting is out of its range.
    """

    kind: ClassVar[str] = "FedYogi"

    def _second_moment(self, second: _Vector, squares: _Vector, scratch: _Vector) -> _Vector:
        np.subtract(second, squares, out=scratch)
        np.sign(scratch, out=scratch)
        squares *= 1 - self.beta_2
        # Never negative: where the sign is 1, the square, and so any share of it, is below v_{t-1}.
        squares *= scratch
        return np.subtract(second, squares, out=squares)


@dataclass(frozen=True, slots=True)
class FedAdam(_Forgetting):
    """Adam on the server, without bias correction, as in the paper.

    Args:
        learning_rate: eta, above 0. Steps are about eta in size, not a fraction of the delta.
        tau: the degree of adaptivity, above 0; smaller adapts more.
        beta_1: decay of the first moment, from 0 to below 1.
        beta_2: decay of the second moment, from 0 to below 1.

    Raises:
        InvalidParameterError: a setting is out of its range.
    """

    kind: ClassVar[str] = "FedAdam"

    def _second_moment(self, second: _Vector, squares: _Vector, scratch: _Vector) -> _Vector:
        squares *= 1 - self.beta_2
        np.multiply(second, self.beta_2, out=scratch)
        squares += scratch
        return squares


def _check_positive(optimizer: ServerOptimizer, *names: str) -> None:
    for name in names:
        object.__setattr__(optimizer, name, check_number(name, getattr(optimizer, name), low=0.0, open_low=True))


def _check_decay(optimizer: ServerOptimizer, *names: str) -> None:
    for name in names:
        object.__setattr__(
            optimizer, name, check_number(name, getattr(optimizer, name), low=0.0, high=1.0, open_high=True)
        )
