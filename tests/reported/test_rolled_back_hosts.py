"""A host that is restored to yesterday: what is seen of it, by whom, and with which error."""

from pathlib import Path

import pytest

from dp.ledger import FileWitness, Ledger, LedgerRefusedError, RolledBackError, RoundCounter, RoundRefusedError
from fl.private import ClientRound
from secagg import InvalidStateError
from tests.kit.counter_scene import SCOPE, CounterScene
from tests.kit.ledger_scene import HEADER, a_round
from tests.kit.private_round_scene import VICTIM, Scene, both_models, planned


class Witnessing(CounterScene):
    """The counter has a witness where the restoration does not reach."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.outside = FileWitness.create(folder / "outside")
        self.counter = self.opened()

    def opened(self) -> RoundCounter:
        return RoundCounter(self.file, SCOPE, rounds=9, witness=self.outside)


@pytest.fixture
def scene(tmp_path: Path) -> Witnessing:
    return Witnessing(tmp_path)


def check_refused(scene: Witnessing, found: int, witnessed: int) -> None:
    """Opening it, looking at it and each use are refused, and change nothing."""
    before = scene.file.read_bytes() if scene.file.exists() else None
    lines = scene.ledger.lines_since(scene.ledger.start)
    for use in (
        scene.opened,
        lambda: scene.counter.last_round,
        lambda: scene.counter.head,
        lambda: scene.counter.accept(9, lines),
        lambda: scene.counter.witness(lines),
    ):
        with pytest.raises(RolledBackError) as raised:
            use()
        assert (raised.value.state, raised.value.found, raised.value.witnessed) == ("counter", found, witnessed)
    assert (scene.file.read_bytes() if scene.file.exists() else None) == before


def test_a_counter_of_yesterday_is_refused(scene: Witnessing):
    scene.whole_round(1)
    yesterday = scene.file.read_bytes()
    scene.whole_round(2)
    scene.file.write_bytes(yesterday)
    check_refused(scene, 3, 5)


def test_a_counter_of_before_its_last_answer_is_refused(scene: Witnessing):
    scene.counter.accept(1, scene.news())
    accepted = scene.file.read_bytes()
    scene.ledger.reserve(a_round(1))
    scene.counter.witness(scene.news())
    scene.file.write_bytes(accepted)
    check_refused(scene, 2, 3)


def test_a_counter_that_is_lost_is_refused(scene: Witnessing):
    scene.whole_round(1)
    scene.file.unlink()
    check_refused(scene, 0, 3)


def test_a_counter_that_was_not_taken_back_goes_on(scene: Witnessing):
    scene.whole_round(1)
    scene.counter = scene.opened()
    scene.whole_round(4)
    assert scene.outside.read() == 9


def test_a_witness_that_a_crash_left_behind_is_no_fault(scene: Witnessing, monkeypatch: pytest.MonkeyPatch):
    """The counter is first on the disk. Nobody was told that the round counts, and it is not taken twice."""
    monkeypatch.setattr(FileWitness, "advance", lambda *_: Path("/nowhere/at/all").stat())
    with pytest.raises(FileNotFoundError):
        scene.counter.accept(1, scene.news())
    monkeypatch.undo()
    with pytest.raises(RoundRefusedError) as raised:
        scene.opened().accept(1, scene.news())
    assert raised.value.rule == "round"
    scene.counter = scene.opened()
    scene.whole_round(2)


def test_the_witness_knows_before_the_round_counts(scene: Witnessing, monkeypatch: pytest.MonkeyPatch):
    """A witness that cannot be reached keeps the client out."""
    monkeypatch.setattr(FileWitness, "read", lambda _: Path("/nowhere/at/all").stat())
    with pytest.raises(FileNotFoundError):
        scene.counter.accept(1, scene.news())
    assert not scene.file.exists()


# --- Without a witness: what the server's ledger shows ---


def test_a_counter_of_yesterday_joins_no_round_that_the_ledger_has(tmp_path: Path):
    scene = CounterScene(tmp_path)
    scene.whole_round(1)
    yesterday = scene.file.read_bytes()
    scene.whole_round(2)
    scene.file.write_bytes(yesterday)
    with pytest.raises(RoundRefusedError) as raised:
        scene.counter.accept(2, scene.news())
    assert (raised.value.rule, raised.value.offered) == ("round", 2)
    scene.whole_round(3)


def rolled_back(scene: Scene, yesterday: dict[str, bytes]) -> None:
    for name, content in yesterday.items():
        (scene.folder / name).write_bytes(content)


@both_models
def test_a_client_of_yesterday_is_refused_by_its_witness_when_it_is_restored(tmp_path: Path, adversary):
    scene = Scene(tmp_path, planned(adversary=adversary))
    outside = FileWitness.create(tmp_path / "outside")
    scene.counters[VICTIM] = RoundCounter(
        tmp_path / f"counter-{VICTIM}", scene.plan.scope, scene.plan.rounds, witness=outside
    )
    scene.begin().until("unmask")
    snapshot, disk = scene.clients[VICTIM].to_bytes(), (tmp_path / f"counter-{VICTIM}").read_bytes()
    scene.finish()
    (tmp_path / f"counter-{VICTIM}").write_bytes(disk)

    def restored() -> ClientRound:
        return ClientRound.from_bytes(
            snapshot, scene.plan, VICTIM, scene.counters[VICTIM], identity=scene.identities.get(VICTIM)
        )

    with pytest.raises(RolledBackError):
        restored()
    with pytest.raises(RolledBackError):
        scene.begin(2).deliver(VICTIM)


@both_models
def test_a_snapshot_of_yesterday_is_refused_by_the_counter_of_today(tmp_path: Path, adversary):
    scene = Scene(tmp_path, planned(adversary=adversary)).begin().until("unmask")
    snapshot = scene.clients[VICTIM].to_bytes()
    scene.finish()
    scene.whole_round(2)
    with pytest.raises(InvalidStateError, match="the last one counted is 2"):
        ClientRound.from_bytes(
            snapshot, scene.plan, VICTIM, scene.counters[VICTIM], identity=scene.identities.get(VICTIM)
        )


@both_models
def test_a_ledger_of_yesterday_is_refused_by_every_client_of_the_lost_round(tmp_path: Path, adversary):
    scene = Scene(tmp_path, planned(adversary=adversary))
    yesterday = (tmp_path / "ledger").read_bytes()
    scene.whole_round(1)
    scene.ledger.close()
    (tmp_path / "ledger").write_bytes(yesterday)
    scene.ledger = type(scene.ledger).open(tmp_path / "ledger")
    scene.begin(2).until("masked_input")
    for client in scene.ids:
        with pytest.raises(RoundRefusedError) as raised:
            scene.deliver(client)
        assert raised.value.rule == "extension"


# ---------------------------------------------------------------------------------------------------- A server's ledger
def test_a_ledger_of_yesterday_is_refused_when_it_is_opened(tmp_path: Path):
    path, outside = tmp_path / "ledger", FileWitness.create(tmp_path / "outside")
    with Ledger.create(path, HEADER, witness=outside) as ledger:
        ledger.reserve(a_round(1))
    yesterday = path.read_bytes()
    with Ledger.open(path, witness=outside) as ledger:
        ledger.reserve(a_round(2))
    seen = outside.read()
    assert seen == len(path.read_bytes())
    path.write_bytes(yesterday)
    with pytest.raises(RolledBackError) as refused:
        Ledger.open(path, witness=outside)
    assert (refused.value.state, refused.value.found, refused.value.witnessed) == ("ledger", len(yesterday), seen)
    assert path.read_bytes() == yesterday
    # Without its witness nobody notices: clients and auditors that kept a later head do.
    Ledger.open(path).close()


def test_a_lost_ledger_is_not_begun_anew(tmp_path: Path):
    path, outside = tmp_path / "ledger", FileWitness.create(tmp_path / "outside")
    Ledger.create(path, HEADER, witness=outside).close()
    path.unlink()
    with pytest.raises(RolledBackError):
        Ledger.create(path, HEADER, witness=outside)
    assert not path.exists()


def test_a_record_whose_witness_fails_is_not_acknowledged(tmp_path: Path):
    class Failing:
        broken = False

        def read(self) -> int:
            return 0

        def advance(self, to: int) -> None:
            if self.broken:
                raise OSError("the other disk is away")

    outside = Failing()
    with Ledger.create(tmp_path / "ledger", HEADER, witness=outside) as ledger:
        outside.broken = True
        with pytest.raises(OSError, match="away"):
            ledger.reserve(a_round(1))
        outside.broken = False
        with pytest.raises(LedgerRefusedError, match="anew"):
            ledger.reserve(a_round(2))
    with Ledger.open(tmp_path / "ledger", witness=outside) as ledger:
        assert ledger.unsettled == (1,)
