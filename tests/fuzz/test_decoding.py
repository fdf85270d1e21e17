"""Any bytes at any time: whatever a peer sends is a message, or is refused by name, and harms nobody else."""

import itertools
import tracemalloc
from collections.abc import Callable
from functools import cache, partial
from unittest import mock

import msgspec
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from secagg import (
    SERVER,
    AdversaryModel,
    ClientSession,
    MalformedMessageError,
    RemoteError,
    ServerSession,
    SessionParams,
    StateSpentError,
    StrayMessageError,
    Suite,
)
from secagg.protocol.messages import HEADER_BYTES, Message
from secagg.protocol.wire import decode, decode_invitation
from tests.kit.sessions import IDS, Live, make_params, stages_of

KINDS = range(1, 12)
CLIENT = IDS[0]
FUZZ = settings(deadline=None, max_examples=300)


# Two of eight clients may leave at any time where six are neighbours and t = 4, and of six where t = 3.
GRAPHS = {"complete": {"n": 6}, "sparse": {"n": 8, "neighbours": 6}}
LEAVING = {"share_keys": IDS[5], "masked_input": IDS[3]}


class Recording:
    """A session that went well: every message of it, and both sides as they stood before each round."""

    def __init__(self, adversary: AdversaryModel, suite: Suite, graph: str) -> None:
        counter = itertools.count()
        # Every run of the tests sees the same bytes, so that a failing example can be repeated.
        drawn = mock.patch("secrets.token_bytes", lambda size: Live.rand(f"token {next(counter)}", size))
        with drawn:
            self.live = Live(make_params(adversary, suite=suite, vector_length=5, **GRAPHS[graph]))
            self.stages: list[str] = []
            self.down: dict[str, dict[int, bytes]] = {}
            self.up: dict[str, dict[int, bytes]] = {}
            self.clients: dict[str, bytes] = {}
            self.servers: dict[str, bytes] = {}
            while self.live.result is None:
                self.record()
        self.live.check(self.live.result)
        assert tuple(self.stages) == stages_of(adversary)
        self.params, self.session_id = self.live.params, self.live.rand("session", 16)
        self.sent = [message for sent in (*self.down.values(), *self.up.values()) for message in sent.values()]
        self.sent.append(self.live.server.abort_message())

    def record(self) -> None:
        live, stage = self.live, self.live.server.stage
        self.stages.append(stage)
        self.down[stage] = {client: bytes(message) for client, message in live.outbound.items()}
        self.servers[stage] = live.server.to_bytes()
        self.clients[stage] = live.clients[CLIENT].to_bytes()
        self.up[stage] = {}
        for client, message in live.outbound.items():
            if client != LEAVING.get(stage):
                self.up[stage][client] = live.answer(client, message)
                live.server.receive(client, self.up[stage][client])
        live.close()

    def client(self, stage: str) -> ClientSession:
        return ClientSession.from_bytes(self.clients[stage], identity=self.live.identities.get(CLIENT))

    def server(self, stage: str) -> ServerSession:
        return ServerSession.from_bytes(self.servers[stage])


@cache
def recording(adversary: AdversaryModel, suite: Suite, graph: str = "complete") -> Recording:
    return Recording(adversary, suite, graph)


Kind = tuple[AdversaryModel, Suite, str]
RECORDINGS: list[Kind] = list(itertools.product(AdversaryModel, Suite, GRAPHS))
POINTS = [(kind, stage) for kind in RECORDINGS for stage in stages_of(kind[0])]


# -------------------------------------------------------------------------------------------------- What is fed
def positions(data: bytes) -> list[int]:
    """Returns where the header and the lengths before the fields stand, which is where changes hurt."""
    found = list(range(min(len(data), HEADER_BYTES + 8)))
    at = HEADER_BYTES + 2
    while at < len(data):
        width = {0xC4: 1, 0xC5: 2, 0xC6: 4}.get(data[at], 0)
        found.extend(range(at, min(at + 1 + width, len(data))))
        at += 1 + width + int.from_bytes(data[at + 1 : at + 1 + width], "big")
    return found


