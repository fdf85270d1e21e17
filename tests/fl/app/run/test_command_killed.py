"""The command itself, killed and resumed."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from dp.ledger.audit import Verdict, audit
from tests.kit.crash_scene import TEXTS
from tests.kit.run_scene import write

REPOSITORY = Path(__file__).parents[4]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="runs need a system with flock"),
]


STUDY_THAT_DIES = """
import os, signal

class Study(Inner):
    def contribute(self, client, model, round_number):
        if os.environ.get("DIE") == f"contribute {round_number}" and client == 5:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().contribute(client, model, round_number)

    def evaluate(self, model):
        if os.environ.get("DIE") == "evaluate":
            os._exit(77)
        return super().evaluate(model)
"""


def test_the_command_itself_is_killed_and_resumed(place: Path):
    """Real processes: killed while a client trains, then while the model is evaluated."""
    study = (place / "a_study.py").read_text().replace("class Study:", "class Inner:")
    (place / "a_study.py").write_text(study + STUDY_THAT_DIES)
    config = write(place, TEXTS["private"])
    statuses = []
    for dies, options in (("contribute 2", []), ("evaluate", ["--resume"]), ("", ["--resume", "--json"])):
        script = "import sys; sys.argv[0] = 'secagg'; from fl.app.cli import main; main()"
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", script, "run", str(config), *options],
            env={**os.environ, "PYTHONPATH": str(REPOSITORY), "DIE": dies},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        statuses.append(done.returncode)
    assert statuses == [-signal.SIGKILL, 77, 0], done.stderr
    # Neither took a round: contributions come before a round begins, and the evaluation after it is in the checkpoint.
    assert '"outcomes": {"released": 2, "too few clients": 0, "no mean": 0, "lost": 0}' in done.stdout
    assert audit([place / "run" / "ledger.jsonl"]).verdict is Verdict.FINE
