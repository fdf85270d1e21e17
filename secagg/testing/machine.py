"""The protocol as a hypothesis state machine: one rule a stage, which draws who answers it.

What must hold, whatever is drawn: *the exact sum over U3, or a typed refusal, and never anything
else*; and *the server's view never holds t shares of both kinds for one client*.

To test an integration of your own, subclass and override `make_server`, `make_client` and `carry`,
the one place where bytes pass between them; `outcomes` counts how runs ended, so that a test can
fail when a class of outcome is never reached.
"""

from collections import Counter
from collections.abc import Mapping
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt
from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from secagg.client.session import ClientSession
from secagg.errors import (
    ClientId,
    InvalidShareError,
    MalformedMessageError,
    PolicyViolationError,
    RemoteError,
    StateSpentError,
    TooFewClientsError,
)
from secagg.params import SessionParams
from secagg.policy import ClientPolicy
from secagg.primitives.bitmap import encode_bitmap
from secagg.primitives.signing import Identity
from secagg.protocol.messages import (
    SHARE_RECORD_BYTES,
    ConsistencySignature,
    KeyRoster,
    MaskedInput,
    Message,
    ShareDelivery,
    ShareKeys,
    SurvivorSet,
    UnmaskingRequest,
    UnmaskingShares,
)
from secagg.protocol.wire import decode, encode
from secagg.server import Result
from secagg.server.session import ServerSession
from secagg.testing.strategies import answering, session_params, vectors
from secagg.testing.view import ServerView

DEALER_LIES = ("garbage seals", "false commitment")
"""What a dealer can do to make one session fail, at the price of being named."""

LIES = (*DEALER_LIES, "one garbage seal", "short vector", "wrong shares")

GARBAGE = ("garbage seals", "one garbage seal")
"""The lies after which a peer holds no share of the liar's."""


