"""A budget is counted once, whatever the host does: forks, threads, interruptions, and other people's hands."""

import multiprocessing
import os
import pickle
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

import dp
from dp.ledger.errors import LedgerLockedError, LedgerRefusedError
from tests.kit.interruptions import interrupted

EVENT = dp.Gaussian(4.0)
DELTA = Fraction(1, 10**5)


def spent_by(count: int) -> float:
    return dp.RdpAccountant().compose(EVENT, count).epsilon(float(DELTA)).value


def header(budget: float) -> dp.Header:
    return dp.Header(scope="x", unit=EVENT.unit, relation=EVENT.relation, delta=DELTA, budget=Fraction(budget))


def in_a_child(call: Callable[[], Any]) -> Any:
    """Returns what the call returns or raises in a forked child."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            found = call()
        except Exception as error:  # noqa: BLE001 - the parent looks at it
            found = error
        os.write(writing, pickle.dumps(found))
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        sent = pipe.read()
    os.waitpid(child, 0)
    return pickle.loads(sent)


def spent_of(path: Path) -> float:
    with dp.Ledger.open(path) as ledger:
        return ledger.spent


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_child_spends_nothing_and_reads_nothing(tmp_path: Path):
    path = tmp_path / "ledger"
    with dp.Ledger.create(path, header(100)) as ledger:
        head = ledger.spend(EVENT)
        before = path.read_bytes()
        for call in (
            lambda: ledger.spend(EVENT),
            lambda: ledger.record_past(EVENT),
            lambda: ledger.lines_since(ledger.start),
            lambda: ledger.spent,
            ledger.finish,
        ):
            refused = in_a_child(call)
            assert isinstance(refused, LedgerRefusedError), refused
            assert "another process" in refused.reason
        assert in_a_child(ledger.close) is None
        assert path.read_bytes() == before
        # The lock is still the parent's, and the parent goes on.
        with pytest.raises(LedgerLockedError):
            dp.Ledger.open(path)
        assert ledger.head == head
        ledger.spend(EVENT)
    assert spent_of(path) == pytest.approx(spent_by(2))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_lock_dies_with_its_owner_however_many_children_live(tmp_path: Path):
    path = tmp_path / "ledger"
    ledger = dp.Ledger.create(path, header(100))
    with multiprocessing.get_context("fork").Pool(2) as pool:
        ledger.close()
        with dp.Ledger.open(path) as again:
            again.spend(EVENT)
        pool.terminate()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_child_counts_no_round(tmp_path: Path):
    counter = dp.RoundCounter(tmp_path / "counter", "x", 3)
    with dp.Ledger.create(tmp_path / "ledger", header(1)) as ledger:
        lines = ledger.lines_since(ledger.start)
    assert isinstance(in_a_child(lambda: counter.accept(1, lines)), LedgerRefusedError)
    assert counter.last_round == 0
    counter.accept(1, lines)


def test_threads_of_one_ledger_never_spend_more_than_the_budget(tmp_path: Path):
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for number in range(3):
            path, gate, taken = tmp_path / f"ledger-{number}", threading.Barrier(4), []
            with dp.Ledger.create(path, header(spent_by(6) * 1.001)) as ledger:

                def work(gate: Any = gate, ledger: Any = ledger, taken: list[bytes] = taken) -> None:
                    gate.wait()
                    for _ in range(4):
                        try:
                            taken.append(ledger.spend(EVENT))
                        except dp.BudgetExceededError:
                            return

                threads = [threading.Thread(target=work) for _ in range(4)]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()
            assert len(taken) == len(set(taken)) == 6
            assert spent_of(path) == pytest.approx(spent_by(6))
    finally:
        sys.setswitchinterval(before)


def removed(path: Path) -> None:
    path.unlink()


def renamed(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))


def replaced(path: Path) -> None:
    copy = path.with_name("copy")
    copy.write_bytes(path.read_bytes())
    copy.replace(path)


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 5)


def grown(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"{}")


def rewritten(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-10] ^= 1
    with path.open("r+b") as file:
        file.write(content)


@pytest.mark.parametrize("change", [removed, renamed, replaced, cut, grown, rewritten], ids=lambda it: it.__name__)
def test_a_ledger_whose_file_was_touched_writes_no_more(tmp_path: Path, change: Callable[[Path], None]):
    path = tmp_path / "ledger"
    with dp.Ledger.create(path, header(100)) as ledger:
        head, spent = ledger.spend(EVENT), ledger.spent
        change(path)
        for _ in range(2):
            with pytest.raises(LedgerRefusedError):
                ledger.spend(EVENT)
        assert (ledger.head, ledger.spent) == (head, spent)


def test_a_ledger_interrupted_at_any_line_counts_a_release_once_or_not_at_all(tmp_path: Path):
    """Afterwards the ledger goes on, or is to be opened anew; what the file says is what counts."""
    counted = 0
    for line in range(1, 10**6, 2):
        path = tmp_path / f"ledger-{line}"
        with dp.Ledger.create(path, header(100)) as ledger:
            finished = not interrupted(lambda ledger=ledger: ledger.spend(EVENT), line)
            if not finished:
                with suppress(LedgerRefusedError):
                    ledger.spend(EVENT)
        with dp.Ledger.open(path) as again:
            times = sum(b'"kind":"central"' in line for line in path.read_bytes().splitlines())
            assert again.spent == pytest.approx(spent_by(times) if times else 0.0)
            assert 0 <= times <= 2
            counted += times
            again.spend(EVENT)
        if finished:
            break
    assert counted > 5
