"""What the server sends at once, and what the two sides of a pipeline ask of a session."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, TypeVar

from secagg.errors import ClientId
from secagg.params import SessionParams
from secagg.protocol.messages import AbortCode
from secagg.protocol.wire import Octets
from secagg.stages import Stage

__all__ = ["Exchange", "ServedSession"]

Released_co = TypeVar("Released_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Exchange:
    """One exchange: to each address one bundle of bytes, and from each of them one back.

    Args:
        bundles: by address.
        trains: the addresses whose bundle asks for the vector: they get the model with it.
        stages: what each session in it asks for, this one's first.
    """

    bundles: Mapping[int, bytes]
    trains: frozenset[int]
    stages: tuple[Stage, ...]

    def __repr__(self) -> str:
        return f"<Exchange of {' and '.join(self.stages)} with {len(self.bundles)}>"


class ServedSession(Protocol[Released_co]):
    """The server of one session, as `ServerSession` is; layers above have their own."""

    @property
    def params(self) -> SessionParams:
        """The session's parameters."""

    @property
    def session_id(self) -> bytes:
        """The session's 16 bytes."""

    @property
    def invitation(self) -> bytes:
        """The message that begins the session, the same for every client."""

    @property
    def stage(self) -> Stage:
        """The current stage."""

    @property
    def awaited(self) -> frozenset[ClientId]:
        """The clients that may answer the current stage."""

    @property
    def received(self) -> frozenset[ClientId]:
        """The clients whose answer to the current stage was accepted."""

    def has_answered(self, client: ClientId) -> bool:
        """Whether a client's answer to the current stage was accepted."""

    @property
    def can_close(self) -> bool:
        """Whether enough clients have answered for the session to go on."""

    @property
    def held(self) -> bool:
        """Whether the session waits to deliver."""

    @property
    def outbound(self) -> Mapping[ClientId, bytes]:
        """What the last `close_stage` returned."""

    def receive(self, sender: ClientId, data: Octets) -> None:
        """Takes one client's message."""

    def hold(self) -> None:
        """Ends the stage share_keys, and delivers nothing yet."""

    def close_stage(self, model_digest: bytes) -> Mapping[ClientId, bytes] | Released_co:
        """Ends the current stage; returns what to send to whom, or after the last stage what is released."""

    def abort_message(self, code: AbortCode) -> bytes:
        """Returns the message that ends the session for every client that gets it."""

    def to_bytes(self, wrapping_key: bytes | None = None) -> bytes:
        """Returns a snapshot."""