class ProtocolMachine(RuleBasedStateMachine):
    """One session with drawn parameters, inputs, dropouts, restarts and lies."""

    outcomes: ClassVar[Counter[str]] = Counter()
    """How runs ended, by class: "sum", "sum despite a liar", "dealer named", "too few at STAGE", "split view"."""

    graphs: ClassVar[Literal["complete", "sparse", "both"]] = "both"
    """Which graphs are drawn."""

    def __init__(self) -> None:
        super().__init__()
        self.over = False
        self.liar: tuple[ClientId, str] | None = None
        self.view: ServerView | None = None

    # What an integration overrides.

    def make_server(self, params: SessionParams, identities: Mapping[ClientId, bytes]) -> ServerSession:
        """Returns the server under test."""
        return ServerSession(params, tuple(self.inputs), identities or None)

    def make_client(self, client: ClientId, policy: ClientPolicy, identity: Identity | None) -> ClientSession:
        """Returns one client under test."""
        return ClientSession(client, policy, identity)

    def carry(self, data: bytes) -> bytes:
        """Carries one message from one side to the other."""
        return data

    # The run.

    @initialize(data=st.data())
    def invite(self, data: st.DataObject) -> None:
        """Draws the session and invites everyone."""
        self.params = data.draw(session_params(graphs=self.graphs), "params")
        self.inputs: dict[ClientId, npt.NDArray[np.unsignedinteger]] = data.draw(vectors(self.params), "vectors")
        self.model_digest = data.draw(st.binary(min_size=32, max_size=32), "model digest")
        if data.draw(st.booleans(), "lying"):
            self.liar = data.draw(st.tuples(st.sampled_from(sorted(self.inputs)), st.sampled_from(LIES)), "liar")
        self.identities = {client: Identity.generate() for client in self.inputs} if self.params.active else {}
        public_keys = {client: identity.public_key for client, identity in self.identities.items()}
        policy = ClientPolicy(identities=public_keys, adversary=self.params.adversary, corrupt_fraction=0.0)
        self.server = self.make_server(self.params, public_keys)
        self.clients = {client: self.make_client(client, policy, self.identities.get(client)) for client in self.inputs}
        self.outbound: Mapping[ClientId, bytes] = dict.fromkeys(self.inputs, self.server.invitation)
        self.session_id = self.server.invitation[7:23]
        self.alive = frozenset(self.inputs)

    @precondition(lambda self: self.at("advertise_keys"))
    @rule(data=st.data())
    def advertise_keys(self, data: st.DataObject) -> None:
        """Stage 0."""
        self.run_stage(data)
        if not self.over:
            shown = (self.decoded(sent) for sent in self.outbound.values())
            rosters = [message for message in shown if isinstance(message, KeyRoster)]
            self.view = ServerView(self.params, self.session_id, rosters)

    @precondition(lambda self: self.at("share_keys"))
    @rule(data=st.data())
    def share_keys(self, data: st.DataObject) -> None:
        """Stage 1."""
        self.run_stage(data)

    @precondition(lambda self: self.at("masked_input"))
    @rule(data=st.data())
    def mask_input(self, data: st.DataObject) -> None:
        """Stage 2."""
        self.run_stage(data)

    @precondition(lambda self: self.at("consistency"))
    @rule(data=st.data())
    def check_consistency(self, data: st.DataObject) -> None:
        """Stage 3, ACTIVE only; now and then most of the survivors vanish here, which is rare otherwise."""
        if data.draw(st.integers(0, 4), "many vanish") == 2:
            self.alive = frozenset(data.draw(st.permutations(sorted(self.alive)))[: self.params.threshold])
        self.run_stage(data)

    @precondition(lambda self: self.at("unmask"))
    @rule(data=st.data())
    def unmask(self, data: st.DataObject) -> None:
        """Stage 4."""
        self.run_stage(data)

    @precondition(lambda self: self.at("consistency"))
    @rule(data=st.data())
    def split_the_view(self, data: st.DataObject) -> None:
        """A server that shows two survivor sets, and asks both sides for their shares.

        The clients' own checks have to stop it, so the honest server is left out.
        """
        client, genuine = next(iter(self.outbound.items()))
        shown = self.decoded(genuine)
        if not isinstance(shown, SurvivorSet) or self.view is None:
            raise TypeError("the consistency stage begins with a survivor set")
        roster, graph = self.view.roster, self.view.cohort.graph
        present = self.view.members(client, shown.survivors)
        survivors = {member for member, survived in zip(roster, present.tolist(), strict=True) if survived}
        named_dead = data.draw(st.sets(st.sampled_from(sorted(survivors)), min_size=1), "declared dropped")
        other = frozenset(survivors) - named_dead
        side = {client: data.draw(st.booleans(), f"shown the cut set: {client}") for client in sorted(survivors)}
        sets = {False: frozenset(survivors), True: other}
        signatures: dict[bool, dict[ClientId, bytes]] = {False: {}, True: {}}
        forging = data.draw(st.booleans(), "signatures are forged to fill the quorum")
        for client, cut in side.items():
            bitmap = encode_bitmap(np.array([member in sets[cut] for member in roster], np.bool_))
            self.ask(client, SurvivorSet(bitmap, len(sets[cut])), signatures[cut])
        for client, cut in side.items():
            genuine_signers = frozenset(signatures[cut])
            if forging:
                signatures[cut] = {member: bytes(64) for member in sets[cut]} | signatures[cut]
            signers = encode_bitmap(np.array([member in signatures[cut] for member in roster], np.bool_))
            joined = b"".join(signatures[cut][member] for member in roster if member in signatures[cut])
            released = self.ask(client, UnmaskingRequest(signers, joined), {})
            signed = np.array([member in genuine_signers for member in roster])
            involved = np.append(self.view.peers(client), roster.index(client))
            quorum = int(graph.members_present(signed)[involved].min())
            if released and (quorum < self.params.threshold or frozenset(signatures[cut]) != genuine_signers):
                raise AssertionError(f"client {client} answered without a quorum of {self.params.threshold}")
            if released and 2 * len(genuine_signers | {client}) <= len(roster):
                raise AssertionError(f"client {client} answered without a majority of the roster")
        self.end("split view")

    @precondition(lambda self: self.over)
    @rule()
    def rest(self) -> None:
        """After the end nothing happens any more; the machine wants a rule all the same."""

    @invariant()
    def nobody_is_exposed(self) -> None:
        """The server's view never holds t shares of both kinds for one client."""
        if self.view is not None and self.view.exposed():
            raise AssertionError(f"exposed: {sorted(self.view.exposed())}")

    # How a stage goes.

    def at(self, stage: str) -> bool:
        """Whether the session is at `stage`."""
        return not self.over and hasattr(self, "server") and self.server.stage == stage

    def run_stage(self, data: st.DataObject) -> None:
        """Lets the drawn clients answer, some after a restart, and closes the stage."""
        stage = self.server.stage
        self.alive &= data.draw(answering(frozenset(self.outbound) & self.alive), f"answering at {stage}")
        if data.draw(st.booleans(), "restart the server"):
            self.server = ServerSession.from_bytes(self.server.to_bytes())
        restarted = data.draw(st.sets(st.sampled_from(sorted(self.inputs)), max_size=2), "restarted clients")
        for client in data.draw(st.permutations(sorted(self.alive)), "order of arrival"):
            self.answer(client, restart=client in restarted and stage != "advertise_keys")
        try:
            closed = self.server.close_stage(self.model_digest)
        except TooFewClientsError as error:
            if error.remaining >= error.needed:
                raise
            self.end(f"too few at {stage}")
            return
        except InvalidShareError as error:
            if self.liar is None or error.culprit != self.liar[0] or self.liar[1] not in DEALER_LIES:
                raise
            self.end("dealer named")
            return
        if isinstance(closed, Result):
            self.check_result(closed)
        else:
            self.outbound = closed

    def answer(self, client: ClientId, *, restart: bool) -> None:
        """Delivers one message to one client, and its reply to the server."""
        session = self.clients[client]
        if restart:
            session = ClientSession.from_bytes(session.to_bytes(), identity=self.identities.get(client))
            self.clients[client] = session
        message = self.carry(self.outbound[client])
        self.watch_delivery(client, message)
        vector = self.inputs[client] if session.wants_input else None
        try:
            reply = session.receive(message, vector=vector, model_digest=self.model_digest)
        except PolicyViolationError as error:
            # A seal that does not open proves nothing of its sender: who got it counts one survivor fewer, and leaves
            # where that is one too few.
            if error.rule != "min_survivors" or self.liar is None or self.liar[1] not in GARBAGE:
                raise
            self.alive -= {client}
            return
        if reply is None:
            raise AssertionError("an honest client answers every stage")
        if not isinstance(self.decoded(reply), MaskedInput) and session.receive(message) != reply:
            raise AssertionError("a repeated message gets the same reply")
        reply = self.carry(reply)
        if self.liar is not None and self.liar[0] == client:
            self.send_lie(client, self.decoded(reply))
            return
        if self.view is not None:
            self.view.answered(client, self.decoded(reply))
        self.server.receive(client, reply)

    def send_lie(self, client: ClientId, message: Message) -> None:
        """Sends what the liar makes of its message; the server must refuse it, or survive it."""
        lie = self.liar[1] if self.liar is not None else ""
        refused: type[RemoteError] | None = None
        if lie == "garbage seals" and isinstance(message, ShareKeys):
            message = ShareKeys(bytes(len(message.table)), message.self_mask_commitment)
        elif lie == "one garbage seal" and isinstance(message, ShareKeys):
            message = ShareKeys(
                bytes(SHARE_RECORD_BYTES) + message.table[SHARE_RECORD_BYTES:], message.self_mask_commitment
            )
        elif lie == "false commitment" and isinstance(message, ShareKeys):
            message = ShareKeys(message.table, bytes(32))
        elif lie == "short vector" and isinstance(message, MaskedInput):
            message = MaskedInput(memoryview(bytes(message.vector)[1:] + b"ab"), message.unopened, message.task_digest)
            refused = MalformedMessageError
        elif lie == "wrong shares" and isinstance(message, UnmaskingShares) and message.table:
            message = UnmaskingShares(message.table[:-1] + bytes([message.table[-1] ^ 1]))
            refused = InvalidShareError
        if refused is None:
            if self.view is not None:
                self.view.answered(client, message)
            self.server.receive(client, encode(message, self.params.suite, self.session_id))
            return
        try:
            self.server.receive(client, encode(message, self.params.suite, self.session_id))
        except refused as error:
            note(f"refused as it must be: {error}")
            if error.culprit != client or client not in self.server.faults:
                raise AssertionError("the liar is not named") from error
            self.alive -= {client}
            return
        raise AssertionError(f"the server accepted {lie}")

    def check_result(self, result: Result) -> None:
        """Compares the released sum with the plain sum over the survivors, in Python's integers."""
        expected = [
            sum(int(self.inputs[client][entry]) for client in result.survivors) % 2**self.params.modulus_bits
            for entry in range(self.params.vector_length)
        ]
        if result.sum.tolist() != expected:
            raise AssertionError("the released sum is not the sum over the survivors")
        if len(result.survivors) < self.params.min_survivors:
            raise AssertionError("fewer survivors than the parameters demand")
        self.end("sum" if not result.culprits else "sum despite a liar")

    def end(self, outcome: str) -> None:
        """Counts how the run ended."""
        type(self).outcomes[outcome] += 1
        self.over = True

    # Looking at messages.

    def ask(self, client: ClientId, message: Message, signatures: dict[ClientId, bytes]) -> bool:
        """Sends a forged message; notes what the client lets out, and returns whether it let out anything."""
        if self.view is None:
            raise AssertionError("there is a view once there is a roster")
        data = encode(message, self.params.suite, self.session_id)
        self.watch_delivery(client, data)
        try:
            reply = self.clients[client].receive(data)
        except RemoteError as error:
            note(f"client {client} refused: {error}")
            return False
        except StateSpentError:
            note(f"client {client} had left")
            return False
        if reply is not None:
            answer = self.decoded(reply)
            self.view.answered(client, answer)
            if isinstance(answer, ConsistencySignature):
                signatures[client] = answer.signature
        return reply is not None

    def watch_delivery(self, client: ClientId, data: bytes) -> None:
        """Notes in the server's view what a client is shown."""
        if self.view is None:
            return
        message = self.decoded(data)
        if isinstance(message, ShareDelivery):
            self.view.delivered(client, message)
        elif isinstance(message, SurvivorSet):
            self.view.shown_survivors(client, message.survivors)

    def decoded(self, data: bytes) -> Message:
        """Returns a message of this session."""
        return decode(data, 0, self.params, session_id=self.session_id)
