"""The study as a run meets it: what the user's code does wrong is told with client and round, and changes nothing."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fl import client_id
from fl.app.run.guarded_study import GuardedStudy, load_study
from fl.private import Contribution
from fl.study import StudyError
from secagg.errors import InvalidInputError
from tests.kit.run_scene import STUDY, place

__all__ = ["place"]


class A:
    """A study whose methods return what the test says, or raise it."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers

    def answer(self, name: str) -> Any:
        value = self.answers[name]
        if isinstance(value, BaseException):
            raise value
        return value

    def clients(self) -> Any:
        return self.answer("clients")

    def initial_model(self) -> Any:
        return self.answer("initial_model")

    def contribute(self, client: int, model: Any, round_number: int) -> Any:
        self.seen = model
        return self.answer("contribute")


class Evaluated(A):
    def evaluate(self, model: Any) -> Any:
        self.seen = model
        return self.answer("evaluate")


def failure(call: Any) -> StudyError:
    with pytest.raises(StudyError) as caught:
        call()
    return caught.value


def test_the_module_beside_the_file_comes_first_and_gets_its_options(place: Path):
    (place / "a_study.py").write_text(
        STUDY.replace("class Study:", "import beside\n\nclass Study:\n    def __init__(self, **k): beside.seen = k\n")
    )
    (place / "beside.py").write_text("seen = None\n")
    with load_study("a_study:Study", place, {"path": "x", "folds": [1]}) as study:
        assert study.clients() == (3, 5, 7, 2**64 - 1)
    assert sys.modules.pop("beside").seen == {"path": "x", "folds": [1]}
    # The file of now, not that of an earlier load.
    (place / "a_study.py").write_text(STUDY.replace("2**64 - 1", "9"))
    with load_study("a_study:Study", place, {}) as study:
        assert study.clients() == (3, 5, 7, 9)


def test_modules_beside_the_file_are_found_while_the_study_is_in_use_and_not_after(place: Path):
    (place / "a_study.py").write_text(STUDY.replace("return [7", "import later; return [7"))
    (place / "later.py").write_text("")
    before = list(sys.path)
    with load_study("a_study:Study", place, {}) as study:
        assert sys.path == [str(place), *before]
        study.clients()
        sys.modules.pop("later")
        # In the middle of it, as the run of another study would be.
        with load_study("a_study:Study", place, {}):
            pass
        study.clients()
        sys.modules.pop("later")
    assert sys.path == before
    with pytest.raises(ZeroDivisionError), load_study("a_study:Study", place, {}):
        raise ZeroDivisionError
    assert sys.path == before
    with load_study("a_study:Study", place, {}):
        sys.path.remove(str(place))
    assert sys.path == before
    assert "No module named 'later'" in failure(study.clients).problem


def test_other_modules_are_found_as_python_finds_them(place: Path):
    (place / "package").mkdir()
    (place / "package" / "inner.py").write_text(STUDY)
    with load_study("package.inner:Study", place, {}) as study:
        assert study.clients() == (3, 5, 7, 2**64 - 1)
    sys.modules.pop("package.inner")
    sys.modules.pop("package")


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ("nothing_there:Study", "ModuleNotFoundError: No module named 'nothing_there'"),
        ("a_study:Stduy", "AttributeError: "),
        ("a_study:np", "TypeError: 'module' object is not callable"),
        ("builtins:dict", "a dict without clients, initial_model, contribute"),
        ("failing:Study", "ZeroDivisionError: division by zero"),
        ("json:Study", "ImportError: .*json.py has the name of a module of Python's own"),
    ],
)
def test_an_entry_that_is_none_is_named(place: Path, entry: str, says: str):
    (place / "failing.py").write_text("1 / 0\n")
    (place / "json.py").write_text("")
    error = failure(load_study(entry, place, {}).__enter__)
    assert (error.client, error.round_number) == (None, None)
    with pytest.raises(StudyError, match=f"the study's entry '{entry}': {says}"):
        raise error
    sys.modules.pop("failing", None)


