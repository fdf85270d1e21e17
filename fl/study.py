"""The user's own data and model, as `secagg run` meets them: one object with three methods, or four."""

from collections.abc import Collection, Mapping
from typing import Protocol, TypeVar, runtime_checkable

from fl.arrays.schema import Arrays, NamedArrays
from fl.client_ids import ClientName
from fl.private import Contribution
from secagg import ClientId, LocalError

__all__ = ["EvaluatedStudy", "Study", "StudyError"]

Name = TypeVar("Name", bound=ClientName)


@runtime_checkable
class Study(Protocol[Name]):
    """What the entry point of a run returns.

    The arrays of a model may be floats or integers; an update is their change, float64 arrays by the same names, as
    `fl.fedavg.client_delta` returns it.
    """

    def clients(self) -> Collection[Name]:
        """Returns the names of all clients: strings, UUIDs or integers. All of them are invited to every round.

        `fl.client_id` says which id each of them has in sessions, journal and report.
        """
        ...

    def initial_model(self) -> Arrays:
        """Returns the first global model: a list or a dict of numpy arrays."""
        ...

    def contribute(self, client: Name, model: NamedArrays, round_number: int) -> Contribution:
        """Returns what a client hands in.

        Args:
            client: one of `clients`.
            model: the global model; this client's own copy.
            round_number: from 1. Numbers rise, and may be left out, but never come again.

        Returns:
            Its update and weight, and the side values that the run declares; or the updates of its examples.
        """
        ...


@runtime_checkable
class EvaluatedStudy(Study[Name], Protocol[Name]):
    """A study that also says how good a model is."""

    def evaluate(self, model: NamedArrays) -> Mapping[str, float]:
        """Returns figures by name, such as an accuracy. They go into the log, and no noise is added to them."""
        ...


class StudyError(LocalError):
    """The user's code failed, or returned what it may not. Fields: `call`, `client`, `round_number`, `problem`.

    `client` and `round_number` are None where the call has none. An exception of the user's is the error's cause.
    """

    def __init__(self, call: str, client: ClientId | None, round_number: int | None, problem: str) -> None:
        super().__init__(call, client, round_number, problem)
        self.call = call
        self.client = client
        self.round_number = round_number
        self.problem = problem

    def __str__(self) -> str:
        whose = "" if self.client is None else f" for client {self.client}"
        when = "" if self.round_number is None else f" in round {self.round_number}"
        return f"the study's {self.call}{whose}{when}: {self.problem}"
