"""What `secagg run` shows."""

from pathlib import Path

import pytest

from dp import LedgerLockedError
from dp.errors import FileLockedError
from fl.app.run.config import RunConfigError
from fl.app.run.errors import RunRefusedError
from fl.app.run.view import show_error, status_of_error
from fl.errors import PlanMismatchError
from fl.study import StudyError
from secagg import InvalidStateError
from tests.kit.run_scene import PLAIN, command, write


def test_only_the_last_rounds_are_shown(place: Path):
    status, output, _ = command(write(place, PLAIN, ("rounds = 3", "rounds = 14")))
    assert status == 0
    assert "2 more" in output
    assert [line.split()[0] for line in output.splitlines() if " released " in line and " of 4 " in line] == [
        str(number) for number in range(3, 15)
    ]


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (RunConfigError(Path("c.toml"), "plain.clip", "missing"), 2),
        (StudyError("initial_model", None, None, "it failed"), 2),
        (StudyError("contribute", 3, 1, "it failed"), 1),
        (RunRefusedError(Path("run"), "it holds something else"), 4),
        (PlanMismatchError("clip", "1", "2"), 4),
        (FileLockedError(Path("run"), "locked"), 4),
        (LedgerLockedError(Path("run"), "locked"), 4),
        (InvalidStateError("damaged"), 4),
        (OSError("no space left"), 1),
    ],
)
def test_every_error_has_its_exit_status(error: Exception, status: int):
    assert status_of_error(error) == status


def test_the_users_own_traceback_is_shown_and_none_of_ours(capsys: pytest.CaptureFixture[str]):
    error = StudyError("contribute", 3, 1, "ZeroDivisionError: division by zero")
    error.__cause__ = ZeroDivisionError("division by zero")
    show_error(error)
    said = capsys.readouterr().err
    assert said.startswith("ZeroDivisionError: division by zero\n")
    assert said.endswith(
        "secagg run: the study's contribute for client 3 in round 1: ZeroDivisionError: division by zero\n"
    )
    error.__cause__ = InvalidStateError("ours")
    show_error(error)
    assert "ours" not in capsys.readouterr().err
