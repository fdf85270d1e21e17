"""What tests of the private round have in common: small plans, and a round over real bytes with one liar in it.

A test drives a `Scene` to the moment of the attack, alters one message of the server, and says who must refuse it.
"""

import functools
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt
import pytest

import fl.private.vector
from dp.ledger.records import NO_HEAD, Record, Reserve, decode, encode, line_hash
from dp.ledger.round_counter import RoundCounter
from dp.ledger.writer import Ledger
from dp.mechanisms.adaptive_clipping import AdaptiveClipping
from fl.arrays.flatten import flatten
from fl.arrays.schema import ArraySchema
from fl.private.client_round import ClientRound
from fl.private.contribution import Contribution
from fl.private.messages import Offer, Step, Task, decode_round_message, encode_round_message
from fl.private.plan import PrivatePlan
from fl.private.planning import make_plan
from fl.private.private_sum import PrivateSum
from fl.private.server_round import ServerRound
from fl.private.side_values import SideValue
from secagg.errors import SERVER, ClientId, StateSpentError, TooFewClientsError
from secagg.params import AdversaryModel, SessionParams
from secagg.primitives.signing import Identity
from secagg.protocol.messages import Invitation, Message
from secagg.protocol.wire import decode as decode_message
from secagg.protocol.wire import decode_invitation
from secagg.protocol.wire import encode as encode_message
from tests.kit.pipelined_rounds import PipelinedRound

ACTIVE, CURIOUS = AdversaryModel.ACTIVE, AdversaryModel.HONEST_BUT_CURIOUS
both_models = pytest.mark.parametrize("adversary", [CURIOUS, ACTIVE], ids=lambda model: model.name.lower())

MODEL = {"b": np.zeros(3), "w": np.zeros((4, 3))}
SCHEMA = ArraySchema.of(MODEL)

USUAL: dict[str, Any] = {
    "scope": "ward 7",
    "schema": SCHEMA,
    "clients": 5,
    "max_dropouts": 1,
    "colluders": 1,
    "clip": 1.0,
    "epsilon": 20.0,
    "delta": 1e-5,
    "rounds": 3,
}
LOSS = SideValue(name="loss", low=0.0, high=5.0, share=0.5)

ADAPTIVE = AdaptiveClipping(1.0, 1.0, smallest=0.01, largest=100.0)
WRAPPING_KEY = bytes(range(32))

VICTIM, OTHER = 7, 1000
IDS = (3, VICTIM, OTHER, 2**40, 2**64 - 1, 11, 12, 13, 14, 15)
"""As many of these are the clients as the plan says."""

Failure = TypeVar("Failure", bound=Exception)


@functools.cache
def planned(**changes: Any) -> PrivatePlan:
    """Returns the usual plan, with changes; it takes a while to make, and cannot be changed."""
    return make_plan(**(USUAL | changes))


def identities(plan: PrivatePlan) -> dict[ClientId, Identity]:
    """Returns every client's identity, none in a plan that needs none."""
    if plan.session.adversary is CURIOUS:
        return {}
    return {client: Identity(client.to_bytes(32, "little")) for client in IDS[: plan.clients]}


def public_keys(plan: PrivatePlan) -> dict[ClientId, bytes] | None:
    return {client: identity.public_key for client, identity in identities(plan).items()} or None


def update_of(client: ClientId, schema: ArraySchema = SCHEMA, norm: float = 0.7) -> dict[str, npt.NDArray[np.float64]]:
    """Returns a client's update, always the same."""
    rng = np.random.default_rng(client)
    arrays = {str(entry.name): rng.standard_normal(entry.shape).astype(entry.dtype) for entry in schema.entries}
    length = np.linalg.norm(flatten(arrays, schema))
    return {name: (array * (norm / length)).astype(array.dtype) for name, array in arrays.items()}


def contribution_of(plan: PrivatePlan, client: ClientId) -> Contribution:
    """Returns what a client hands in under a plan, always the same."""
    sides = {side.name: side.low + (side.high - side.low) * (client % 5) / 5 for side in plan.side_values}
    weight = int(sides.pop("weight", 1.0))
    return Contribution(update_of(client, plan.schema), weight, sides)


