"""Whatever interrupts a counter, a private round or a run's files, at whatever line: it goes on as before, or refuses.

With `some_or_most_lines(1)` in place of larger numbers every line is met: some six minutes.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from dp.durable import FileLock, Turns
from dp.errors import FileRefusedError
from dp.ledger import NO_HEAD, Ledger, LedgerRefusedError, RoundCounter, RoundRefusedError
from fl.app.run.checkpoint import Checkpoint
from fl.app.run.folder import RunFolder, RunPaths, make_folder
from fl.app.run.journal import Journal, RoundRecord
from fl.private import ClientRound, PrivateSum, ServerRound
from fl.training.optimizers import FedAvg
from secagg import ClientId, InvalidStateError, RemoteError, StateSpentError
from tests.kit.interruptions import Interruption, interrupted
from tests.kit.ledger_scene import HEADER, a_round
from tests.kit.private_round_scene import (
    CURIOUS,
    MODEL,
    VICTIM,
    Scene,
    both_models,
    contribution_of,
    planned,
    public_keys,
)

# An exception at the line of a `with` leaves a file to the collector, which says so.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


def some_or_most_lines(most: int) -> pytest.MarkDecorator:
    """Quick runs raise at every 29th line, or more rarely; all others at every n-th."""
    return pytest.mark.parametrize(
        "step", [max(29, 2 * most + 1), pytest.param(most, marks=pytest.mark.slow)], ids=["some lines", "most lines"]
    )


def until_the_end(step: int, attempt: Callable[[int], bool]) -> int:
    """Tries one line after another, until a call is not interrupted any more; returns the last line."""
    for line in range(1, 10**6, step):
        if not attempt(line):
            return line
    raise AssertionError("without end")


# --- The client's counter ---


def test_a_lock_interrupted_at_any_line_is_free_again(tmp_path: Path):
    """Whoever is interrupted on the way holds nothing afterwards, and no descriptor of somebody else is closed."""

    def taken_and_given_back() -> None:
        FileLock(tmp_path / "lock", guarded=tmp_path, reason="still held").close()

    def attempt(line: int) -> bool:
        stopped = interrupted(taken_and_given_back, line)
        taken_and_given_back()
        return stopped

    assert until_the_end(1, attempt) > 10


@some_or_most_lines(5)
def test_a_counter_interrupted_at_any_line_counts_a_round_once_or_not_at_all(tmp_path: Path, step: int):
    counted = 0
    with Ledger.create(tmp_path / "ledger", HEADER) as ledger:
        header = ledger.lines_since(NO_HEAD)
        ledger.reserve(a_round(1))
        reserved = ledger.lines_since(header_head := RoundCounter(tmp_path / "c", HEADER.scope, 3).accept(1, header))

    def attempt(line: int, *, witnessed: bool) -> bool:
        nonlocal counted
        path = tmp_path / f"counter-{line}-{witnessed}"
        counter = RoundCounter(path, HEADER.scope, 3)
        if witnessed:
            counter.accept(1, header)

        def call(counter: RoundCounter = counter) -> object:
            return counter.witness(reserved) if witnessed else counter.accept(1, header)

        stopped = interrupted(call, line)
        counted_already = RoundCounter(path, HEADER.scope, 3)
        assert counted_already.last_round in ({1} if witnessed else {0, 1})
        before = path.read_bytes() if path.exists() else None
        # The same counter, or one made anew, goes on or refuses; once it refuses for the file, so do both.
        outcomes = []
        for again in (counter, counted_already):
            try:
                assert call(again) == (a_round(1) if witnessed else header_head) or witnessed
                outcomes.append("done")
            except RoundRefusedError as error:
                outcomes.append(error.rule)
            except LedgerRefusedError:
                # Its lock is still held, as no signal leaves it.
                outcomes.append("stuck")
        assert outcomes.count("done") <= 1
        assert outcomes[1] in {"done", "reserve" if witnessed else "round"}
        assert ("done" in outcomes) or before is not None
        after = RoundCounter(path, HEADER.scope, 3)
        assert after.last_round == 1
        counted += 1
        if not witnessed:
            assert after.witness(reserved).round == 1
        return stopped

    for witnessed in (False, True):
        assert until_the_end(step, lambda line, witnessed=witnessed: attempt(line, witnessed=witnessed)) > 60
    assert counted > 5


# --- The private round ---


def client_of(scene: Scene, snapshot: bytes) -> ClientRound:
    plan, identity = scene.plan, scene.identities.get(VICTIM)
    return ClientRound.from_bytes(
        snapshot, plan, VICTIM, scene.counter(VICTIM), identity=identity, identities=public_keys(plan)
    )


def answered(scene: Scene, client: ClientRound) -> bytes | None:
    contribution = contribution_of(scene.plan, VICTIM) if client.wants_input else None
    return client.receive(scene.outbound[VICTIM], contribution)


@some_or_most_lines(31)
@both_models
def test_a_client_interrupted_at_any_line_of_a_round_answers_or_refuses_and_blames_nobody(
    tmp_path: Path, adversary, step: int
):
    scene = Scene(tmp_path, planned(adversary=adversary)).begin()
    counter_file = tmp_path / f"counter-{VICTIM}"

    def attempt(line: int) -> bool:
        nonlocal counter_before
        counter_file.unlink(missing_ok=True)
        if counter_before is not None:
            counter_file.write_bytes(counter_before)
        scene.counters[VICTIM] = scene.counter(VICTIM)
        client = scene.client(VICTIM) if snapshot is None else client_of(scene, snapshot)
        stopped = interrupted(lambda: answered(scene, client), line)
        was_over = client.over
        try:
            again = answered(scene, client)
        except (StateSpentError, RoundRefusedError, LedgerRefusedError):
            # Its secrets were used, its round was counted, or the counter's lock is still held, as no signal leaves it:
            # a refusal of this client, and no word about the server.
            assert not client.wants_input
        except RemoteError as error:
            raise AssertionError(f"line {line}: the server is blamed: {error}") from error
        else:
            assert not was_over or again is not None
            assert again is None or expected is None or len(again) == pytest.approx(len(expected), abs=3)
        return stopped

    while True:
        counter_before = counter_file.read_bytes() if counter_file.exists() else None
        snapshot = None if scene.clients[VICTIM]._session is None else scene.clients[VICTIM].to_bytes()
        expected = scene.deliver(VICTIM)
        counter_after = counter_file.read_bytes() if counter_file.exists() else None
        assert until_the_end(step, attempt) > 60
        counter_file.unlink(missing_ok=True)
        if counter_after is not None:
            counter_file.write_bytes(counter_after)
        scene.counters[VICTIM] = scene.counter(VICTIM)
        scene.server.receive(VICTIM, expected)
        for client in scene.ids:
            if client != VICTIM:
                scene.server.receive(client, scene.deliver(client))
        if scene.close() is not None:
            break


@both_models
def test_a_call_interrupted_when_all_was_done_is_repeated_as_it_was(
    tmp_path: Path, adversary, monkeypatch: pytest.MonkeyPatch
):
    """The session took the message, and the host did not hear of it: the same call gives the same reply, no blame."""
    scene = Scene(tmp_path, planned(adversary=adversary)).begin()
    while True:
        client, data = scene.clients[VICTIM], scene.outbound[VICTIM]
        contribution = contribution_of(scene.plan, VICTIM) if client.wants_input else None
        with monkeypatch.context() as patch:
            for step in ("_begin", "_go_on"):
                patch.setattr(ClientRound, step, done_and_interrupted(getattr(ClientRound, step)))
            with pytest.raises(Interruption):
                client.receive(data, contribution)
        reply = client.receive(data, contribution)
        # A masked input is not kept, and its loss is a dropout like any other.
        assert (reply is None) == (contribution is not None)
        assert reply == client.receive(data)
        if reply is None:
            break
        scene.server.receive(VICTIM, reply)
        for other in scene.ids:
            if other != VICTIM:
                scene.server.receive(other, scene.deliver(other))
        scene.close()
    assert not client.over


def done_and_interrupted(method: Callable[..., object]) -> Callable[..., object]:
    def interrupted_after(*given: object, **named: object) -> object:
        method(*given, **named)
        raise Interruption

    return interrupted_after


def stages_of_a_round(scene: Scene, *, before: Callable[[bytes, Mapping[ClientId, bytes]], None]) -> None:
    """Runs a round; shows the server's snapshot and the clients' answers before each stage is closed."""
    while True:
        snapshot = scene.server.to_bytes()
        replies = {}
        for client in scene.ids:
            reply = scene.deliver(client)
            assert reply is not None
            replies[client] = reply
        before(snapshot, replies)
        for client, reply in replies.items():
            scene.server.receive(client, reply)
        if scene.close() is not None:
            return


@some_or_most_lines(23)
@both_models
def test_a_servers_stage_interrupted_at_any_line_is_closed_once_or_the_round_is_over(
    tmp_path: Path, adversary, step: int
):
    """Nobody is asked to unmask without a reserve on the disk, and no sum comes out that is not settled."""
    scene = Scene(tmp_path, planned(adversary=adversary)).begin()
    file = tmp_path / "ledger"

    def before(snapshot: bytes, replies: Mapping[ClientId, bytes]) -> None:
        scene.ledger.close()
        content = file.read_bytes()

        def attempt(line: int) -> bool:
            file.write_bytes(content)
            with Ledger.open(file) as ledger:
                server = ServerRound.from_bytes(snapshot, scene.plan, ledger)
                stage, earlier = server.stage, server.outbound
                for client, reply in replies.items():
                    server.receive(client, reply)
                stopped = interrupted(server.close_stage, line)
                closed = None
                if server.stage == stage:
                    try:
                        closed = server.close_stage()
                    except StateSpentError:
                        with pytest.raises(StateSpentError):
                            server.receive(VICTIM, replies[VICTIM])
                        with pytest.raises(StateSpentError):
                            server.to_bytes()
                asked_to_unmask = server.stage == "unmask" != stage and server.outbound != earlier
            with Ledger.open(file) as ledger:
                reserved = b'"kind":"reserve"' in file.read_bytes()
                assert reserved or not asked_to_unmask
                if isinstance(closed, PrivateSum):
                    assert ledger.unsettled == ()
                if not reserved:
                    assert ledger.spent == 0
                assert file.read_bytes().count(b'"kind":"reserve"') <= 1
                assert file.read_bytes().count(b'"kind":"settle"') <= 1
            return stopped

        assert until_the_end(step, attempt) > 60
        file.write_bytes(content)
        scene.ledger = Ledger.open(file)
        scene.server = ServerRound.from_bytes(snapshot, scene.plan, scene.ledger)

    stages_of_a_round(scene, before=before)


@some_or_most_lines(11)
def test_a_snapshot_interrupted_at_any_line_is_taken_again_and_read_again(tmp_path: Path, step: int):
    scene = Scene(tmp_path, planned(adversary=CURIOUS)).begin().until("masked_input")
    client, server = scene.clients[VICTIM], scene.server
    saved, kept = client.to_bytes(), server.to_bytes()

    def read_by_a_server() -> ServerRound:
        # An exception at the end of a `with`, where no signal comes, leaves the turns of ledger and file taken.
        scene.ledger._turns, scene.ledger._file._turns = Turns("ledger"), Turns("ledger")
        return ServerRound.from_bytes(kept, scene.plan, scene.ledger)

    for call in (
        client.to_bytes,
        server.to_bytes,
        lambda: client_of(scene, saved),
        read_by_a_server,
    ):
        assert until_the_end(step, lambda line, call=call: interrupted(call, line)) > 10
    assert (client.to_bytes(), server.to_bytes()) == (saved, kept)
    assert client_of(scene, saved).to_bytes() == saved
    assert scene.finish().survivors == scene.plan.clients


# --- A run's files ---


@some_or_most_lines(5)
def test_a_journal_interrupted_at_any_line_says_each_round_once(tmp_path: Path, step: int):
    record = RoundRecord(round=1, outcome="released", invited=4, survivors=3, clip=1.25)
    calls: dict[str, Callable[[Journal], object]] = {
        "begin": lambda journal: journal.begin(1),
        "finish": lambda journal: journal.finish(record, {}),
    }

    def attempt(line: int, name: str) -> bool:
        path = tmp_path / f"{name}-{line}"
        Journal.create(path, bytes(16), plan_digest=bytes(32), clients=(1, 2))
        journal = Journal(path)
        if name == "finish":
            journal.begin(1)
        stopped = interrupted(lambda: calls[name](journal), line)
        Journal(path)
        for again in (journal, Journal(path)):
            # Whatever refuses: the line is there already, or the lock is still held, as no signal leaves it.
            with suppress(InvalidStateError, FileRefusedError):
                calls[name](again)
        read = Journal(path)
        assert (read.begun, read.finished) == (1, int(name == "finish"))
        return stopped

    for name in calls:
        assert until_the_end(step, lambda line, name=name: attempt(line, name)) > 20


def a_checkpoint(value: float) -> Checkpoint:
    model = {"w": np.full(3, value)}
    return Checkpoint(
        run=bytes(16),
        plan_digest=bytes(32),
        round_number=0,
        clip=1.0,
        head=None,
        model=model,
        optimizer=FedAvg().start(model),
        record=None,
    )


@some_or_most_lines(5)
def test_a_checkpoint_interrupted_at_any_line_is_the_old_one_or_the_new_one(tmp_path: Path, step: int):
    old, new = a_checkpoint(1.0), a_checkpoint(2.0)
    path = tmp_path / "checkpoint"

    def attempt(line: int) -> bool:
        old.save(path)
        stopped = interrupted(lambda: new.save(path), line)
        assert Checkpoint.load(path).to_bytes() in {old.to_bytes(), new.to_bytes()}
        return stopped

    assert until_the_end(step, attempt) > 60
    assert Checkpoint.load(path).to_bytes() == new.to_bytes()


@some_or_most_lines(13)
def test_a_runs_folder_interrupted_at_any_line_is_there_as_a_whole_or_not_at_all(tmp_path: Path, step: int):
    plan = planned(adversary=CURIOUS)

    def attempt(line: int) -> bool:
        path = tmp_path / f"run-{line}"

        def make() -> None:
            make_folder(path, plan=plan, key=None, clients=[1, 2], model=MODEL, optimizer=FedAvg().start(MODEL))

        stopped = interrupted(make, line)
        if not path.exists():
            make()
        paths = RunPaths(path)
        assert Checkpoint.load(paths.checkpoint).round_number == 0
        assert Journal(paths.journal).begun == 0
        with RunFolder(path) as folder, Ledger.open(folder.ledger) as ledger:
            assert ledger.spent == 0
            assert len(folder.read_counters([1, 2], plan.scope, plan.rounds)) == 2
        return stopped

    assert until_the_end(step, attempt) > 60


def test_a_folder_in_use_that_is_interrupted_at_any_line_is_free_again(tmp_path: Path):
    def used() -> None:
        with RunFolder(tmp_path):
            pass

    def attempt(line: int) -> bool:
        stopped = interrupted(used, line)
        used()
        return stopped

    assert until_the_end(1, attempt) > 10
