"""What a client hands in is refused before its round begins: the client is named, and no round is lost."""

from pathlib import Path

import pytest

from fl.study import StudyError
from tests.kit.run_scene import MODES, PRIVATE, change_study, command, run, write

FAILING = {
    "an exception": ("1 / 0", "ZeroDivisionError: division by zero"),
    "NaN": ('return Contribution({"w": np.array([np.nan, 1]), "n": np.array(1.0)})', "array 'w': it holds NaN"),
    "another shape": (
        'return Contribution({"w": np.zeros(3), "n": np.array(1.0)})',
        "shape of array 'w': offered (3,)",
    ),
    "another dtype": (
        'return Contribution({"w": np.zeros(2, np.float32), "n": np.array(1.0)})',
        "dtype of array 'w': offered float32, expected float64",
    ),
    "another array": ('return Contribution({"w": np.zeros(2)})', "missing ['n']"),
    "no contribution": ("return None", "it returned a NoneType, not a Contribution"),
    "no update": ("return Contribution()", "update: none is given"),
    "examples": ("return Contribution(examples=[])", "update: none is given, or examples are"),
    "a negative weight": ('return Contribution({"w": np.zeros(2), "n": np.array(1.0)}, -1)', "weight: no int in the"),
    "a weight above the cap": (
        'return Contribution({"w": np.zeros(2), "n": np.array(1.0)}, 2)',
        "weight: no int in the",
    ),
    "a fractional weight": ('return Contribution({"w": np.zeros(2), "n": np.array(1.0)}, 0.5)', "weight: no int"),
    "a side value": ('return Contribution({"w": np.zeros(2), "n": np.array(1.0)}, 1, {"a": 1})', "side_values: "),
}


@pytest.mark.parametrize(
    ("mode", "failure"),
    [
        *(("plain", failure) for failure in FAILING),
        *(
            ("private", failure)
            for failure in ("NaN", "another shape", "no update", "a fractional weight", "a side value")
        ),
    ],
)
def test_a_failing_client_is_named_and_costs_nothing(place: Path, mode: str, failure: str):
    code, says = FAILING[failure]
    config = write(place, MODES[mode], ("rounds = 3", "rounds = 2"))
    change_study(
        place,
        ("        # On the grid", f"        if client == 5 and round_number == 2:\n            {code}\n        # On"),
    )
    status, _, errors = command(config)
    assert status == 1
    text = " ".join(errors.split())
    assert "secagg run: the study's contribute for client 5 in round 2: " in text
    assert says in text
    # The traceback of the user's own code is there, and none of ours.
    assert ("a_study.py" in text) is (failure == "an exception")
    change_study(place)
    report = run(config, resume=True)
    assert report.outcomes == {"released": 2, "too few clients": 0, "no mean": 0, "lost": 0}


EXAMPLES_WRONG = {
    "an update": ('return Contribution({"w": np.zeros(2), "n": np.array(1.0)})', "examples: none are given, or an up"),
    "a weight": ("return Contribution(examples=[], weight=2)", "weight: given with examples"),
    "too many": ("return Contribution(examples=np.zeros((3, 3)))", "examples: there are too many"),
    "another dtype": ("return Contribution(examples=np.zeros((2, 3), int))", "examples: int64 (2, 3)"),
    "another shape": ("return Contribution(examples=np.zeros((2, 4)))", "examples: float64 (2, 4)"),
    "NaN": ("return Contribution(examples=np.full((2, 3), np.inf))", "examples: NaN or infinity"),
    "other arrays": ('return Contribution(examples=[{"w": np.zeros(2)}])', "missing ['n']"),
    "no sequence": ("return Contribution(examples=5)", "TypeError"),
}


@pytest.mark.parametrize("failure", list(EXAMPLES_WRONG))
def test_wrong_examples_are_refused_with_their_client(place: Path, failure: str):
    code, says = EXAMPLES_WRONG[failure]
    change_study(place, ("        # On the grid", f"        {code}\n        # On the grid"))
    extra = '\nunit = "example"\nexamples_per_client = 2\ndenominator = 4'
    with pytest.raises(StudyError, match="for client 3 in round 1") as caught:
        run(write(place, PRIVATE, ("clip = 2.0", "clip = 2.0" + extra)))
    assert says in caught.value.problem


def test_a_side_value_out_of_its_range_is_named(place: Path):
    config = write(place, PRIVATE, ("clip = 2.0", 'clip = 2.0\nside_values = [{name = "loss", low = 0, high = 5}]'))
    for value, says in (
        ("6", "side value loss: out of its declared range"),
        ("np.nan", "out of its"),
        ("'a'", "a str"),
    ):
        change_study(place, ('"n": np.array(1.0)})', f'"n": np.array(1.0)}}, 1, {{"loss": {value}}})'))
        status, _, errors = command(config, *(["--resume"] if (place / "run").exists() else []))
        assert status == 1
        assert says in " ".join(errors.split())