class Scene:
    """One server with its ledger, and clients with their counters, for as many rounds as a test likes.

    Args:
        folder: for ledger and counters.
        plan: of all parties.
    """

    pipelined: ClassVar[bool] = False
    """Whether each client's round lives beside the offer of the next one."""

    def __init__(self, folder: Path, plan: PrivatePlan) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.plan = plan
        self.ids = IDS[: plan.clients]
        self.identities = identities(plan)
        self.ledger = Ledger.create(folder / "ledger", plan.header())
        self.counters = {client: self.counter(client) for client in self.ids}

    def counter(self, client: ClientId) -> RoundCounter:
        return RoundCounter(self.folder / f"counter-{client}", self.plan.scope, self.plan.rounds)

    def client(self, client: ClientId) -> ClientRound:
        """Returns a client at the beginning of a round."""
        plan = self.plan
        kind = PipelinedRound if self.pipelined else ClientRound
        made = kind(plan, client, self.counters[client], self.identities.get(client), identities=public_keys(plan))
        if isinstance(made, PipelinedRound):
            made.beside = self.beside
        return made

    beside: bytes | None = None

    def begin(self, round_number: int = 1, clip: float | None = None) -> Self:
        """Begins a round: the offers lie in `outbound`."""
        if self.pipelined and round_number < self.plan.rounds:
            following = ServerRound(
                self.plan, self.ledger, round_number + 1, self.ids, identities=public_keys(self.plan)
            )
            self.beside = following.invitation
        self.clients = {client: self.client(client) for client in self.ids}
        self.server = ServerRound(
            self.plan, self.ledger, round_number, self.ids, identities=public_keys(self.plan), clip=clip
        )
        self.outbound: Mapping[ClientId, bytes] = dict.fromkeys(self.ids, self.server.invitation)
        return self

    # Driving

    def deliver(self, client: ClientId, data: bytes | None = None) -> bytes | None:
        """Hands one client the server's message, or `data` in its place."""
        session = self.clients[client]
        data = self.outbound[client] if data is None else data
        if not session.wants_input:
            return session.receive(data)
        return session.receive(data, contribution_of(self.plan, client))

    def exchange(self, silent: Collection[ClientId] = ()) -> PrivateSum | None:
        """One honest exchange; returns what is released, if that was the last."""
        for client in self.outbound:
            if client not in silent and not self.clients[client].over:
                reply = self.deliver(client)
                assert reply is not None
                self.server.receive(client, reply)
        return self.close()

    def close(self) -> PrivateSum | None:
        closed = self.server.close_stage()
        if isinstance(closed, PrivateSum):
            return closed
        self.outbound = closed
        return None

    def until(self, stage: str) -> Self:
        """Runs honestly until the messages that are answered at `stage` lie in `outbound`."""
        while self.server.stage != stage:
            assert self.exchange() is None
        return self

    def finish(self, silent: Collection[ClientId] = ()) -> PrivateSum:
        """Runs honestly to the end."""
        while True:
            released = self.exchange(silent)
            if released is not None:
                return released

    def whole_round(self, round_number: int = 1, clip: float | None = None) -> PrivateSum:
        return self.begin(round_number, clip).finish()

    # Reading and altering

    def offer(self, client: ClientId = VICTIM, **changes: Any) -> bytes:
        """Returns a client's offer with other fields."""
        message = decode_round_message(self.outbound[client])
        assert isinstance(message, Offer)
        return encode_round_message(msgspec.structs.replace(message, **changes))

    def step(self, client: ClientId = VICTIM, **changes: Any) -> bytes:
        """Returns a client's step with other fields."""
        message = decode_round_message(self.outbound[client])
        assert isinstance(message, Step)
        return encode_round_message(msgspec.structs.replace(message, **changes))

    def task(self, client: ClientId = VICTIM, **changes: Any) -> bytes:
        """Returns a client's task with other fields."""
        message = decode_round_message(self.outbound[client])
        assert isinstance(message, Task)
        return encode_round_message(msgspec.structs.replace(message, **changes))

    def lines(self, client: ClientId = VICTIM) -> tuple[bytes, ...]:
        """Returns the ledger's lines that lie in `outbound` for a client."""
        message = decode_round_message(self.outbound[client])
        assert not isinstance(message, Offer)
        return message.ledger

    def session_of(self, client: ClientId = VICTIM) -> bytes:
        """Returns the session's message that lies in `outbound` for a client."""
        return decode_round_message(self.outbound[client]).session

    def invitation(self, **changes: Any) -> bytes:
        """Returns the session's invitation with other parameters, under the same session id."""
        params, session_id = decode_invitation(self.session_of())
        return invitation(params, session_id, **changes)

    def altered(self, client: ClientId = VICTIM, **changes: Any) -> bytes:
        """Returns the session's message for a client with other fields."""
        session = self.server._session
        message: Message = decode_message(
            self.session_of(client), SERVER, session.params, session_id=session.session_id
        )
        changed = msgspec.structs.replace(message, **changes)
        return encode_message(changed, session.params.suite, session.session_id)

    def reserve_lines(self, client: ClientId = VICTIM, **changes: Any) -> tuple[bytes, ...]:
        """Returns the ledger's lines that lie in `outbound`, in whose reserve some fields are others.

        They are one chain from the client's head, so that nothing but the figures is wrong.
        """
        records = [
            replace(one, **changes) if isinstance(one, Reserve) else one for one in map(record, self.lines(client))
        ]
        head = self.counters[client].head
        assert head is not None
        return chain(records, head)

    # Judging

    def files(self) -> dict[str, bytes]:
        """Returns the content of the ledger and of all counters, but for their empty lock files."""
        paths = [path for path in self.folder.iterdir() if path.is_file() and not path.name.endswith(".lock")]
        return {path.name: path.read_bytes() for path in sorted(paths)}

    def refused_offer(self, data: bytes, failure: type[Failure], client: ClientId = VICTIM) -> Failure:
        """The client refuses an offer: it counts nothing, and takes part when a good one comes."""
        before = self.files()
        with pytest.raises(failure) as raised:
            self.deliver(client, data)
        assert type(raised.value) is failure
        assert self.files() == before
        session = self.clients[client]
        assert (session.over, session.wants_input, session.round_number) == (False, False, 0)
        return raised.value

    def refused(self, client: ClientId, data: bytes, failure: type[Failure], *, keeps_counter: bool = True) -> Failure:
        """The client refuses for good: it answers nothing, now or later, and keeps no secret."""
        before = self.files()
        session = self.clients[client]
        with pytest.raises(failure) as raised:
            self.deliver(client, data)
        assert type(raised.value) is failure
        assert session.over
        if keeps_counter:
            assert self.files() == before
        assert session._session is None or session._session._state is None, "its secrets are dropped"
        for again in (data, self.outbound[client]):
            with pytest.raises(StateSpentError):
                self.deliver(client, again)
        return raised.value

    def nobody_unmasks(
        self, lie: Callable[[ClientId], bytes], failure: type[Failure], *, keeps_counter: bool = True
    ) -> Failure:
        """Every client is told the lie; all refuse, so that nobody can make the sum."""
        errors = [
            self.refused(client, data, failure, keeps_counter=keeps_counter)
            for client, data in [(client, lie(client)) for client in self.outbound]
        ]
        with pytest.raises(TooFewClientsError) as stuck:
            self.server.close_stage()
        assert stuck.value.remaining == 0
        assert self.server.survivors == frozenset()
        return errors[0]


