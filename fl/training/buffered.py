"""Buffered asynchronous rounds (FedBuff) with a secure aggregation over each buffer.

Source: Nguyen et al. 2022, "Federated Learning with Buffered Asynchronous Aggregation", Algorithm 1. Clients start
from the newest model whenever they are free and finish whenever they are done. As soon as `size` of them wait, the
server takes a step from *their* deltas, each scaled down by its staleness t, the steps taken since it started:

    x <- serveropt(x, (1/K) sum s(t_i) delta_i),   s(t) = (1 + t)^-a,   a = 1/2 by default

The buffer is not a list of vectors: the clients wait with their deltas, and once there are `size` of them they are
the cohort of one session, whose sum is all that the server sees. Staleness enters as an integer weight that
follows from public facts,

    w(t) = floor(W * s(t)),   W = weight_cap,

computed in integers, so that client and server agree on every platform. The session gives the weighted mean
sum(w_i delta_i) / sum(w_i) and sum(w_i); times sum(w_i) / (W * K) this is the step above, K being the survivors.

The server learns of a buffer: the weighted mean, who was in it, and every client's start version, which it handed
out. The sum of weights follows from these, so it is compared with what the session says.

A delta takes part in one session only. If a session fails, its clients train again: two sums that share a delta
and differ in their survivors would tell the difference. A server that lies about a failure gets the same as one
that asks twice in synchronous rounds; noise hides that, secure aggregation does not.
"""

import hashlib
import math
import struct
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from fractions import Fraction
from types import MappingProxyType
from typing import Final

from fl.arrays.flatten import flatten, restore
from fl.arrays.schema import Arrays, ArraySchema, NamedArrays
from fl.checks import check_integer
from fl.fedavg import delta_schema
from fl.training.optimizers import OptimizerState, ServerOptimizer
from secagg import ClientId, InvalidInputError, InvalidParameterError, InvalidStateError, LocalError, check_client_id

__all__ = ["Buffer", "BufferedCohort", "StaleUpdateError", "StalenessWeights"]

_DIGEST_LABEL: Final = b"fl staleness weights 1"
_MAX_WEIGHT_CAP: Final = 2**32
_MAX_STALENESS: Final = 2**32
_MAX_EXPONENT_PART: Final = 8
"""The largest numerator and denominator of the exponent. Every exponent in use has smaller ones, and the integers stay
below 2**512."""

_SMALLEST_BUFFER: Final = 3
"""No session is smaller, and the mean of one or two tells each of them the other."""

_MAX_VERSION: Final = 2**63


class StaleUpdateError(LocalError):
    """An update is too old to count; its client starts again. Fields: `client`, `staleness`, `max_staleness`."""

    def __init__(self, client: ClientId, staleness: int, max_staleness: int) -> None:
        super().__init__(client, staleness, max_staleness)
        self.client = client
        self.staleness = staleness
        self.max_staleness = max_staleness

    def __str__(self) -> str:
        return (
            f"the update of client {self.client} is {self.staleness} steps old and at most {self.max_staleness} "
            "count: start again from the newest model"
        )