@st.composite
def mutated(draw: st.DrawFn, corpus: list[bytes]) -> bytes:
    data = draw(st.sampled_from(corpus))
    for _ in range(draw(st.integers(1, 3))):
        if not data:
            break
        at = draw(st.one_of(st.sampled_from(positions(data)), st.integers(0, len(data) - 1)))
        change = draw(st.sampled_from(("flip", "set", "cut", "extend", "drop", "repeat", "splice", "kind", "length")))
        if change == "flip":
            data = data[:at] + bytes([data[at] ^ 1 << draw(st.integers(0, 7))]) + data[at + 1 :]
        elif change == "set":
            data = data[:at] + draw(st.binary(min_size=1, max_size=4)) + data[at + 1 :]
        elif change == "cut":
            data = data[:at]
        elif change == "extend":
            data += draw(st.one_of(st.binary(min_size=1, max_size=40), st.just(bytes(5000))))
        elif change == "drop":
            data = data[:at] + data[at + draw(st.integers(1, 200)) :]
        elif change == "repeat":
            size = draw(st.integers(1, 200))
            data = data[:at] + data[at : at + size] * 2 + data[at + size :]
        elif change == "splice":
            other = draw(st.sampled_from(corpus))
            tail = draw(st.one_of(st.just(at), st.just(HEADER_BYTES), st.integers(0, len(other))))
            data = data[:at] + other[tail:]
        elif change == "kind":
            data = data[:6] + bytes([draw(st.integers(0, 13))]) + data[7:]
        else:
            declared = draw(st.sampled_from((0, 1, 31, 33, 0xFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF)))
            data = data[:at] + b"\xc6" + declared.to_bytes(4, "big") + data[at + 1 :]
    return data


LEAVES = st.one_of(
    st.integers(-(2**63), 2**64 - 1), st.binary(max_size=70), st.text(max_size=5), st.none(), st.booleans(), st.floats()
)
TREES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.integers(0, 9), inner, max_size=3)),
    max_leaves=8,
)


@st.composite
def bodies(draw: st.DrawFn, kind: int) -> bytes:
    """Draws what may stand behind a header: noise, MessagePack of any shape, or the right shape with other sizes."""
    shape = draw(st.sampled_from(("noise", "any", "fields", "fields", "fields")))
    if shape == "noise":
        return draw(st.binary(max_size=300))
    if shape == "any":
        return msgspec.msgpack.encode(draw(TREES))
    sizes = st.sampled_from((0, 1, 2, 16, 32, 33, 64, 76, 140, 40, 120, 152, 304, 456))
    field = st.one_of(sizes.map(bytes), sizes.map(lambda size: b"\xff" * size), st.integers(0, 5), LEAVES)
    tag = draw(st.sampled_from((kind, kind, kind, kind, kind + 1, 0, "1", None)))
    return msgspec.msgpack.encode([tag, *draw(st.lists(field, max_size=4))])


def with_header(record: Recording, kind: int, body: bytes) -> bytes:
    return record.live.server.invitation[:6] + bytes([kind]) + record.session_id + body


