"""What a crash left to be done: a round whose result is lost counts, and says what it cost."""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from fl.app.run.config import read_config
from fl.app.run.journal import Journal
from fl.app.run.opening import open_run
from fl.app.run.recovery import recovered
from tests.kit.run_scene import MODES, both_modes, run_until, write


@both_modes
def test_nothing_is_to_be_done_where_nothing_was_interrupted(finish: Callable[[str], Path], mode: str):
    with open_run(read_config(finish(MODES[mode])), resume=True) as run:
        assert recovered(run) is run.checkpoint


@both_modes
def test_a_round_that_was_begun_counts_and_is_lost(place: Path, mode: str):
    config = write(place, MODES[mode])
    run_until(1, config)
    Journal(place / "run" / "rounds.jsonl").begin(2)
    with open_run(read_config(config), resume=True) as run:
        found = recovered(run)
        assert (run.checkpoint.round_number, found.round_number) == (1, 2)
        assert (found.clip, found.model) == (run.checkpoint.clip, run.checkpoint.model)
        record = found.record
        assert record is not None
        assert (record.round, record.outcome, record.invited, record.survivors) == (2, "lost", 4, None)
        if mode == "plain":
            assert record.detail == "it was begun, and its result is lost"
            assert (record.epsilon, found.head) == (None, None)
        else:
            assert record.detail.endswith("; it was not reserved, and cost nothing")
            assert run.ledger is not None
            assert (record.epsilon, found.head) == (run.ledger.spent, run.ledger.head)


def test_a_round_that_was_reserved_counts_in_full(place: Path):
    config = write(place, MODES["private"])
    run_until(1, config)
    Journal(place / "run" / "rounds.jsonl").begin(2)
    with ExitStack() as stack:
        run = stack.enter_context(open_run(read_config(config), resume=True))
        assert run.privacy is not None
        run.privacy.ledger.reserve(
            run.privacy.plan.reserve(2, b"\1" * 16, clip=2.0, context=bytes(32), roster=bytes(32))
        )
    with open_run(read_config(config), resume=True) as run:
        record = recovered(run).record
    assert record is not None
    assert record.detail.endswith("; it was reserved, and counts in full")
    assert record.epsilon == pytest.approx(run.ledger.spent if run.ledger is not None else 0)
