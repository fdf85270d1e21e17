"""fl.study: what a user implements, and the error that names client and round."""

import pickle

from fl.study import EvaluatedStudy, Study, StudyError


def test_the_error_survives_pickling():
    error = pickle.loads(pickle.dumps(StudyError("contribute", 1, 2, "p")))
    assert (error.call, error.client, error.round_number, error.problem) == ("contribute", 1, 2, "p")


class Three:
    def clients(self) -> list[int]:
        return [1]

    def initial_model(self) -> list[object]:
        return []

    def contribute(self, client: int, model: object, round_number: int) -> None: ...


class Four(Three):
    def evaluate(self, model: object) -> dict[str, float]:
        return {}


def test_three_methods_make_a_study_and_a_fourth_one_evaluates():
    assert isinstance(Three(), Study)
    assert not isinstance(Three(), EvaluatedStudy)
    assert isinstance(Four(), EvaluatedStudy)
    assert not isinstance(object(), Study)


def test_the_error_says_whose_call_failed_and_when():
    assert (
        str(StudyError("contribute", 7, 3, "it failed")) == "the study's contribute for client 7 in round 3: it failed"
    )
    assert str(StudyError("clients", None, None, "it failed")) == "the study's clients: it failed"