@st.composite
def reworked(draw: st.DrawFn, data: bytes) -> bytes:
    """Draws a message as well-formed as a genuine one, with another length or content in one or two of its fields."""
    fields = msgspec.msgpack.decode(data[HEADER_BYTES:])
    for _ in range(draw(st.integers(1, 2))):
        place = draw(st.integers(1, len(fields) - 1))
        value = fields[place]
        if not isinstance(value, bytes):
            fields[place] = draw(st.one_of(st.integers(0, 6), st.sampled_from((2**32 - 1, 2**32, 2**64 - 1, -1))))
            continue
        change = draw(st.sampled_from(("flip", "flip", "shorter", "longer", "record less", "record more", "other")))
        if change == "flip" and value:
            at = draw(st.one_of(st.just(0), st.integers(0, len(value) - 1)))
            fields[place] = value[:at] + bytes([value[at] ^ 1 << draw(st.integers(0, 7))]) + value[at + 1 :]
        elif change == "shorter":
            fields[place] = value[: len(value) - draw(st.sampled_from((1, 1, 8, len(value))))]
        elif change == "longer":
            fields[place] = value + bytes(draw(st.sampled_from((1, 1, 8, 1000))))
        elif change == "record less":
            fields[place] = value[draw(st.sampled_from((40, 64, 76, 140, 152))) :]
        elif change == "record more":
            fields[place] = value + value[: draw(st.sampled_from((40, 64, 76, 140, 152)))]
        else:
            fields[place] = draw(st.binary(max_size=80))
    return data[:HEADER_BYTES] + msgspec.msgpack.encode(fields)


@st.composite
def fed(draw: st.DrawFn, record: Recording, awaited: bytes) -> bytes:
    """Draws anything that a session might be fed: mostly what is close to the message that it awaits."""
    how = draw(st.sampled_from(("reworked", "reworked", "reworked", "mutated", "mutated", "genuine", "body", "noise")))
    if how == "reworked":
        return draw(reworked(draw(st.sampled_from((awaited, awaited, awaited, *record.sent)))))
    if how == "mutated":
        return draw(mutated([awaited] * len(record.sent) + record.sent))
    if how == "genuine":
        return draw(st.sampled_from(record.sent))
    if how == "body":
        kind = draw(st.sampled_from(KINDS))
        return with_header(record, kind, draw(bodies(kind)))
    return draw(st.binary(max_size=200))


# ----------------------------------------------------------------------------------------------------- Decoding
def refusal(call: Callable[[], object]) -> tuple[object, RemoteError | StrayMessageError | None]:
    """Returns what a call gives, or the refusal that ends it; any other exception is what these tests look for."""
    try:
        return call(), None
    except (RemoteError, StrayMessageError) as error:
        return None, error


def decodes(data: bytes, record: "Recording") -> Message | None:
    """Decodes, or refuses with the one error that is allowed."""
    message, error = refusal(lambda: decode(data, 77, record.params, session_id=record.session_id))
    if isinstance(error, StrayMessageError):
        assert data[:5] == b"SAGG\x02"
        assert data[7:23] != record.session_id
        assert error.sender == 77
        return None
    if error is not None:
        assert type(error) is MalformedMessageError
        assert error.culprit == 77
        assert data[:5] != b"SAGG\x02" or len(data) < HEADER_BYTES or data[7:23] == record.session_id
        return None
    assert isinstance(message, Message)
    assert message.kind == data[6]
    for size in (1, 6, 8):
        _, error = refusal(partial(message.require_lengths, 77, record.params, size))
        assert error is None or type(error) is MalformedMessageError
    return message


def invites(data: bytes) -> bool:
    found, error = refusal(lambda: decode_invitation(data))
    if error is not None:
        assert type(error) is MalformedMessageError
        assert error.culprit is SERVER
        return False
    params, session_id = found
    assert isinstance(params, SessionParams)
    assert session_id == data[7:23]
    return True


@FUZZ
@given(st.binary(max_size=400))
def test_random_bytes_are_no_message(data: bytes):
    record = recording(AdversaryModel.ACTIVE, Suite.CHACHA20)
    for bytes_ in (data, b"SAGG" + data, b"SAGG\x02\x02" + data):
        decodes(bytes_, record)
        invites(bytes_)


@pytest.mark.parametrize("kind", KINDS)
@settings(FUZZ, max_examples=100)
@given(data=st.data())
def test_random_bodies_behind_a_valid_header_decode_or_are_malformed(kind: int, data: st.DataObject):
    record = recording(*data.draw(st.sampled_from(RECORDINGS)))
    message = with_header(record, kind, data.draw(bodies(kind)))
    event("decoded" if decodes(message, record) else "malformed")
    invites(message)


