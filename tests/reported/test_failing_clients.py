"""A client of a run that fails or hands in NaN drops out where the configuration says so, or stops the run."""

from pathlib import Path

import pytest

from fl.study import StudyError
from tests.kit.run_scene import PLAIN, PRIVATE, STUDY, place, run, write

__all__ = ["place"]

FAILS = {
    "an exception": "raise ZeroDivisionError('no data today')",
    "NaN": "return Contribution({'w': np.full(2, np.nan), 'n': np.array(1.0)})",
}


def failing(place: Path, how: str) -> None:
    body = STUDY.index("def contribute")
    line = STUDY.index("\n", body) + 1
    text = STUDY[:line] + f"        if client == 3 and round_number == 1:\n            {FAILS[how]}\n" + STUDY[line:]
    (place / "a_study.py").write_text(text)


@pytest.mark.parametrize("how", FAILS)
@pytest.mark.parametrize("base", [PLAIN, PRIVATE], ids=["plain", "private"])
def test_a_failing_client_is_a_dropout_by_declaration(place: Path, base: str, how: str):
    failing(place, how)
    config = write(place, base, ("[session]\n", '[session]\nfailing_client = "dropout"\n'))
    first = run(config).done[0].record
    assert first.outcome == "released"
    assert first.survivors == 3
    assert "client 3" in first.detail


@pytest.mark.parametrize("base", [PLAIN, PRIVATE], ids=["plain", "private"])
def test_elsewhere_it_stops_the_run_before_the_round_counts(place: Path, base: str):
    failing(place, "an exception")
    with pytest.raises(StudyError, match="client 3"):
        run(write(place, base))
