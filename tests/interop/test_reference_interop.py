"""The package against tests/reference: the same inputs give the same bytes and the same sum, or both refuse."""

import hashlib

import pytest
from hypothesis import HealthCheck, event, given, note, settings
from hypothesis import strategies as st

from secagg import AdversaryModel, PolicyViolationError, SessionParams, Suite, TooFewClientsError
from tests.reference import reference as ref
from tests.vectors import drive

SIZES = st.integers(4, 7)


def rand(seed: bytes, use: str, length: int) -> bytes:
    return hashlib.shake_256(seed + use.encode()).digest(length)


@st.composite
def params(draw: st.DrawFn) -> SessionParams:
    n = draw(SIZES)
    # The lowest threshold leaves room for dropouts; any other one is as valid.
    lowest = (n - 1) // 2 + 1
    threshold = draw(st.sampled_from((lowest, lowest, draw(st.integers(lowest, n - 1)))))
    return SessionParams(
        cohort_size=n,
        threshold=threshold,
        vector_length=draw(st.integers(0, 6)),
        modulus_bits=draw(st.integers(1, 64)),
        adversary=draw(st.sampled_from(AdversaryModel)),
        suite=draw(st.sampled_from(Suite)),
        min_survivors=draw(st.sampled_from((0, 0, draw(st.integers(0, n))))),
        round_number=draw(st.one_of(st.integers(0, 5), st.integers(0, 2**64 - 1))),
        application=draw(st.binary(max_size=40)),
    )


def as_reference(p: SessionParams) -> ref.Params:
    return ref.Params(
        int(p.suite),
        int(p.adversary),
        p.cohort_size,
        p.threshold,
        p.min_survivors,
        p.vector_length,
        p.modulus_bits,
        p.round_number,
        p.application,
    )


@st.composite
def sessions(draw: st.DrawFn) -> tuple[SessionParams, bytes, dict[int, drive.ClientInput], dict[str, frozenset[int]]]:
    p = draw(params())
    seed = draw(st.binary(min_size=4, max_size=4))
    ids = draw(
        st.lists(
            st.one_of(st.integers(0, 9), st.integers(0, 2**64 - 1)),
            min_size=p.cohort_size,
            max_size=p.cohort_size,
            unique=True,
        )
    )
    top = 2**p.modulus_bits - 1
    entry = st.one_of(st.sampled_from((0, top)), st.integers(0, top))
    clients = {
        client: (
            rand(seed, f"identity {client}", 32),
            draw(st.lists(entry, min_size=p.vector_length, max_size=p.vector_length)),
            rand(seed, f"advertise {client}", 64),
            rand(seed, f"share {client}", 96 + 24 * 6),
        )
        for client in ids
    }
    # Mostly as many as the threshold allows, sometimes more: then both sides have to refuse.
    spare = p.cohort_size - p.min_survivors
    count = draw(st.sampled_from((spare, spare, 0, spare + 1)))
    dropouts: dict[str, frozenset[int]] = {}
    for client in draw(st.permutations(ids))[:count]:
        stage = draw(st.sampled_from(drive.STAGES))
        dropouts[stage] = dropouts.get(stage, frozenset()) | {client}
    return p, seed, clients, dropouts


@settings(max_examples=90, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])
@given(session=sessions(), data=st.data())
def test_package_and_reference_send_the_same_bytes_and_find_the_same_sum(session: tuple, data: st.DataObject):
    p, seed, clients, dropouts = session
    note(f"{p}, {sorted(clients)}, {dropouts}")
    # Some sessions have a record of a share table damaged on its way: it must be unopened for both.
    damaged = data.draw(st.one_of(st.none(), st.tuples(st.sampled_from(sorted(clients)), st.integers(0, 151))))
    event("sum" if compare(p, seed, clients, dropouts, damaged) else "refused")


@pytest.mark.parametrize("suite", list(Suite), ids=lambda suite: suite.name)
@pytest.mark.parametrize("adversary", list(AdversaryModel), ids=lambda model: model.name)
@pytest.mark.parametrize("stage", [*drive.STAGES, None])
@pytest.mark.parametrize("damaged", [None, (3, 40)], ids=["whole", "damaged"])
def test_every_kind_of_session_agrees(
    suite: Suite, adversary: AdversaryModel, stage: str | None, damaged: tuple[int, int] | None
):
    p = SessionParams(
        cohort_size=7, threshold=4, vector_length=3, modulus_bits=13, adversary=adversary, suite=suite, round_number=2
    )
    seed = f"{suite} {adversary} {stage} {damaged}".encode()
    clients = {
        client: (
            rand(seed, f"identity {client}", 32),
            [client, 8191 - client, 4096],
            rand(seed, f"advertise {client}", 64),
            rand(seed, f"share {client}", 96 + 24 * 6),
        )
        for client in range(1, 8)
    }
    dropouts = {} if stage is None else {stage: frozenset({5})}
    # A damaged record takes one holder away from its dealer, so that with a dropout as well the threshold still holds.
    assert compare(p, seed, clients, dropouts, damaged)


def test_too_many_dropouts_are_refused_by_both():
    p = SessionParams.for_cohort(cohort_size=4, vector_length=1, modulus_bits=8)
    clients = {
        client: (rand(b"4", f"i{client}", 32), [client], rand(b"4", f"a{client}", 64), rand(b"4", f"s{client}", 168))
        for client in range(4)
    }
    for stage in drive.STAGES:
        assert not compare(p, b"4", clients, {stage: frozenset({1})}, None)


def compare(
    p: SessionParams,
    seed: bytes,
    clients: dict[int, drive.ClientInput],
    dropouts: dict[str, frozenset[int]],
    damaged: tuple[int, int] | None,
) -> bool:
    """Runs both; they must agree in every byte. Returns whether there was a sum."""
    session_id, model_digest = rand(seed, "session", 16), rand(seed, "model", 32)

    def on_wire(key: drive.Key, message: bytes) -> bytes:
        if damaged is not None and key == ("share_keys", drive.UP, damaged[0]):
            # 23 bytes of header, 1 of array, 1 of type, and the 3 that stand before a table of this length.
            at = 28 + damaged[1]
            return message[:at] + bytes([message[at] ^ 0x40]) + message[at + 1 :]
        return message

    arguments = session_id, model_digest, clients, dropouts, on_wire
    try:
        ours = drive.run_session(p, *arguments)
    except (TooFewClientsError, PolicyViolationError):
        ours = None
    try:
        theirs = ref.run_session(as_reference(p), *arguments)
    except ref.Refused:
        theirs = None
    if theirs is None or ours is None:
        assert theirs is None
        assert ours is None
        return False
    assert set(ours.messages) == set(theirs.messages)
    for key, message in theirs.messages.items():
        assert ours.messages[key].hex() == message.hex(), key
    assert ours.survivors == theirs.survivors
    assert ours.aggregate == theirs.aggregate
    survivors = [clients[client][1] for client in theirs.survivors]
    assert ours.aggregate == [sum(column) % 2**p.modulus_bits for column in zip(*survivors, strict=True)]
    return True
