"""A client's private rounds that live in a pipeline: every message comes in a bundle, beside the next offer."""

from typing import Any

from fl.private import ClientRound, ClientRounds, Contribution
from fl.private.messages import decode_round_message
from secagg import NO_MODEL, InvalidInputError, SecAggError
from secagg.pipeline import Part, decode_bundle, encode_bundle
from tests.kit.pipelined_sessions import session_id_of

__all__ = ["PipelinedRound"]


class _Store(ClientRounds):
    """The rounds of one client, the first of which is made elsewhere."""

    first: ClientRound | None = None

    def _begin(self) -> ClientRound:
        first, self.first = self.first, None
        return super()._begin() if first is None else first

    def _answer(self, session: ClientRound, data: Any) -> bytes | None:
        return ClientRound.receive(session, data)

    def _masked(self, session: ClientRound, data: Any, given: Any, model_digest: bytes) -> bytes | None:
        return ClientRound.receive(session, data, given, model_digest=model_digest)


class PipelinedRound(ClientRound):
    """A client's round within a store that is also offered the next one."""

    beside: bytes | None = None
    """The offer of the next round."""

    _rounds: _Store | None = None

    def receive(self, data: Any, contribution: Any = None, *, model_digest: bytes = NO_MODEL, **parts: Any) -> Any:
        if parts:
            contribution = Contribution(
                parts.get("update"), parts.get("weight", 1), parts.get("side_values"), parts.get("examples")
            )
        of = _round_of(data)
        if of is None or (self.session_id is not None and of != self.session_id) or self.over:
            return super().receive(data, contribution, model_digest=model_digest)
        store = self._store()
        beside = [] if self.beside is None else [self.beside]
        bundled = [Part(of, bytes(data)), *(Part(_round_of(other) or b"", other) for other in beside)]
        answer = store.receive(encode_bundle(bundled))
        if answer.session is self:
            if contribution is None:
                return super().receive(data, contribution, model_digest=model_digest)
            answer.train(contribution, model_digest)
        if of in answer.refused:
            raise answer.refused[of]
        replies = {part.session_id: bytes(part.message) for part in decode_bundle(answer.to_bytes(), self._client)[1]}
        return replies.get(of)

    def _store(self) -> _Store:
        store = self._rounds
        if store is None:
            store = self._rounds = _Store(
                self._plan, self._client, self._counter, self._identity, identities=self._identities
            )
            if self.session_id is not None:
                store._sessions[self.session_id] = self
                if self._counted is not None:
                    store._trained = (self.round_number, self.session_id)
        # A store drops what an offer did not begin; this one is to begin in spite of it.
        store.first = self if self.session_id is None else None
        return store


def _round_of(data: Any) -> bytes | None:
    """Returns the session that a round's message says it is of; None for what is no message."""
    try:
        return session_id_of(decode_round_message(data).session)
    except (SecAggError, InvalidInputError):
        return None
