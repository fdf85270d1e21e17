"""The arc cut: a server that knows where the corrupt clients stand declares the honest ones between them dropped.

Two runs of k/2 clients on the ring, each with t - k/2 corrupt ones in it. The corrupt ones sign for both sides, so that
every neighbourhood has its quorum; no mask leads from the arc between the runs to the rest, and the server takes
the arc's sum apart from everyone's.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from secagg import choose
from secagg.client.checks import check_majority, check_quorum, check_survivors
from secagg.client.session import ClientSession
from secagg.errors import ClientId, InconsistentServerError, PolicyViolationError
from secagg.graph.ring import Graph
from secagg.params import AdversaryModel, SessionParams
from secagg.policy import ClientPolicy
from secagg.primitives.agreement import KeyPair
from secagg.primitives.masking import apply_masks
from secagg.primitives.packing import unpack
from secagg.primitives.prg import Suite
from secagg.primitives.signing import Identity
from secagg.protocol.cohort import Cohort
from secagg.protocol.messages import KeyRoster, MaskedInput
from secagg.protocol.roster import decode_roster
from secagg.protocol.wire import decode
from secagg.server.rebuilding import rebuild_secrets
from secagg.server.session import ServerSession

ACTIVE = AdversaryModel.ACTIVE
Places = npt.NDArray[np.intp]


@pytest.fixture(autouse=True)
def graph() -> None:
    """These tests bring graphs of their own."""


# ------------------------------------------------------------------- A thousand clients, by the clients' own checks
CLIENTS, CORRUPT = 1000, 100
PUBLISHED = (114, 78)
"""k and t that the condition on random dropouts gives for a thousand clients, a tenth corrupt and a tenth vanishing."""
IN_EACH_RUN = PUBLISHED[1] - PUBLISHED[0] // 2
ARC = 100


class Cut:
    """One cut over a ring, with `IN_EACH_RUN` corrupt clients in each of the two runs: what 2 t - k leaves to luck."""

    def __init__(self, neighbours: int, threshold: int) -> None:
        self.graph = Graph(CLIENTS, neighbours=neighbours, seed=bytes(range(32)), suite=Suite.AES_128_CTR)
        self.threshold = threshold
        ring, half = self.graph._ring, neighbours // 2
        runs = ring[:half], ring[half + ARC : 2 * half + ARC]
        self.arc, self.rest = ring[half : half + ARC], ring[2 * half + ARC :]
        # Spread over the run as badly for the server as well as may be: what counts is how many they are.
        spread = np.linspace(0, half - 1, IN_EACH_RUN).astype(int)
        self.corrupt = np.concatenate([run[spread] for run in runs])
        self.dropped = np.setdiff1d(np.concatenate(runs), self.corrupt)
        self.survivors = np.ones(CLIENTS, np.bool_)
        self.survivors[self.dropped] = False

    def passes(self, check: Callable[..., None], seen: npt.NDArray[np.bool_], **facts: object) -> bool:
        """Whether an honest client goes on after one of its checks."""
        try:
            check(seen, **facts)
        except InconsistentServerError:
            return False
        return True

    def who_answers(self) -> npt.NDArray[np.bool_]:
        """Who signs the set and hands out shares: the corrupt clients, and the honest ones whose checks pass."""
        everyone, required = np.ones(CLIENTS, np.bool_), (CLIENTS + CORRUPT) // 2 + 1
        total = int(self.survivors.sum())
        honest = np.setdiff1d(np.flatnonzero(self.survivors), self.corrupt).tolist()
        signers = self.survivors.copy()
        for index in honest:
            signers[index] = self.passes(
                check_survivors,
                self.survivors,
                total=total,
                index=index,
                neighbours=self.graph.neighbours(index),
                dealers=everyone,
                held=everyone,
                roster_total=CLIENTS,
                threshold=self.threshold,
                required_survivors=required,
            )
        answering = signers.copy()
        for index in np.setdiff1d(np.flatnonzero(signers), self.corrupt).tolist():
            involved = np.append(self.graph.neighbours(index), index)
            answering[index] = self.passes(
                check_quorum,
                signers,
                survivors=self.survivors,
                involved=involved,
                graph=self.graph,
                threshold=self.threshold,
            ) and self.passes(
                check_majority,
                signers,
                held=self.survivors,
                index=index,
                required_signatures=required,
                required_survivors=required,
            )
        return answering

    def shares(self, index: int, answering: npt.NDArray[np.bool_]) -> int:
        """How many shares of a client's secret reach the server."""
        return int(answering[self.graph.neighbours(index)].sum())


