"""Sessions that live in a pipeline: every message comes in a bundle, with one of the next round's session beside it.

They are used as sessions are. So whatever is played through a session can be played through a pipeline, and has to come
to the same end.
"""

import contextlib
from typing import Any

from secagg import NO_MODEL, ClientSession, SecAggError, ServerSession, StrayMessageError
from secagg.pipeline import ClientSessions, Part, ServerPipeline, decode_bundle, encode_bundle
from secagg.pipeline.lane import Lane
from secagg.protocol.wire import read_header

__all__ = ["PipelinedClient", "PipelinedServer"]


def session_id_of(data: Any) -> bytes | None:
    """Returns the session that a message says it is of; None for what is no message."""
    try:
        return read_header(data, 0).session_id
    except SecAggError:
        return None


class _Store(ClientSessions):
    """The sessions of one client, the first of which is made elsewhere."""

    first: ClientSession | None = None

    def _begin(self) -> ClientSession:
        first, self.first = self.first, None
        return super()._begin() if first is None else first

    def _answer(self, session: ClientSession, data: Any) -> bytes | None:
        return ClientSession.receive(session, data)

    def _masked(self, session: ClientSession, data: Any, given: Any, model_digest: bytes) -> bytes | None:
        return ClientSession.receive(session, data, vector=given, model_digest=model_digest)


class PipelinedClient(ClientSession):
    """A client's session within a store that also joins the session of the next round."""

    beside: bytes | None = None
    """The invitation to a session of the next round."""

    def receive(self, data: Any, *, vector: Any = None, model_digest: bytes = NO_MODEL) -> bytes | None:
        of = session_id_of(data)
        if of is None or (self.session_id is not None and of != self.session_id) or self.over:
            # Not for this session, which says so itself.
            return super().receive(data, vector=vector, model_digest=model_digest)
        store = self._store()
        beside = [] if self.beside is None else [self.beside]
        parts = [Part(of, bytes(data))] + [Part(session_id_of(other) or b"", other) for other in beside]
        answer = store.receive(encode_bundle(parts))
        if answer.session is self:
            if vector is None:
                return super().receive(data, vector=vector, model_digest=model_digest)
            answer.train(vector, model_digest)
        if of in answer.refused:
            raise answer.refused[of]
        for other in beside:
            assert session_id_of(other) not in answer.refused, answer.refused
        replies = {part.session_id: bytes(part.message) for part in decode_bundle(answer.to_bytes(), self._client)[1]}
        assert len(replies) == len(beside) + (of in replies)
        return replies.get(of)

    def _store(self) -> _Store:
        store = _STORES.get(id(self))
        if store is None or store[0] is not self:
            made = _Store(self._client, self._policy, self._identity, executor=self._executor)
            if self.session_id is not None:
                made._sessions[self.session_id] = self
                if made._trained[0] < (self.round_number or 0) and not self._wants_more:
                    made._trained = (self.round_number or 0, self.session_id)
            store = _STORES[id(self)] = (self, made)
        # A store drops what an invitation did not begin; this one is to begin in spite of it.
        store[1].first = self if self.session_id is None else None
        return store[1]

    @property
    def _wants_more(self) -> bool:
        return self.phase in ("AdvertisingKeys", "SharingKeys", "MaskingInput")


_STORES: dict[int, tuple[PipelinedClient, _Store]] = {}


class PipelinedServer(ServerSession):
    """A server's session within a pipeline."""

    def receive(self, sender: int, data: Any) -> None:
        of = session_id_of(data)
        if of != self.session_id or not isinstance(data, bytes) or type(sender) is not int:
            super().receive(sender, data)
            return
        pipeline: ServerPipeline[Any] = ServerPipeline()
        everybody = tuple(self.awaited | {sender})
        pipeline._current = Lane(_Plain(self), everybody, {client: client for client in everybody})
        other = bytes(byte ^ 1 for byte in of or b"")
        with contextlib.suppress(StrayMessageError):
            pipeline.receive(sender, encode_bundle([Part(other, b"of a session that is over"), Part(of, data)], sender))


class _Plain:
    """A session whose `receive` is `ServerSession`'s own."""

    def __init__(self, session: PipelinedServer) -> None:
        self._session = session

    def receive(self, sender: int, data: Any) -> None:
        ServerSession.receive(self._session, sender, data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)
