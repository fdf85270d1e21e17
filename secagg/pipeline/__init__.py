"""Rounds one after another in as few exchanges as they take: the next session's keys and shares ride on this one's.

* `ServerPipeline`: this round's session and the next one's; an `Exchange` is what it sends at once.
* `ClientSessions`: a client's sessions with one server. `Answer`: what one exchange asks of it.
* `SessionStore`, `JoinedSession`, `ServedSession`: for layers above that have sessions of their own.
* `Part`, `encode_bundle`, `decode_bundle`: what travels.
"""

from secagg.pipeline.bundle import MOST_PARTS, Part, decode_bundle, encode_bundle
from secagg.pipeline.client import MOST_OPEN, Answer, ClientSessions, JoinedSession, SessionStore
from secagg.pipeline.exchange import Exchange, ServedSession
from secagg.pipeline.server import ServerPipeline

__all__ = [
    "MOST_OPEN",
    "MOST_PARTS",
    "Answer",
    "ClientSessions",
    "Exchange",
    "JoinedSession",
    "Part",
    "ServedSession",
    "ServerPipeline",
    "SessionStore",
    "decode_bundle",
    "encode_bundle",
]
