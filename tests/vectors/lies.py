"""What a server could say in place of the truth: one message of an honest session, replaced."""

from collections.abc import Callable, Collection, Iterator
from itertools import combinations
from typing import Any, NamedTuple

import msgspec
import numpy as np

from secagg.errors import SERVER
from secagg.primitives.bitmap import encode_bitmap
from secagg.protocol.cohort import Cohort
from secagg.protocol.messages import SHARE_RECORD_BYTES
from secagg.protocol.roster import Roster, decode_roster
from secagg.protocol.wire import decode, encode
from tests.vectors import drive
from tests.vectors.forms import DOWN, UP, Json, session_arguments, u64


class Lie(NamedTuple):
    name: str
    comment: str
    inputs: Json
    rule: str


class Honest:
    """A session in which nobody lies: who everyone is, and every message.

    Args:
        params: the session's parameters.
        given: the inputs of its vector.
    """

    def __init__(self, params: Any, given: Json) -> None:
        arguments = session_arguments(given)
        self.params, self.given, self.session_id = params, given, arguments["session_id"]
        self.messages = drive.run_session(params, **arguments).messages
        entries = {}
        for stage, direction, client in self.messages:
            if (stage, direction) == ("share_keys", DOWN):
                part = decode_roster(self.told("share_keys", client).entries, params)
                entries |= dict(zip(part.ranks, part.entries, strict=True))
        self.roster = Roster([entries[rank] for rank in sorted(entries)])
        self.ids = list(self.roster.index)
        self.cohort = Cohort(params, self.session_id, self.roster)

    def told(self, stage: str, client: int) -> Any:
        """Returns what the server sent."""
        return decode(self.messages[stage, DOWN, client], SERVER, self.params, session_id=self.session_id)

    def signature(self, client: int) -> bytes:
        """Returns what a client signed the survivor set with."""
        signed: Any = decode(self.messages["consistency", UP, client], client, self.params, session_id=self.session_id)
        return bytes(signed.signature)

    def neighbours(self, client: int) -> list[int]:
        """Returns a client's neighbours, ascending."""
        return [self.ids[index] for index in self.cohort.graph.neighbours(self.roster.index[client]).tolist()]

    def seen(self, client: int) -> list[int]:
        """Returns whom a client sees, ascending."""
        return [self.ids[index] for index in self.cohort.visible(self.roster.index[client]).tolist()]

    def bitmap(self, client: int, members: Collection[int]) -> bytes:
        """Returns some clients as a bitmap over what `client` sees."""
        return encode_bitmap(np.array([one in members for one in self.seen(client)]))

    def entries(self, clients: Collection[int]) -> bytes:
        """Returns the roster entries of some clients."""
        return self.roster.part(np.array([self.roster.index[client] for client in sorted(clients)])).encode()

    def instead(self, stage: str, client: int, **changes: Any) -> Json:
        """Returns the session's inputs with other fields in one message of the server."""
        message = msgspec.structs.replace(self.told(stage, client), **changes)
        sent = encode(message, self.params.suite, self.session_id)
        change = {"stage": stage, "direction": DOWN, "client": u64(client), "bytes": sent.hex()}
        return self.given | {"damage": [change]}


def roster_lies(honest: Honest) -> Iterator[Lie]:
    """To a client that is not the last of those it sees, and sees the last of the roster."""
    last = honest.ids[-1]
    me = next(one for one in honest.ids if last in honest.neighbours(one))
    size, shown = len(honest.ids), honest.seen(me)

    def told(name: str, comment: str, rule: str, **changes: Any) -> Lie:
        return Lie(f"roster-{name}", comment, honest.instead("share_keys", me, **changes), rule)

    yield told("entry-missing", "An entry less than the client sees", "roster_size", entries=honest.entries(shown[:-1]))
    yield told("total-too-large", "More clients than were invited", "roster_size", total=size + 1)
    if honest.params.active:
        yield told("total-too-small", "More entries than clients", "roster_size", total=size - 1)
        part = honest.entries([me, *honest.neighbours(me)])
        yield told("part", "Only the neighbours' entries and its own", "roster_size", entries=part)
        return
    yield told("total-of-a-smaller-ring", "k' + 1 are fewer than the entries", "roster_size", total=len(shown) - 1)
    yield told("total-not-above-an-index", "The last index is as large as the total", "roster_index", total=size - 1)
    stranger = next(one for one in honest.ids if one not in shown)
    more = honest.entries([*shown, stranger])
    yield told("entry-too-many", "The entry of one that is no neighbour", "malformed", entries=more)
    first = honest.entries(shown[:1])
    twice = first[:8] + honest.entries(shown[1:2])[8:12] + first[12:] + honest.entries(shown[1:])
    yield told("index-twice", "Two entries have one index", "roster_index", entries=twice)


