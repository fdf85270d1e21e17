"""One session with its roster fixed: the contexts and the graph that follow from it.

Nothing here is secret, and everything is recomputed from parameters, session id and roster, never
taken from a message.

The roster is that of the one who looks. A client that sees its neighbourhood only has as many entries
as neighbours and itself, and its graph over them is complete: the same code serves both.
"""

import numpy as np
import numpy.typing as npt

from secagg.errors import ClientId
from secagg.graph.ring import Graph
from secagg.params import SessionParams
from secagg.primitives.agreement import KeyPair
from secagg.protocol import labels
from secagg.protocol.roster import Roster
from secagg.protocol.sealing import SealContext
from secagg.protocol.transcript import (
    derive_key,
    graph_seed,
    roster_context,
    self_mask_commitment,
    session_context,
    share_commitment,
    task_context,
    u64,
)


class Cohort:
    """The public facts of a session after stage 0. An index is a place in `roster`."""

    __slots__ = ("graph", "params", "roster", "roster_ctx", "roster_hash")

    def __init__(self, params: SessionParams, session_id: bytes, roster: Roster) -> None:
        session_ctx = session_context(params, session_id)
        self.params = params
        self.roster = roster
        self.roster_hash = roster.digest(params, session_ctx)
        self.roster_ctx = roster_context(params, session_ctx=session_ctx, roster_hash=self.roster_hash)
        neighbours = params.neighbours_among(len(roster))
        self.graph = Graph(
            len(roster), neighbours=neighbours, seed=graph_seed(params.suite, self.roster_hash), suite=params.suite
        )

    def client(self, index: int) -> ClientId:
        """Returns the id of the client at an index."""
        return self.roster.entries[index].client

    def visible(self, index: int) -> npt.NDArray[np.intp]:
        """Returns, ascending, the indices of those whose entries the client at `index` sees."""
        if self.params.shows_roster:
            return np.arange(len(self.roster))
        return np.sort(np.append(self.graph.neighbours(index), index))

    def task_context(self, model_digest: bytes, *, dealers: bytes) -> bytes:
        """Returns the context of the masks for one model digest and the bitmap of those who dealt."""
        return task_context(self.params, roster_ctx=self.roster_ctx, model_digest=model_digest, dealers=dealers)

    def seal_context(self, sender: int, *, receiver: int) -> SealContext:
        """Returns what a seal from one index to another is bound to."""
        one, other = self.roster.entries[sender], self.roster.entries[receiver]
        return SealContext(
            self.params.suite,
            self.roster_ctx,
            sender=one.client,
            receiver=other.client,
            sender_key=one.seal_key,
            receiver_key=other.seal_key,
        )

    def share_commitment(self, dealer: int, *, holder: int, kind: int, share: bytes) -> bytes:
        """Returns the commitment to the share that one index dealt to another."""
        return share_commitment(
            self.params.suite,
            self.roster_ctx,
            dealer=self.client(dealer),
            holder=self.client(holder),
            kind=kind,
            share=share,
        )

    def self_mask_commitment(self, index: int, seed: bytes) -> bytes:
        """Returns the commitment to the self-mask seed of an index."""
        return self_mask_commitment(self.params.suite, roster_ctx=self.roster_ctx, client=self.client(index), seed=seed)

    def self_mask(self, index: int, *, seed: bytes, task_ctx: bytes) -> bytes:
        """Returns the stream key of a client's own mask."""
        return derive_key(self.params.suite, seed, u64(self.client(index)), salt=task_ctx, use=labels.SELF_MASK)

    def pairwise_mask(self, index: int, key: KeyPair, *, peer: int, task_ctx: bytes) -> bytes:
        """Returns the stream key of the mask between two clients; the same from either end.

        Args:
            index: the end whose private key is at hand.
            key: that end's mask key pair.
            peer: the other end.
            task_ctx: the context of the masks.

        Raises:
            AuthenticationError: the peer's key gives the zero secret.
        """
        entries = self.roster.entries
        # The roster is ascending in id, so the lower index is the smaller id.
        low, high = entries[min(index, peer)], entries[max(index, peer)]
        secret = key.shared_secret(entries[peer].mask_key, entries[peer].client)
        return derive_key(
            self.params.suite,
            secret,
            u64(low.client),
            u64(high.client),
            low.mask_key,
            high.mask_key,
            salt=task_ctx,
            use=labels.PAIRWISE_MASK,
        )