@pytest.mark.slow
@settings(FUZZ, max_examples=1000)
@given(data=st.data())
def test_mutations_decode_or_are_malformed(data: st.DataObject):
    record = recording(*data.draw(st.sampled_from(RECORDINGS)))
    message = data.draw(st.one_of(mutated(record.sent), st.sampled_from(record.sent).flatmap(reworked)))
    event("decoded" if decodes(message, record) else "malformed")
    invites(message)


@pytest.mark.parametrize("which", RECORDINGS)
def test_every_type_is_in_the_corpus_and_decodes(which: Kind):
    record = recording(*which)
    kinds = {decodes(data, record).kind for data in record.sent}
    assert kinds == set(KINDS) - (set() if record.params.active else {8, 9})


@pytest.mark.parametrize("which", RECORDINGS)
def test_every_truncation_and_extension_is_malformed(which: Kind):
    record = recording(*which)
    for message in {data[6]: data for data in record.sent}.values():
        for size in range(len(message)):
            assert decodes(message[:size], record) is None
        for tail in (b"\x00", b"\xc0", message[HEADER_BYTES:], message):
            assert decodes(message + tail, record) is None


@pytest.mark.parametrize("which", RECORDINGS)
def test_every_flipped_bit_of_a_header_is_malformed_or_stray(which: Kind):
    record = recording(*which)
    for message in {data[6]: data for data in record.sent}.values():
        for bit in range(8 * HEADER_BYTES):
            flipped = bytearray(message)
            flipped[bit // 8] ^= 1 << bit % 8
            # With another type the body disagrees.
            assert decodes(bytes(flipped), record) is None


@pytest.mark.parametrize("total", [-1, 2**32, 2**63, 2**64 - 1])
@pytest.mark.parametrize("stage", ["share_keys", "consistency"])
@pytest.mark.parametrize("graph", GRAPHS)
def test_a_total_that_is_no_u32_is_malformed(total: int, stage: str, graph: str):
    record = recording(AdversaryModel.ACTIVE, Suite.CHACHA20, graph)
    session, genuine = record.client(stage), record.down[stage][CLIENT]
    fields = msgspec.msgpack.decode(genuine[HEADER_BYTES:])
    with pytest.raises(MalformedMessageError, match="u32"):
        session.receive(genuine[:HEADER_BYTES] + msgspec.msgpack.encode([*fields[:2], total]))
    assert len(session.receive(genuine)) == len(record.up[stage][CLIENT])


@pytest.mark.parametrize("which", RECORDINGS)
@pytest.mark.parametrize("total", [None, b"\x08", 8.0, "8", [8], True])
def test_a_roster_without_its_total_is_malformed(which: Kind, total: object):
    record = recording(*which)
    session, genuine = record.client("share_keys"), record.down["share_keys"][CLIENT]
    kind, entries, genuine_total = msgspec.msgpack.decode(genuine[HEADER_BYTES:])
    assert genuine_total == len(record.live.clients)
    for fields in ([kind, entries], [kind, entries, total], [kind, genuine_total, entries], [kind, entries, 8, 8]):
        with pytest.raises(MalformedMessageError):
            session.receive(genuine[:HEADER_BYTES] + msgspec.msgpack.encode(fields))
    assert not session.over


@pytest.mark.parametrize("which", RECORDINGS)
@pytest.mark.parametrize(("stage", "place"), [("masked_input", 1), ("survivors", 1), ("unopened", 2)])
def test_a_bitmap_is_over_what_a_client_sees_and_over_no_more(which: Kind, stage: str, place: int):
    record = recording(*which)
    curious = which[0] is AdversaryModel.HONEST_BUT_CURIOUS
    seen = 7 if curious and which[2] == "sparse" else len(record.live.clients)
    if stage == "survivors":
        stage = "unmask" if curious else "consistency"
    if stage == "unopened":
        server, genuine = record.server("masked_input"), record.up["masked_input"][CLIENT]
        receive = partial(server.receive, CLIENT)
    else:
        genuine = record.down[stage][CLIENT]
        receive = partial(record.client(stage).receive, vector=record.live.vectors[CLIENT], model_digest=bytes(32))
    fields = msgspec.msgpack.decode(genuine[HEADER_BYTES:])
    assert len(fields[place]) == 1
    beyond = bytes([fields[place][0] | 1 << seen]) if seen < 8 else fields[place] + b"\x00"
    for bitmap in (beyond, fields[place] + b"\x00", b""):
        changed = [*fields[:place], bitmap, *fields[place + 1 :]]
        with pytest.raises(MalformedMessageError, match="bitmap"):
            receive(genuine[:HEADER_BYTES] + msgspec.msgpack.encode(changed))


# ------------------------------------------------------------------------------------------------- Live sessions
@pytest.mark.parametrize(("which", "stage"), POINTS, ids=lambda point: str(point) if isinstance(point, str) else "")
@settings(FUZZ, max_examples=60)
@given(data=st.data())
def test_a_client_answers_refuses_or_ends_and_malformed_bytes_cost_nothing(
    which: Kind, stage: str, data: st.DataObject
):
    record = recording(*which)
    session, vector, model = record.client(stage), record.live.vectors[CLIENT], bytes(range(32))
    genuine, reply = record.down[stage][CLIENT], record.up[stage][CLIENT]
    message = data.draw(fed(record, genuine))
    receive = partial(session.receive, vector=vector, model_digest=model)
    answer, error = refusal(partial(receive, message))
    event("answered" if error is None else type(error).__name__)
    if error is None:
        assert answer is None or (isinstance(answer, bytes) and answer[:4] == b"SAGG")
        assert answer is not None or session.aborted is not None or repeats(record, stage, message)
        return
    assert (error.sender if isinstance(error, StrayMessageError) else error.culprit) is SERVER
    if type(error) in (MalformedMessageError, StrayMessageError):
        assert not session.over
        answer = receive(genuine)
        # Two rounds draw something: their replies differ from the recorded ones, and only in that.
        assert len(answer) == len(reply)
        if stage not in {"advertise_keys", "share_keys"}:
            assert answer == reply
    else:
        assert session.over
        with pytest.raises(StateSpentError):
            receive(genuine)


def repeats(record: Recording, stage: str, message: bytes) -> bool:
    """Says whether this message was accepted at an earlier stage: only the last reply is kept, and no masked input."""
    return message in [record.down[earlier][CLIENT] for earlier in record.stages[: record.stages.index(stage)]]


@pytest.mark.parametrize(("which", "stage"), POINTS, ids=lambda point: str(point) if isinstance(point, str) else "")
@settings(FUZZ, max_examples=30)
@given(data=st.data())
def test_a_server_refuses_by_name_and_the_sum_is_as_exact_as_without(which: Kind, stage: str, data: st.DataObject):
    record = recording(*which)
    server = record.server(stage)
    sender = data.draw(st.sampled_from((CLIENT, CLIENT, *IDS[:6], 12345)))
    refusals = 0
    for message in data.draw(st.lists(fed(record, record.up[stage][CLIENT]), min_size=1, max_size=4)):
        _, error = refusal(partial(server.receive, sender, message))
        if error is not None:
            event(type(error).__name__)
            if isinstance(error, StrayMessageError):
                assert error.sender == sender
            else:
                assert error.culprit == sender
            refusals += 1
    if server.received:
        # It was this stage's message, or one as good: nothing shows that it is not what its sender meant.
        event("accepted")
        assert server.received == {sender}
        return
    assert refusals or sender in server.aborted
    for later in record.stages[record.stages.index(stage) :]:
        for client, genuine in record.up[later].items():
            server.receive(client, genuine)
        closed = server.close_stage(bytes(range(32)))
    assert closed.sum.tolist() == record.live.plain_sum(closed.survivors)
    assert closed.survivors == set(record.live.clients) - set(LEAVING.values())
    assert set(closed.culprits) <= {sender}


# -------------------------------------------------------------------------------------------------------- Sizes
NESTED = {
    "arrays": b"\x91",
    "longer arrays": b"\xdc\x00\x01",
    "maps": b"\x81\x01",
}
DECLARED = {
    "bin": b"\xc6",
    "str": b"\xdb",
    "array": b"\xdd",
    "map": b"\xdf",
    "ext": b"\xc9",
}


def large() -> SessionParams:
    """A session whose masked inputs may have 32 MiB."""
    return make_params(n=4, vector_length=2**22, modulus_bits=64)


def malformed_at_no_cost(params: SessionParams, data: bytes) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(MalformedMessageError):
            decode(data, 5, params, session_id=bytes(16))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 100_000, f"{peak} bytes were allocated for a message that is refused"


def header(params: SessionParams, kind: int) -> bytes:
    return b"SAGG\x02" + bytes([params.suite, kind]) + bytes(16)


@pytest.mark.parametrize("prefix", NESTED.values(), ids=NESTED)
@pytest.mark.parametrize("kind", KINDS)
def test_deep_nesting_is_malformed_at_no_cost(kind: int, prefix: bytes):
    params = large()
    # The masked input may be long, so that its nesting may be deep; the limit of the others ends it before.
    depth = 1_000_000 if kind == 6 else 300
    for first in (b"", b"\x92" + bytes([kind]), b"\x94" + bytes([kind]) + b"\xc4\x00"):
        malformed_at_no_cost(params, header(params, kind) + first + prefix * (depth // len(prefix)) + b"\xc0")


@pytest.mark.parametrize("code", DECLARED.values(), ids=DECLARED)
@pytest.mark.parametrize("kind", KINDS)
def test_huge_declared_lengths_are_malformed_at_no_cost(kind: int, code: bytes):
    params = large()
    for declared in (2**31 - 1, 2**31, 2**32 - 1):
        claim = code + declared.to_bytes(4, "big")
        for first in (b"", b"\x92" + bytes([kind]), b"\x94" + bytes([kind]) + b"\xc4\x00"):
            malformed_at_no_cost(params, header(params, kind) + first + claim + b"\x01" * 20)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_longer_than_the_limit_is_not_parsed_at_all(kind: int):
    record = recording(AdversaryModel.ACTIVE, Suite.CHACHA20)
    genuine = next(data for data in record.sent if data[6] == kind)
    decode(genuine, 5, record.params, session_id=record.session_id)
    with mock.patch.dict("secagg.protocol.wire._DECODERS", clear=True):  # whoever parses fails with a KeyError
        for padding in (10_000, 20_000_000):
            with pytest.raises(MalformedMessageError, match="at most"):
                decode(genuine + bytes(padding), 5, record.params, session_id=record.session_id)
        with pytest.raises(KeyError):
            decode(genuine, 5, record.params, session_id=record.session_id)


def test_an_invitation_has_a_limit_of_its_own():
    invitation = recording(AdversaryModel.ACTIVE, Suite.CHACHA20).live.server.invitation
    with mock.patch.dict("secagg.protocol.wire._DECODERS", clear=True):
        for padding in (2000, 20_000_000):
            with pytest.raises(MalformedMessageError, match="at most"):
                decode_invitation(invitation + bytes(padding))


def test_an_invitation_to_an_enormous_session_costs_its_client_nothing():
    params = make_params(n=4, vector_length=2**32, modulus_bits=64)
    live = Live(make_params(n=4), max_message_bytes=2**40)
    invitation = header(params, 1) + msgspec.msgpack.encode([1, params.encode()])
    tracemalloc.start()
    try:
        assert live.clients[CLIENT].receive(invitation) is not None
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 200_000