@pytest.mark.parametrize(
    ("ids", "says"),
    [
        ([1, 2, 1], "twice"),
        ([1, -1, 2**64 - 1], "the same id"),
        ([b"1"], "client = b'1'"),
        (5, "the clients' names, in a list"),
        ([2**64], "client"),
    ],
)
def test_ids_are_checked(ids: Any, says: str):
    assert says in failure(GuardedStudy(A(clients=ids)).clients).problem


@pytest.mark.parametrize(
    ("model", "says"),
    [
        ([], "no parameter"),
        ([np.zeros(0)], "no parameter"),
        ([1.0], "a float"),
        (None, "a NoneType"),
        ({"w": np.array([np.nan])}, "NaN or infinity"),
        ({"w": np.array(["a"])}, "dtype"),
        (KeyError("w"), "KeyError: 'w'"),
    ],
)
def test_a_first_model_is_checked(model: Any, says: str):
    error = failure(GuardedStudy(A(initial_model=model)).initial_model)
    assert says in error.problem
    assert error.call == "initial_model"


def test_models_are_copied_on_their_way_in_and_out():
    for model in ({"w": np.zeros(2)}, [np.zeros(2)]):
        mine = Evaluated(initial_model=model, contribute=Contribution(model), evaluate={})
        study = GuardedStudy(mine)
        first = study.initial_model()
        for contributes in (True, False):
            if contributes:
                study.contribute(1, first, 1, lambda given: given)
            else:
                study.evaluate(first, 1)
            (next(iter(mine.seen.values())) if isinstance(mine.seen, dict) else mine.seen[0])[:] = 9
        (model["w"] if isinstance(model, dict) else model[0])[:] = 9
        assert (first["w"] if isinstance(first, dict) else first[0]).tolist() == [0, 0]


def test_a_contribution_that_is_refused_or_none_is_told_with_client_and_round():
    def refuse(given: Contribution) -> Contribution:
        raise InvalidInputError("weight", "too large", "smaller")

    study = GuardedStudy(A(contribute=Contribution([np.zeros(1)])))
    error = failure(lambda: study.contribute(7, [np.zeros(1)], 3, refuse))
    assert str(error) == (
        "the study's contribute for client 7 in round 3: InvalidInputError: weight: too large; it must be smaller"
    )
    for given, says in (
        (None, "a NoneType, not a Contribution"),
        (SystemExit(0), "SystemExit: 0"),
        (RuntimeError("boom"), "RuntimeError: boom"),
    ):
        study = GuardedStudy(A(contribute=given))
        error = failure(lambda study=study: study.contribute(7, [np.zeros(1)], 3, lambda one: one))
        assert says in error.problem
        assert (error.call, error.client, error.round_number) == ("contribute", 7, 3)
    assert isinstance(error.__cause__, RuntimeError)


def test_figures_are_numbers_by_name():
    given = {"a": np.float32(0.5), "b": 3, "c": float("inf"), "d": float("nan")}
    assert GuardedStudy(Evaluated(evaluate=given)).evaluate([np.zeros(1)], 1) == {
        "a": 0.5,
        "b": 3.0,
        "c": None,
        "d": None,
    }
    assert GuardedStudy(A()).evaluate([np.zeros(1)], 1) == {}
    for wrong in (0.5, {"a": "b"}, {"a": True}, {1: 2.0}, {"a": np.zeros(1)}, ZeroDivisionError("x")):
        error = failure(lambda wrong=wrong: GuardedStudy(Evaluated(evaluate=wrong)).evaluate([np.zeros(1)], 4))
        assert (error.call, error.client, error.round_number) == ("evaluate", None, 4)


def test_a_study_may_call_its_clients_by_name(place: Path):
    (place / "a_study.py").write_text(
        STUDY.replace("return [7, 3, 2**64 - 1, 5]", "return ['north', 'south', 'east', 12]")
    )
    with load_study("a_study:Study", place, {}) as study:
        assert study.clients() == tuple(sorted(map(client_id, ("north", "south", "east", 12))))
        given = []
        study._study.contribute = lambda client, *_: given.append(client) or Contribution({})
        for name in ("north", 12):
            study.contribute(client_id(name), {}, 1, lambda contribution: contribution)
        assert given == ["north", 12]
