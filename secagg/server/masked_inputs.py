"""Stage 2 on the server: one running sum of masked vectors, and no vector."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from secagg.errors import (
    AuthenticationError,
    ClientId,
    InvalidInputError,
    InvalidShareError,
    TooFewClientsError,
)
from secagg.primitives.bitmap import decode_bitmap, encode_bitmap
from secagg.primitives.packing import check_packed, unpacked_blocks
from secagg.primitives.prg import word_dtype
from secagg.protocol.dealing import KIND_MASK_KEY, KIND_NAMES, KIND_SELF_MASK_SEED
from secagg.protocol.messages import MaskedInput, Message, SurvivorSet
from secagg.protocol.transcript import (
    task_digest,
)
from secagg.server.collecting import CollectingFromRoster, Outbound, Present
from secagg.server.facts import Dealt, Signed, Summed, members
from secagg.server.faults import Fault, disputed, disputing
from secagg.server.signatures import CollectingSignatures
from secagg.server.unmasking import CollectingUnmasking
from secagg.stages import Stage


class _Adding(NamedTuple):
    """An input on its way into the sum. Until it is there, whatever was interrupted is done again from here."""

    client: int
    """Whose input, by roster index."""
    vector: memoryview
    unopened: Present
    block: int = 0
    """How many blocks of the vector are in the sum for certain."""
    place: int = 0
    """A word of the next block that is not zero, so that adding the block changes the sum there."""
    before: int | None = None
    """The sum there, before the block is added to it; None where the next block was not looked at yet."""


class CollectingMaskedInputs(CollectingFromRoster[Dealt, MaskedInput]):
    """Stage 2: masked vectors, each checked whole, then added to the one running sum and forgotten."""

    stage = Stage.MASKED_INPUT
    expects = MaskedInput

    def __init__(self, facts: Dealt, faults: dict[ClientId, Fault]) -> None:
        super().__init__(facts, facts.enrolled, facts.dealers, faults)
        size = len(self._index)
        self._dealers = members(facts.dealers, size)
        self._unopened = np.zeros(self._neighbours.shape, np.bool_)
        self._sum = np.zeros(self.params.vector_length, word_dtype(self.params.modulus_bits))
        self._adding: _Adding | None = None
        task_ctx = self._cohort.task_context(facts.model_digest, dealers=facts.dealers)
        self._task_digest = task_digest(self.params.suite, task_ctx)

    def receive(self, sender: ClientId, message: Message) -> None:
        """Accepts one client's message; see `Collecting.receive`. An interrupted addition is finished first."""
        self._finish_adding()
        super().receive(sender, message)

    def _accept(self, sender: ClientId, message: MaskedInput) -> None:
        index = self._index[sender]
        unopened = self._reported(index, message)
        if unopened is None:
            raise self._malformed(sender, "unopened lists someone whose shares were not delivered")
        if message.task_digest != self._task_digest:
            # Without this, two honest parties with different models would end in a garbage sum, silently.
            raise AuthenticationError(sender, "it masked for another model digest or round")
        try:
            check_packed(message.vector, length=self.params.vector_length, modulus_bits=self.params.modulus_bits)
        except InvalidInputError as error:
            raise self._malformed(sender, f"vector: {error.problem}") from None
        self._adding = _Adding(index, memoryview(message.vector), unopened)
        self._finish_adding()

    def _finish_adding(self) -> None:
        """Adds what is left of an input; an interruption anywhere leaves it to the next call.

        A block is added by one call of numpy's, which no signal cuts in half. Whether it was made is seen by one word.
        One assignment says that a block is done, and by which word the next one is told.
        """
        adding = self._adding
        if adding is None:
            return
        length, bits = self.params.vector_length, self.params.modulus_bits
        for number, (place, block) in enumerate(unpacked_blocks(adding.vector, length=length, modulus_bits=bits)):
            if number < adding.block:
                continue
            target = self._sum[place].reshape(block.shape)
            if number > adding.block or adding.before is None:
                word = 0 if block.flat[0] else int(np.argmax(block != 0))
                adding = adding._replace(block=number, place=word, before=int(target.flat[word]))
                self._adding = adding
            if int(target.flat[adding.place]) == adding.before:
                np.add(target, block, out=target)
        self._unopened[adding.client] = adding.unopened
        self._marks[adding.client] = True
        self._adding = None

    def _reported(self, index: int, message: MaskedInput) -> Present | None:
        """Returns which of its neighbours a client reports, shape (k,), or None where it names anyone else."""
        visible = self._cohort.visible(index)
        seen = decode_bitmap(message.unopened, len(visible))
        if seen is None:
            return None
        unopened = np.zeros(len(self._index), np.bool_)
        unopened[visible] = seen
        among_neighbours = unopened[self._neighbours[index]]
        strangers = np.count_nonzero(unopened) - np.count_nonzero(among_neighbours)
        return None if strangers or np.any(unopened & ~self._dealers) else among_neighbours

    def _reports(self) -> Present:
        """Returns which of its neighbours report each dealer, shape (size, k)."""
        return self._unopened[self._neighbours, self._places]

    def _shortage(self) -> TooFewClientsError | None:
        self._finish_adding()
        return self._too_few_inputs() or self._unopenable() or self._too_few_willing()

    def _too_few_inputs(self) -> TooFewClientsError | None:
        needed, remaining = self.params.min_survivors, int(np.count_nonzero(self._arrived))
        if remaining < needed:
            return self._too_few(needed, remaining)
        return self._smallest_neighbourhood(self._dealers, self._cohort.graph.members_present(self._arrived))

    def _unopenable(self) -> TooFewClientsError | None:
        """Returns the shortage where too many peers report that what some dealer sealed does not open."""
        opened = self._cohort.graph.members_present(self._arrived) - np.count_nonzero(self._reports(), axis=1)
        return self._smallest_neighbourhood(self._dealers, opened)

    def _unwilling(self) -> Present:
        """Returns who will refuse the survivor set: whose own count of those that take part for certain is too small.

        A client counts a survivor only if what it sealed opened, and refuses a set with fewer than `min_survivors` of
        them. So one dealer of garbage can make its peers leave where no more survive than must.
        """
        doubted = np.count_nonzero(self._unopened & self._arrived[self._neighbours], axis=1)
        certain = int(np.count_nonzero(self._arrived)) - doubted
        unwilling: Present = self._arrived & (certain < self.params.min_survivors)
        return unwilling

    def _too_few_willing(self) -> TooFewClientsError | None:
        """Returns the shortage where those who will not refuse are too few to sign, or to open what someone dealt."""
        unwilling = self._unwilling()
        if not unwilling.any():
            return None
        willing = self._arrived & ~unwilling
        if self.params.active and (signing := int(np.count_nonzero(willing))) < self.params.min_signatures:
            return self._too_few(self.params.min_signatures, signing)
        reports = self._reports() & willing[self._neighbours]
        opened = self._cohort.graph.members_present(willing) - np.count_nonzero(reports, axis=1)
        return self._smallest_neighbourhood(self._dealers, opened)

    def _note_doubted(self) -> None:
        """Notes those because of whom others will leave: it may be the reason why too few are left later.

        They are the dealers of garbage that survive. Or whoever reports more than half of its peers, for so many are
        never corrupt: a liar cannot have everybody noted.
        """
        peers = self._neighbours.shape[1]
        unwilling = self._unwilling()
        slandering = unwilling & (2 * np.count_nonzero(self._unopened, axis=1) > peers)
        for client in np.flatnonzero(slandering).tolist():
            reports = int(np.count_nonzero(self._unopened[client]))
            fault = disputing(self.stage, reports=reports, peers=peers)
            self.faults.setdefault(self._cohort.client(client), fault)
        believable = (unwilling & ~slandering)[self._neighbours]
        doubted = self._arrived & (self._reports() & believable).any(axis=1)
        for dealer in np.flatnonzero(doubted).tolist():
            reports = int(np.count_nonzero(self._reports()[dealer]))
            fault = disputed(self.stage, reports=reports, peers=peers)
            self.faults.setdefault(self._cohort.client(dealer), fault)

    def close(self) -> tuple["CollectingSignatures | CollectingUnmasking", Mapping[ClientId, SurvivorSet]]:
        """Fixes the survivors (U3), irrevocably, and tells them who they are.

        Raises:
            TooFewClientsError: not enough inputs yet, or not enough peers that could open what one client
                dealt; that client is then noted in `faults`. The stage stays open.
            InvalidShareError: more of one client's peers than can be corrupt report that what it dealt does
                not open, and what is left is not enough. The stage stays open.
        """
        self._require_open()
        self._finish_adding()
        if self._too_few_inputs() is None:
            self._note_disputed()
            self._note_doubted()
        self._require_closable()
        # Bonawitz et al. 2017, figure 4, round 2, server: U3 is who sent a masked input, at least t; each of them
        # gets U3.
        survivors = encode_bitmap(self._arrived)
        summed = Summed(self.facts, survivors, self._unopened, self._sum)
        outbound = Outbound(self._clients(self._arrived), self._survivor_sets())
        following: CollectingSignatures | CollectingUnmasking
        if self.params.active:
            following = CollectingSignatures(summed, self.faults)
        else:
            following = CollectingUnmasking(Signed(summed, survivors), self.faults)
        self._closed = True
        return following, outbound

    def _survivor_sets(self) -> Callable[[ClientId], SurvivorSet]:
        arrived, cohort = self._arrived, self._cohort
        total = int(np.count_nonzero(arrived))
        if self.params.shows_roster:
            message = SurvivorSet(encode_bitmap(arrived), total)
            return lambda _: message
        return lambda client: SurvivorSet(encode_bitmap(arrived[cohort.visible(cohort.roster.index[client])]), total)

    def _note_disputed(self) -> None:
        shortage = self._unopenable()
        if shortage is None or shortage.neighbourhood is None:
            return
        dealer = self._index[shortage.neighbourhood]
        reports = int(np.count_nonzero(self._reports()[dealer]))
        peers = self._neighbours.shape[1]
        if not reports:
            return
        # Nobody can prove who lies, the dealer or those who report. As many as could open a client, and more than half,
        # are never corrupt in one neighbourhood where the threshold holds: they are believed. Fewer are a dispute.
        opening = 2 * self.params.threshold - peers if self.params.active else self.params.threshold
        believed = reports >= max(opening, peers // 2 + 1)
        fault = disputed(self.stage, reports=reports, peers=peers)
        if believed:
            fault = Fault(self.stage, InvalidShareError.__name__, fault.detail)
        self.faults.setdefault(shortage.neighbourhood, fault)
        if believed:
            kind = KIND_SELF_MASK_SEED if self._arrived[dealer] else KIND_MASK_KEY
            raise InvalidShareError(shortage.neighbourhood, "dealer", shortage.neighbourhood, KIND_NAMES[kind])