@dataclass(frozen=True, slots=True)
class StalenessWeights:
    """The public rule from staleness to weight that clients and server share.

    Args:
        weight_cap: W, the weight of a fresh update and the `weight_cap` of the `WeightedMean`; 1 to 2**32. A
            weight is off by less than 1 / W of a fresh one.
        max_staleness: the oldest update that counts, in steps of the server; 0 to 2**32.
        exponent: a, 0 (all alike) to 8: a Fraction or an int whose numerator and denominator are at most 8.

    Raises:
        InvalidParameterError: a number is out of its range, or the oldest update would get weight 0.
    """

    weight_cap: int
    max_staleness: int
    exponent: Fraction = Fraction(1, 2)

    def __post_init__(self) -> None:
        object.__setattr__(
            self, "weight_cap", check_integer("weight_cap", self.weight_cap, low=1, high=_MAX_WEIGHT_CAP)
        )
        object.__setattr__(
            self, "max_staleness", check_integer("max_staleness", self.max_staleness, low=0, high=_MAX_STALENESS)
        )
        exponent = self.exponent
        if isinstance(exponent, bool) or not isinstance(exponent, int | Fraction):
            raise InvalidParameterError("exponent", exponent, "a Fraction or an int: a float is not what it says")
        exponent = Fraction(exponent)
        if exponent < 0 or max(exponent.numerator, exponent.denominator) > _MAX_EXPONENT_PART:
            raise InvalidParameterError("exponent", exponent, f"at least 0, both parts at most {_MAX_EXPONENT_PART}")
        object.__setattr__(self, "exponent", exponent)
        if self.weight(self.max_staleness) < 1:
            raise InvalidParameterError(
                "weight_cap", self.weight_cap, f"so large that staleness {self.max_staleness} has a weight above 0"
            )

    @property
    def digest(self) -> bytes:
        """32 bytes over all settings; in `WeightedMean.session_params` as `user` it binds the rule into a session."""
        settings = (self.weight_cap, self.max_staleness, self.exponent.numerator, self.exponent.denominator)
        return hashlib.sha256(_DIGEST_LABEL + struct.pack("<4Q", *settings)).digest()

    def weight(self, staleness: int) -> int:
        """Returns floor(W * (1 + staleness)^-a), exact.

        A client calls it with the version of the session minus the version it started from.

        Args:
            staleness: steps of the server since the client started, 0 to `max_staleness`.

        Raises:
            InvalidParameterError: the staleness is negative, or beyond the maximum.
        """
        staleness = check_integer("staleness", staleness, low=0, high=self.max_staleness)
        root = self.exponent.denominator
        # floor(y^(1/q)) = floor(floor(y)^(1/q)): integers in place of the real y.
        return _integer_root(self.weight_cap**root // (1 + staleness) ** self.exponent.numerator, root)


@dataclass(frozen=True, slots=True)
class BufferedCohort:
    """The clients of one session.

    Args:
        version: the model that the session's mean is applied to; hand it on as `round_number`, from which each
            client computes its own staleness.
        weights: every client's weight, by client in the order of arrival.
    """

    version: int
    weights: Mapping[ClientId, int]


class Buffer:
    """The server's side: versions, who waits, whose session is open, and the model.

    Args:
        model: the first global model, or that of a checkpoint.
        optimizer: takes the steps.
        weights: the rule that clients hold as well.
        size: K, how many clients make a session, at least 3; the session itself may need more.
        state: the optimiser's, of a checkpoint; None starts anew.
        version: of `model`, for a checkpoint. Clients that were training or waiting then start again.

    Raises:
        InvalidParameterError: an argument is of the wrong type or out of its range.
        SchemaMismatchError: the model is of a kind that cannot be summed, or the state is of another one.
        InvalidInputError: the model holds a value that is not finite.

    Guarantees:
        A method that raises changes nothing. A client has at most one update underway.
    """

    def __init__(
        self,
        model: Arrays,
        optimizer: ServerOptimizer,
        weights: StalenessWeights,
        size: int,
        *,
        state: OptimizerState | None = None,
        version: int = 0,
    ) -> None:
        if not isinstance(optimizer, ServerOptimizer):
            raise InvalidParameterError("optimizer", type(optimizer).__name__, "a ServerOptimizer")
        if not isinstance(weights, StalenessWeights):
            raise InvalidParameterError("weights", type(weights).__name__, "StalenessWeights")
        size = check_integer("size", size, low=_SMALLEST_BUFFER, high=2**20)
        version = check_integer("version", version, low=0, high=_MAX_VERSION)
        self._optimizer = optimizer
        self._weights = weights
        self._size = size
        self._version = version
        self._schema = ArraySchema.of(model)
        # A copy: what the caller does to its own arrays later is not the model.
        self._model = _read_only(restore(flatten(model, self._schema), self._schema))
        self._state = optimizer.start(model) if state is None else state
        optimizer.check_state(self._state, self._schema)
        self._training: dict[ClientId, int] = {}
        self._waiting: dict[ClientId, int] = {}
        self._cohort: BufferedCohort | None = None

    @property
    def version(self) -> int:
        """How many steps were taken."""
        return self._version

    @property
    def model(self) -> NamedArrays:
        """The newest model, read-only arrays; a step makes new ones."""
        return self._model

    @property
    def state(self) -> OptimizerState:
        """The optimiser's state: with model and version all that a checkpoint needs."""
        return self._state

    @property
    def waiting(self) -> tuple[ClientId, ...]:
        """The clients that are done and in no session yet, in the order of arrival."""
        return tuple(self._waiting)

    @property
    def cohort(self) -> BufferedCohort | None:
        """The clients whose session is open, or None."""
        return self._cohort

    @property
    def ready(self) -> bool:
        """Whether `open_session` can be called."""
        return self._cohort is None and len(self._waiting) >= self._size

    def start(self, client: ClientId) -> tuple[int, NamedArrays]:
        """Hands the newest model to a client; one that was training starts again.

        Args:
            client: its identifier.

        Returns:
            The version, which the client keeps, and the model.

        Raises:
            InvalidParameterError: it is no client id.
            InvalidStateError: an update of the client waits or is in the open session.
        """
        client = check_client_id("client", client)
        if client in self._waiting or (self._cohort is not None and client in self._cohort.weights):
            raise InvalidStateError(f"client {client} has an update that waits for its session to end")
        self._training[client] = self._version
        return self._version, self._model

    def arrive(self, client: ClientId) -> None:
        """Notes that a client is done and waits for a session.

        Args:
            client: its identifier.

        Raises:
            StaleUpdateError: it started too many steps ago; it is no longer training.
            InvalidStateError: it was handed no model.
        """
        if client not in self._training:
            raise InvalidStateError(f"client {client} was handed no model, or has arrived already")
        begun = self._training[client]
        if self._version - begun > self._weights.max_staleness:
            del self._training[client]
            raise StaleUpdateError(client, self._version - begun, self._weights.max_staleness)
        self._waiting[client] = self._training.pop(client)

    def open_session(self) -> BufferedCohort:
        """Returns the cohort of the next session: the `size` clients that have waited longest.

        Raises:
            InvalidStateError: too few clients wait, or a session is open.
        """
        if self._cohort is not None:
            raise InvalidStateError("a session is open: apply its mean, or abandon it")
        if len(self._waiting) < self._size:
            raise InvalidStateError(f"{len(self._waiting)} clients wait, and a session needs {self._size}")
        chosen = list(self._waiting)[: self._size]
        weights = {client: self._weights.weight(self._version - self._waiting.pop(client)) for client in chosen}
        self._cohort = BufferedCohort(self._version, MappingProxyType(weights))
        return self._cohort

    def apply(
        self, mean_delta: Arrays, total_weight: int, survivors: Collection[ClientId], *, tolerance: float = 0.0
    ) -> frozenset[ClientId]:
        """Takes a step from the open session's outcome.

        Args:
            mean_delta: the weighted mean of the survivors' deltas, float64, as `WeightedMean.decode` returns it.
            total_weight: the sum of their weights, from the same place.
            survivors: whose deltas are in it.
            tolerance: as of `ServerOptimizer.step`.

        Returns:
            The clients whose waiting update became too old by this step: they start again.

        Raises:
            InvalidStateError: no session is open.
            InvalidParameterError: the survivors are not of the session's cohort, or there is none.
            InvalidInputError: the total weight is not the sum of the survivors' weights: some client used
                another version or another rule, and nothing tells which; or the step leaves the range of a dtype.
            SchemaMismatchError: the delta does not belong to the model.
        """
        cohort = self._cohort
        if cohort is None:
            raise InvalidStateError("no session is open")
        alive = frozenset(survivors)
        if not alive or not alive <= cohort.weights.keys():
            raise InvalidParameterError("survivors", tuple(alive), "some of the clients of the open session")
        expected = sum(cohort.weights[client] for client in alive)
        if type(total_weight) is not int or total_weight != expected:
            raise InvalidInputError(
                "total_weight", f"it is {total_weight}", f"{expected}, the sum of the survivors' public weights"
            )
        schema = delta_schema(self._schema)
        step = flatten(mean_delta, schema)
        step *= total_weight / (self._weights.weight_cap * len(alive))
        state, model = self._optimizer.step(self._state, self._model, restore(step, schema), tolerance=tolerance)
        # Nothing below can fail.
        self._state, self._model, self._cohort = state, _read_only(model), None
        self._version += 1
        oldest = self._version - self._weights.max_staleness
        evicted = frozenset(client for client, begun in self._waiting.items() if begun < oldest)
        for client in evicted:
            del self._waiting[client]
        return evicted

    def abandon(self) -> frozenset[ClientId]:
        """Ends the open session without a step, after too few of its clients were left.

        Returns:
            The session's clients. Their updates are lost: each starts again.

        Raises:
            InvalidStateError: no session is open.
        """
        if self._cohort is None:
            raise InvalidStateError("no session is open")
        clients = frozenset(self._cohort.weights)
        self._cohort = None
        return clients


def _integer_root(number: int, root: int) -> int:
    """Returns the largest integer whose power is at most `number`."""
    if root == 1:
        return number
    if root == 2:
        return math.isqrt(number)
    low, high = 0, 1 << (number.bit_length() // root + 1)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if middle**root <= number else (low, middle)
    return low


def _read_only(arrays: NamedArrays) -> NamedArrays:
    for array in arrays.values() if isinstance(arrays, dict) else arrays:
        array.flags.writeable = False
    return arrays
