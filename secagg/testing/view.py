"""What the server got to see, counted: the invariant that its view never opens a single client."""

from collections import defaultdict
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from secagg.errors import ClientId
from secagg.params import SessionParams
from secagg.primitives.bitmap import decode_bitmap
from secagg.primitives.shamir import SHARE_BYTES, decode_shares
from secagg.protocol.cohort import Cohort
from secagg.protocol.messages import KeyRoster, MaskedInput, Message, ShareDelivery, UnmaskingShares
from secagg.protocol.roster import Roster, decode_roster


class ServerView:
    """Collects, from the bytes that clients really sent, which shares of whom the server holds.

    Tell it what each client was shown and what it answered; then ask `exposed`. A client is exposed
    if at least t shares of its mask key *and* of its self-mask seed are in the view: the server could
    then take both masks off that client's input.

    Args:
        params: the session's parameters.
        session_id: its id.
        rosters: the rosters that were sent, which together name everyone.
    """

    def __init__(self, params: SessionParams, session_id: bytes, rosters: Iterable[KeyRoster]) -> None:
        parts = [decode_roster(message.entries, params) for message in rosters]
        entries = {rank: entry for part in parts for rank, entry in zip(part.ranks, part.entries, strict=True)}
        self._cohort = Cohort(params, session_id, Roster([entries[rank] for rank in sorted(entries)]))
        self._threshold = params.threshold
        self._dealers: dict[ClientId, npt.NDArray[np.bool_]] = {}
        self._unopened: dict[ClientId, npt.NDArray[np.bool_]] = {}
        self._survivors: dict[ClientId, npt.NDArray[np.bool_]] = {}
        self._holders: dict[tuple[int, str], set[int]] = defaultdict(set)

    @property
    def cohort(self) -> Cohort:
        """The session's public facts."""
        return self._cohort

    @property
    def roster(self) -> tuple[ClientId, ...]:
        """The clients whose exposure is watched, ascending."""
        return tuple(entry.client for entry in self._cohort.roster.entries)

    def delivered(self, client: ClientId, message: ShareDelivery) -> None:
        """Notes whose shares a client was given."""
        self._dealers[client] = self.members(client, message.dealers)

    def answered(self, client: ClientId, message: Message) -> None:
        """Notes what a client sent."""
        if isinstance(message, MaskedInput):
            self._unopened[client] = self.members(client, message.unopened)
        elif isinstance(message, UnmaskingShares):
            neighbours = self._cohort.graph.neighbours(self._cohort.roster.index[client])
            held = (self._dealers[client] & ~self._unopened[client])[neighbours]
            dealers = neighbours[held].tolist()
            points, _, _ = decode_shares(message.table)
            if len(message.table) != len(dealers) * SHARE_BYTES:
                raise ValueError("the answer does not hold one share for each peer")
            for dealer, point in zip(dealers, points.tolist(), strict=True):
                kind = "self-mask seed" if self._survivors[client][dealer] else "mask key"
                self._holders[dealer, kind].add(point)

    def shown_survivors(self, client: ClientId, survivors: bytes) -> None:
        """Notes which survivor set (a bitmap) a client was shown last before it answered."""
        self._survivors[client] = self.members(client, survivors)

    def exposed(self) -> frozenset[ClientId]:
        """Returns the clients of whom the view holds enough shares of both kinds."""
        return frozenset(
            client
            for index, client in enumerate(self.roster)
            if all(len(self._holders[index, kind]) >= self._threshold for kind in ("self-mask seed", "mask key"))
        )

    def peers(self, client: ClientId) -> npt.NDArray[np.intp]:
        """Returns the indices of those whose shares a client was given (V_u)."""
        neighbours = self._cohort.graph.neighbours(self._cohort.roster.index[client])
        return neighbours[self._dealers[client][neighbours]]

    def members(self, client: ClientId, bitmap: bytes) -> npt.NDArray[np.bool_]:
        """Returns what a bitmap shown to or sent by a client says of everyone, shape (roster size,)."""
        visible = self._cohort.visible(self._cohort.roster.index[client])
        seen = decode_bitmap(bitmap, len(visible))
        if seen is None:
            raise ValueError("no bitmap over what the client sees of the roster")
        present = np.zeros(len(self._cohort.roster), np.bool_)
        present[visible] = seen
        return present
