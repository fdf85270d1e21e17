"""The user's own data and model, as `secagg run` meets them: one object, and every call of it guarded.

What the user's code raises, or returns and should not, becomes a `StudyError` that names the client and the round. It
is found before the round begins, so that no mistake in a training loop costs a round.
"""

import importlib
import importlib.util
import math
import sys
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Protocol, TypeVar, runtime_checkable

import numpy as np

from fl.arrays.flatten import flatten, restore
from fl.arrays.schema import Arrays, ArraySchema, NamedArrays
from fl.private.contribution import Contribution
from secagg import ClientId, LocalError, check_client_id

__all__ = ["EvaluatedStudy", "GuardedStudy", "Study", "StudyError", "load_study"]

_Result = TypeVar("_Result")


@runtime_checkable
class Study(Protocol):
    """What the entry point of a run returns.

    The arrays of a model may be floats or integers; an update is their change, float64 arrays by the same names, as
    `fl.fedavg.client_delta` returns it.
    """

    def clients(self) -> Collection[ClientId]:
        """Returns the ids of all clients: ints from 0 to 2**64 - 1. All of them are invited to every round."""
        ...

    def initial_model(self) -> Arrays:
        """Returns the first global model: a list or a dict of numpy arrays."""
        ...

    def contribute(self, client: ClientId, model: NamedArrays, round_number: int) -> Contribution:
        """Returns what a client hands in.

        Args:
            client: one of `clients`.
            model: the global model; this client's own copy.
            round_number: from 1. Numbers rise, and may be left out, but never come again.

        Returns:
            Its update and weight, and its side values, as far as the run declares any; or the updates of its examples.
        """
        ...


@runtime_checkable
class EvaluatedStudy(Study, Protocol):
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


def load_study(entry: str, folder: Path, options: Mapping[str, object]) -> "GuardedStudy":
    """Returns the study of an entry point.

    Args:
        entry: "module:attribute".
        folder: where the module is looked up first; modules beside it can be imported from it.
        options: keywords for the attribute.

    Raises:
        StudyError: there is no such module or attribute, it fails, or what it returns is no study.

    Security:
        This runs the module's code, as `python FILE` does.
    """
    module_name, _, name = entry.partition(":")
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))

    def make() -> object:
        return getattr(_module(module_name, folder), name)(**options)

    study = _guarded(f"entry {entry!r}", None, None, make)
    missing = [name for name in ("clients", "initial_model", "contribute") if not callable(getattr(study, name, None))]
    if missing or not isinstance(study, Study):
        raise StudyError(f"entry {entry!r}", None, None, f"a {type(study).__name__} without {', '.join(missing)}")
    return GuardedStudy(study)


class GuardedStudy:
    """A study whose every answer is checked, and copied: what the user does to its arrays later changes nothing.

    Args:
        study: the user's.
    """

    def __init__(self, study: Study) -> None:
        self._study = study

    def clients(self) -> tuple[ClientId, ...]:
        """Returns the ids, sorted.

        Raises:
            StudyError: it failed, or an id is none or comes twice.
        """

        def call() -> tuple[ClientId, ...]:
            ids = tuple(self._study.clients())
            for client in ids:
                check_client_id("client", client)
            if len(set(ids)) < len(ids):
                raise ValueError("an id comes twice")
            return tuple(sorted(ids))

        return _guarded("clients", None, None, call)

    def initial_model(self) -> NamedArrays:
        """Returns the first model.

        Raises:
            StudyError: it failed, or the arrays are of a kind that cannot be summed, or not finite.
        """

        def call() -> NamedArrays:
            model = self._study.initial_model()
            schema = ArraySchema.of(model)
            if not schema.size:
                raise ValueError("the model has no parameter")
            return restore(flatten(model, schema), schema)

        return _guarded("initial_model", None, None, call)

    def contribute(
        self,
        client: ClientId,
        model: NamedArrays,
        round_number: int,
        checked: Callable[[Contribution], Contribution],
    ) -> Contribution:
        """Returns what a client hands in.

        Args:
            client: who.
            model: the global model; the client gets a copy.
            round_number: of the round to come.
            checked: refuses what the round could not take, and returns a copy of the rest.

        Raises:
            StudyError: it failed, or handed in something else.
        """

        def call() -> Contribution:
            given = self._study.contribute(client, _copied(model), round_number)
            if not isinstance(given, Contribution):
                raise TypeError(f"it returned a {type(given).__name__}, not a Contribution")
            return checked(given)

        return _guarded("contribute", client, round_number, call)

    def evaluate(self, model: NamedArrays, round_number: int) -> dict[str, float | None]:
        """Returns the figures of a model, None for one that is not finite; empty if the study has none.

        Args:
            model: the global model; the study gets a copy.
            round_number: after which.

        Raises:
            StudyError: it failed, or returned something else.
        """
        study = self._study
        if not isinstance(study, EvaluatedStudy):
            return {}
        evaluate = study.evaluate

        def call() -> dict[str, float | None]:
            given = evaluate(_copied(model))
            if not isinstance(given, Mapping):
                raise TypeError(f"it returned a {type(given).__name__}, not a mapping of names to numbers")
            figures: dict[str, float | None] = {}
            for name, value in given.items():
                number = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
                if type(name) is not str or not number:
                    raise TypeError(f"{name!r}: it returned no mapping of names to numbers")
                figures[name] = float(value) if math.isfinite(value) else None
            return figures

        return _guarded("evaluate", None, round_number, call)


def _module(name: str, folder: Path) -> object:
    """Returns the module beside the configuration, or the one that Python finds."""
    path = folder / f"{name}.py"
    if "." in name or not path.is_file():
        return importlib.import_module(name)
    if name in sys.stdlib_module_names:
        raise ImportError(f"{path} has the name of a module of Python's own: rename it")
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:  # pragma: no cover - a .py file has both
        raise ImportError(f"{path} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    # Dataclasses and pickles look their module up by its name.
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _guarded(call: str, client: ClientId | None, round_number: int | None, function: Callable[[], _Result]) -> _Result:
    try:
        return function()
    except (Exception, SystemExit) as error:
        # An exit is none of the study's: the run would end as if it were finished.
        problem = f"{type(error).__name__}: {error}"
        raise StudyError(call, client, round_number, problem) from error


def _copied(model: NamedArrays) -> NamedArrays:
    if isinstance(model, dict):
        return {name: array.copy() for name, array in model.items()}
    return [array.copy() for array in model]
