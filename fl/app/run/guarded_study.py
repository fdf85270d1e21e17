"""The user's study as a run meets it: loaded from its file, and guarded at every call.

What the user's code raises, or returns and should not, becomes a `StudyError` that names the client and the round. It
is found before the round begins, so that no mistake in a training loop costs a round.
"""

import importlib
import importlib.util
import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from fl.arrays.flatten import flatten, restore
from fl.arrays.partial import SharedPart
from fl.arrays.schema import ArraySchema, NamedArrays
from fl.arrays.statistics import check_declared
from fl.checks import is_number, plain
from fl.client_ids import ClientIds, ClientName
from fl.private import Contribution
from fl.study import EvaluatedStudy, Study, StudyError
from secagg import ClientId

__all__ = ["GuardedStudy", "load_study"]

_Result = TypeVar("_Result")


@contextmanager
def load_study(entry: str, folder: Path, options: Mapping[str, object]) -> Iterator["GuardedStudy"]:
    """Yields the study of an entry point.

    Until the context ends, modules in the folder can be imported, by the study's module and by what it does later. The
    study's module itself stays loaded after that.

    Args:
        entry: "module:attribute".
        folder: where the module is looked up first.
        options: keywords for the attribute.

    Raises:
        StudyError: there is no such module or attribute, it fails, or what it returns is no study.

    Security:
        This runs the module's code, as `python FILE` does.
    """
    module_name, _, name = entry.partition(":")

    def make() -> object:
        return getattr(_module(module_name, folder), name)(**options)

    with _importable(folder):
        study = _guarded(f"entry {entry!r}", None, None, make)
        needed = ("clients", "initial_model", "contribute")
        missing = [method for method in needed if not callable(getattr(study, method, None))]
        if missing or not isinstance(study, Study):
            raise StudyError(f"entry {entry!r}", None, None, f"a {type(study).__name__} without {', '.join(missing)}")
        yield GuardedStudy(study)


class GuardedStudy:
    """A study whose every answer is checked, and copied: what the user does to its arrays later changes nothing.

    Args:
        study: the user's.
    """

    def __init__(self, study: Study[ClientName]) -> None:
        self._study = study
        self._ids = ClientIds(())
        self._left_out: Sequence[str] = ()
        self._averaged: Sequence[str] = ()
        self._part: SharedPart | None = None
        self._kept: NamedArrays = {}

    def declare(self, *, left_out: Sequence[str] = (), averaged: Sequence[str] = ()) -> None:
        """Says what becomes of arrays that are no weights.

        Args:
            left_out: patterns for names: these stay as the study made them. The study still gets whole models, and may
                hand in whole updates.
            averaged: names of those that are averaged with the weights, clipped like these or on their own. In a list
                an array's name is its place.
        """
        self._left_out, self._averaged = tuple(left_out), tuple(averaged)

    def clients(self) -> tuple[ClientId, ...]:
        """Returns the ids of the study's clients, sorted.

        Raises:
            StudyError: it failed, a name is none of `fl.ClientName`, or two have one id.
        """

        def call() -> tuple[ClientId, ...]:
            self._ids = ClientIds(self._study.clients())
            return tuple(sorted(self._ids.values()))

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
            whole = restore(flatten(model, schema), schema)
            if self._left_out:
                self._part = SharedPart.all_but(schema, self._left_out)
                whole, self._kept = self._part.split(whole)
                schema = self._part.shared_schema
            check_declared(schema, [entry.name for entry in schema.entries if str(entry.name) in self._averaged])
            return whole

        return _guarded("initial_model", None, None, call)

    def whole(self, model: NamedArrays) -> NamedArrays:
        """Returns a copy of the model with what is left out of it, as the study made that."""
        return _copied(model if self._part is None else self._part.join(model, private=self._kept))

    def _sent(self, contribution: Contribution) -> Contribution:
        """Returns the contribution without what is left out."""
        part, update = self._part, contribution.update
        if (
            part is None
            or not isinstance(update, Mapping)
            or set(update) != {entry.name for entry in part.schema.entries}
        ):
            return contribution
        shared = {name: update[name] for name in part.shared if isinstance(name, str)}
        return replace(contribution, update=shared)

    def contribute(
        self,
        client: ClientId,
        model: NamedArrays,
        round_number: int,
        checked: Callable[[Contribution], Contribution],
    ) -> Contribution:
        """Returns what a client hands in.

        Args:
            client: its id.
            model: the global model; the client gets a copy.
            round_number: of the round to come.
            checked: refuses what the round could not take, and returns a copy of the rest.

        Raises:
            StudyError: it failed, or handed in something else.
        """

        def call() -> Contribution:
            # A study may be asked before it has said who its clients are: then an id is a name.
            name = self._ids.name_of(client) if self._ids else client
            given = self._study.contribute(name, self.whole(model), round_number)
            if not isinstance(given, Contribution):
                raise TypeError(f"it returned a {type(given).__name__}, not a Contribution")
            return checked(self._sent(given))

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
            given = evaluate(self.whole(model))
            if not isinstance(given, Mapping):
                raise TypeError(f"it returned a {type(given).__name__}, not a mapping of names to numbers")
            figures: dict[str, float | None] = {}
            for name, value in ((plain(name), value) for name, value in given.items()):
                if type(name) is not str or not is_number(value):
                    raise TypeError(f"{name!r}: it returned no mapping of names to numbers")
                figures[name] = float(value) if math.isfinite(value) else None
            return figures

        return _guarded("evaluate", None, round_number, call)


@contextmanager
def _importable(folder: Path) -> Iterator[None]:
    """Puts a folder at the head of the places where Python looks for modules, and takes it away again."""
    place = str(folder)
    if place in sys.path:
        yield
        return
    sys.path.insert(0, place)
    try:
        yield
    finally:
        # The user's code may have taken it away itself.
        with suppress(ValueError):
            sys.path.remove(place)


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