def test_against_the_published_numbers_every_honest_client_answers_and_an_arc_is_cut_off():
    cut = Cut(*PUBLISHED)
    assert (len(cut.dropped), len(cut.arc), len(cut.rest) + len(cut.corrupt)) == (72, 100, 828)
    assert np.array_equal(cut.who_answers(), cut.survivors)
    assert all(cut.shares(index, cut.survivors) >= cut.threshold for index in range(CLIENTS)), "every secret is rebuilt"
    for index in cut.arc.tolist():
        # All that is left in its input once these masks are off are masks within the arc.
        outside = np.setdiff1d(cut.graph.neighbours(index), cut.arc)
        assert np.isin(outside, np.concatenate([cut.dropped, cut.corrupt])).all()


def test_against_ours_the_same_luck_gets_the_server_nothing():
    ours = choose(CLIENTS, corrupt=0.1, dropout=0.1, adversary=ACTIVE)
    cut = Cut(ours.neighbours, ours.threshold)
    answering = cut.who_answers()
    ends = [int(cut.arc[0]), int(cut.arc[-1])]
    assert not answering[ends].any()
    # The seeds of the ends cannot be rebuilt: what they sent stays covered, and with it the rest of the arc.
    assert all(cut.shares(index, answering) < cut.threshold for index in ends)
    covered = np.array([cut.shares(index, answering) < cut.threshold for index in range(CLIENTS)])
    hidden = {index for index in cut.arc.tolist() if covered[index]}
    for index in cut.arc.tolist():
        assert index in hidden or hidden & set(cut.graph.neighbours(index).tolist())


def test_clients_refuse_the_published_numbers_and_accept_ours():
    identities = {1: Identity.generate().public_key}
    policy = ClientPolicy(identities=identities, corrupt_fraction=0.1, grinding_bits=0)
    facts = {"cohort_size": CLIENTS, "vector_length": 1, "modulus_bits": 8, "min_survivors": 551}
    with pytest.raises(PolicyViolationError) as raised:
        policy.check(SessionParams(neighbours=PUBLISHED[0], threshold=PUBLISHED[1], **facts))
    assert raised.value.rule == "uncuttable"
    policy = ClientPolicy(identities=identities, corrupt_fraction=0.1)
    policy.check(
        choose(CLIENTS, corrupt=0.1, dropout=0.1, adversary=ACTIVE).session_params(vector_length=1, modulus_bits=8)
    )


# ------------------------------------------------------------------------------ The same over real bytes, in the small
SMALL = SessionParams(cohort_size=20, neighbours=6, threshold=4, vector_length=5, modulus_bits=32, min_survivors=12)
HALF = SMALL.neighbours // 2
TRAITORS = (7, 13)


Parties = tuple[dict[ClientId, ClientSession], ServerSession, dict[ClientId, np.ndarray]]


def an_attack(corrupt_fraction: float) -> Parties:
    ids = range(SMALL.cohort_size)
    keys = {client: Identity.generate() for client in ids}
    known = {client: key.public_key for client, key in keys.items()}
    policy = ClientPolicy(identities=known, corrupt_fraction=corrupt_fraction, grinding_bits=0)
    clients = {client: ClientSession(client, policy, keys[client]) for client in ids}
    rng = np.random.default_rng(3)
    vectors = {client: rng.integers(0, 2**32, SMALL.vector_length, np.uint32) for client in ids}
    return clients, ServerSession(SMALL, ids, known), vectors


