"""What the server got to see, counted: the invariant that its view never opens a single client."""

from collections import defaultdict

import numpy as np

from secagg.bitmap import decode_bitmap
from secagg.errors import ClientId
from secagg.messages import MaskedInput, Message, ShareDelivery, UnmaskingShares
from secagg.shamir import SHARE_BYTES, decode_shares


class ServerView:
    """Collects, from the bytes that clients really sent, which shares of whom the server holds.

    Tell it what each client was shown and what it answered; then ask `exposed`. A client is exposed
    if at least `threshold` shares of its mask key *and* of its self-mask seed are in the view: the
    server could then take both masks off that client's input.
    """

    def __init__(self, roster: tuple[ClientId, ...], threshold: int) -> None:
        self._roster = tuple(sorted(roster))
        self._threshold = threshold
        self._senders: dict[ClientId, frozenset[ClientId]] = {}
        self._unopened: dict[ClientId, frozenset[ClientId]] = {}
        self._survivors: dict[ClientId, frozenset[ClientId]] = {}
        self._holders: dict[tuple[ClientId, str], set[int]] = defaultdict(set)

    @property
    def roster(self) -> frozenset[ClientId]:
        """The clients whose exposure is watched."""
        return frozenset(self._roster)

    def delivered(self, client: ClientId, message: ShareDelivery) -> None:
        """Notes whose shares a client was given."""
        self._senders[client] = self._members(message.senders)

    def answered(self, client: ClientId, message: Message) -> None:
        """Notes what a client sent."""
        if isinstance(message, MaskedInput):
            self._unopened[client] = self._members(message.unopened)
        elif isinstance(message, UnmaskingShares):
            dealers = sorted(self._senders[client] - self._unopened[client])
            points, _, _ = decode_shares(message.table)
            if len(message.table) != len(dealers) * SHARE_BYTES:
                raise ValueError("the answer does not hold one share for each peer")
            for dealer, point in zip(dealers, points.tolist(), strict=True):
                kind = "self-mask seed" if dealer in self._survivors[client] else "mask key"
                self._holders[dealer, kind].add(point)

    def shown_survivors(self, client: ClientId, survivors: bytes) -> None:
        """Notes which survivor set (a bitmap) a client was shown last before it answered."""
        self._survivors[client] = self._members(survivors)

    def exposed(self) -> frozenset[ClientId]:
        """Returns the clients of whom the view holds enough shares of both kinds."""
        return frozenset(
            client
            for client in self._roster
            if all(len(self._holders[client, kind]) >= self._threshold for kind in ("self-mask seed", "mask key"))
        )

    def _members(self, bitmap: bytes) -> frozenset[ClientId]:
        present = decode_bitmap(bitmap, len(self._roster))
        if present is None:
            raise ValueError("no bitmap over the roster")
        return frozenset(self._roster[index] for index in np.flatnonzero(present).tolist())