def dealers_lies(honest: Honest) -> Iterator[Lie]:
    """To the first client, which is told of other dealers (U2)."""
    me = honest.ids[0]
    near, size, needed = honest.neighbours(me), SHARE_RECORD_BYTES, honest.params.threshold
    table = honest.told("masked_input", me).table

    def told(name: str, comment: str, rule: str, dealers: Collection[int], table: bytes) -> Lie:
        changes = {"dealers": honest.bitmap(me, dealers), "table": table}
        return Lie(f"dealers-{name}", comment, honest.instead("masked_input", me, **changes), rule)

    others = set(honest.ids) - {me}
    yield told("without-itself", "The client itself is missing", "dealers", others, table)
    few = [me, *near[: needed - 1]]
    yield told("too-few", "It and fewer than t of its neighbours", "dealers", few, table[: (needed - 1) * size])
    far = sorted(others - set(near))
    if honest.params.active:
        fewer = [me, *near[: needed - 1], *far]
        comment = "Fewer than t of its neighbours, and everyone else"
        yield told("too-few-near", comment, "dealers", fewer, table[: (needed - 1) * size])
        # It has no means to notice; but it masks for another task, which the honest half of the server refuses.
        comment = "One that is no neighbour is left out: this client masks under another context"
        yield told("differ", comment, "authentication", set(honest.ids) - {far[0]}, table)


def survivors_lies(honest: Honest) -> Iterator[Lie]:
    """To the first client, of which everybody survives."""
    me, size = honest.ids[0], len(honest.ids)
    near, seen = honest.neighbours(me), len(honest.seen(me))

    def told(name: str, comment: str, survivors: Collection[int], total: int) -> Lie:
        changes = {"survivors": honest.bitmap(me, survivors), "total": total}
        return Lie(f"survivors-{name}", comment, honest.instead("consistency", me, **changes), "survivors")

    everyone = set(honest.ids)
    yield told("without-itself", "The client itself is missing", everyone - {me}, size - 1)
    few = set(near[honest.params.threshold - 1 :])
    yield told("too-few-near", "Fewer than t of its neighbours survive", everyone - few, size - len(few))
    yield told("total-too-large", "More than there can be", everyone, size + 1)
    yield told("total-too-small", "Fewer than it sees", everyone, seen - 1)


def outsider(honest: Honest) -> int:
    """Returns the client that is to leave before it deals, and of which the first client knows that it did."""
    me = honest.ids[0]
    near = honest.neighbours(me)
    return next(one for one in honest.ids[1:] if (one in near) != honest.params.active)


def outsider_lie(honest: Honest) -> Lie:
    """To the first client, in a session in which one client left before it dealt."""
    me = honest.ids[0]
    changes = {"survivors": honest.bitmap(me, honest.ids), "total": len(honest.ids)}
    inputs = honest.instead("consistency", me, **changes)
    return Lie("survivors-outside-dealers", "One survives that never dealt", inputs, "survivors")


def signers_lies(honest: Honest) -> Iterator[Lie]:
    """To one client (ACTIVE); k = 4 and t = 3, of thirteen clients."""
    near = {one: set(honest.neighbours(one)) for one in honest.ids}

    def told(name: str, comment: str, rule: str, me: int, signers: Collection[int], by: Callable[[int], int]) -> Lie:
        signatures = b"".join(honest.signature(by(one)) for one in sorted(signers))
        changes = {"signers": honest.bitmap(me, signers), "signatures": signatures}
        return Lie(f"signers-{name}", comment, honest.instead("unmask", me, **changes), rule)

    def same(one: int) -> int:
        return one

    def swapped(one: int) -> int:
        return {honest.ids[0]: honest.ids[1], honest.ids[1]: honest.ids[0]}.get(one, one)

    everyone, needed = set(honest.ids), honest.params.threshold
    me = honest.ids[0]
    few = everyone - set(sorted(near[me])[: len(near[me]) - needed + 1])
    yield told("too-few-near", "Fewer than t of its neighbours signed", "quorum", me, few, same)
    peer = min(near[me])
    few = everyone - set(sorted(near[peer] - {me})[: len(near[peer]) - needed + 1])
    yield told("too-few-near-a-peer", "Fewer than t of a neighbour's neighbours signed", "quorum", me, few, same)
    yield told("swapped", "Two signatures stand in each other's place", "authentication", me, everyone, swapped)
    quorums = ((one, arc) for one in honest.ids for arc in _arcs(near, one, needed))
    me, arc = next(quorums)
    comment = "Every neighbourhood that it asks about has its quorum, and less than half of the roster signed"
    yield told("no-majority", comment, "quorum", me, arc, same)


def _arcs(near: dict[int, set[int]], me: int, needed: int) -> Iterator[tuple[int, ...]]:
    """Yields sets of less than half of all, with a client, of which all neighbourhoods about it hold enough."""
    involved = {me, *near[me]}
    around = sorted(set().union(*(near[one] for one in involved)))
    for signers in combinations(around, (len(near) - 1) // 2):
        if me in signers and all(len(near[one] & set(signers)) >= needed for one in involved):
            yield signers