def far_apart(cohort: Cohort) -> bool:
    first, second = cohort.graph._position[list(TRAITORS)].tolist()
    return 2 * HALF + 2 <= (second - first) % len(cohort.roster) <= len(cohort.roster) - 2 * HALF - 2


def grind() -> tuple[Parties, Cohort]:
    """A server that tries rosters until its two traitors stand far apart."""
    while True:
        clients, server, vectors = an_attack(corrupt_fraction=0.0)
        for client, session in clients.items():
            server.receive(client, session.receive(server.invitation))
        outbound = server.close_stage()
        message = decode(outbound[0], 0, SMALL, session_id=server.invitation[7:23])
        assert isinstance(message, KeyRoster)
        cohort = Cohort(SMALL, server.invitation[7:23], decode_roster(message.entries, SMALL))
        if far_apart(cohort):
            return (clients, server, vectors), cohort


def test_over_real_bytes_a_server_reads_the_sum_of_an_arc_from_clients_that_assume_nobody_corrupt():
    (clients, server, vectors), cohort = grind()
    ring, places = cohort.graph._ring, cohort.graph._position[list(TRAITORS)]
    size = len(ring)
    runs = [[int(ring[(place + step) % size]) for step in range(-1, 2)] for place in places.tolist()]
    arc = [int(ring[at % size]) for at in range(places[0] + 2, places[0] + (places[1] - places[0]) % size - 1)]
    dropped = [index for run in runs for index in run if index not in TRAITORS]
    assert len(arc) >= 2 * HALF - 1

    for client, session in clients.items():
        server.receive(client, session.receive(server.outbound[client]))
    server.close_stage()
    stolen = {traitor: KeyPair(clients[traitor]._state._peek().mask_private) for traitor in TRAITORS}
    inputs = {}
    for client, session in clients.items():
        inputs[client] = session.receive(server.outbound[client], vector=vectors[client])
        if client not in dropped:
            server.receive(client, inputs[client])
    server.close_stage()
    for _ in range(2):
        for client, session in clients.items():
            if client not in dropped:
                server.receive(client, session.receive(server.outbound[client]))
        if server.stage == "consistency":
            server.close_stage()
    last = server._current
    summed = last.facts.summed
    secrets, errors = rebuild_secrets(
        cohort,
        dealers=last._dealers,
        survivors=last._survivors,
        seed_commitments=summed.dealt.seed_commitments,
        limbs=last._limbs,
        available=last._available,
    )
    assert not errors

    task_ctx = cohort.task_context(summed.dealt.model_digest, dealers=summed.dealt.dealers)
    known = stolen | {index: secrets[index] for index in dropped}
    total = np.zeros(SMALL.vector_length, np.uint32)
    add: list[bytes] = []
    subtract: list[bytes] = []
    for index in arc:
        message = decode(inputs[index], index, SMALL, session_id=server.invitation[7:23])
        assert isinstance(message, MaskedInput)
        total += unpack(message.vector, length=SMALL.vector_length, modulus_bits=SMALL.modulus_bits)
        subtract.append(cohort.self_mask(index, seed=secrets[index], task_ctx=task_ctx))
        for peer in set(cohort.graph.neighbours(index).tolist()) - set(arc):
            mask = cohort.pairwise_mask(peer, known[peer], peer=index, task_ctx=task_ctx)
            (subtract if index < peer else add).append(mask)
    apply_masks(total, add=add, subtract=subtract, suite=SMALL.suite)
    assert np.array_equal(total, sum(vectors[index] for index in arc))


def test_clients_that_assume_a_tenth_corrupt_refuse_that_graph():
    clients, server, _ = an_attack(corrupt_fraction=0.1)
    for session in clients.values():
        with pytest.raises(PolicyViolationError) as raised:
            session.receive(server.invitation)
        assert raised.value.rule == "uncuttable"
        assert session.over