def at(folder: Path, stage: str, adversary: AdversaryModel = CURIOUS, **changes: Any) -> Scene:
    return Scene(folder, planned(adversary=adversary, **changes)).begin().until(stage)


def invitation(params: SessionParams, session_id: bytes, **changes: Any) -> bytes:
    """Returns the invitation to a session with these parameters, changed."""
    changed = replace(params, **changes)
    return encode_message(Invitation(changed.encode()), changed.suite, session_id)


def record(line: bytes) -> Record:
    return decode(line, 1)[0]


def chain(records: Collection[Record], head: bytes = NO_HEAD) -> tuple[bytes, ...]:
    """Returns records as lines, each with the hash of the one before."""
    lines = []
    for one in records:
        lines.append(encode(one, head))
        head = line_hash(lines[-1])
    return tuple(lines)


def without_noise(patch: pytest.MonkeyPatch) -> None:
    """Makes every share of the noise zero: what is left is rounding."""

    def nothing(variance: object, count: int) -> npt.NDArray[np.int64]:
        return np.zeros(count, np.int64)

    patch.setattr(fl.private.vector, "skellam", nothing)
    patch.setattr(fl.private.vector, "discrete_gaussian", nothing)


def centred(words: npt.NDArray[Any], bits: int) -> npt.NDArray[np.int64]:
    """Returns the representatives of words modulo 2**bits that lie about 0, by Python's integers."""
    half = 1 << (bits - 1)
    return np.array([(int(word) + half) % (1 << bits) - half for word in words], np.int64)


def sum_of_words(words: Collection[npt.NDArray[Any]], bits: int) -> npt.NDArray[Any]:
    """Returns the sum modulo 2**bits, in the words' dtype: what a session hands out, bit for bit."""
    total = np.add.reduce([one.astype(np.uint64) for one in words])
    if bits < 64:
        total &= np.uint64((1 << bits) - 1)
    return total.astype(next(iter(words)).dtype)
