"""Ed25519 signatures over the head of a ledger: who wrote the records up to there.

What is signed is a label and the 32-byte head. The head is the hash of a chain that begins with the header, so that a
signature for one ledger, scope or budget fits no other; the label keeps a signed head from passing as a signed close.
"""

import secrets
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from dp.errors import InvalidParameterError
from dp.ledger.errors import BadRecordError, Fault

__all__ = ["HeadVerifier", "LedgerKey"]

_SEED_BYTES: Final = 32
_HEAD_LABEL: Final = b"dp/ledger/1/head"
_CLOSE_LABEL: Final = b"dp/ledger/1/close"

_POINT_BYTES: Final = 32
_PRIME: Final = 2**255 - 19
# The y-coordinates of the eight points whose order divides 8. OpenSSL takes them as keys, under which anybody can sign;
# libsodium, whose rule this is, does not, neither as a key nor as the first half of a signature.
_SMALL_ORDER: Final = frozenset(
    (
        0,
        1,
        _PRIME - 1,
        2707385501144840649318225287225658788936804267575313519463743609750303402022,
        55188659117513257062467267217118295137698188065244968500265048394206261417927,
    )
)


class LedgerKey:
    """The key that signs the heads of a ledger.

    Args:
        seed: 32 secret bytes.

    Security:
        Anybody who holds the seed can write another ledger in its place; only anchors that others hold (a client's last
        head, a published one) tell the two apart.

    Raises:
        InvalidParameterError: the seed is not 32 bytes.
    """

    __slots__ = ("_key", "public_key")

    def __init__(self, seed: bytes) -> None:
        if type(seed) is not bytes or len(seed) != _SEED_BYTES:
            raise InvalidParameterError("seed", f"<{type(seed).__name__}>", f"{_SEED_BYTES} bytes")
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.public_key: bytes = self._key.public_key().public_bytes_raw()

    def __repr__(self) -> str:
        return f"<LedgerKey {self.public_key.hex()[:16]}>"

    @classmethod
    def generate(cls) -> "LedgerKey":
        """Returns a fresh key from the operating system's randomness."""
        return cls(secrets.token_bytes(_SEED_BYTES))

    def seed(self) -> bytes:
        """Returns the 32-byte secret seed, for the host's key store."""
        return self._key.private_bytes_raw()

    def sign_head(self, head: bytes) -> bytes:
        """Returns the 64-byte signature over a head."""
        return self._key.sign(_HEAD_LABEL + _checked(head))

    def sign_close(self, head: bytes) -> bytes:
        """Returns the 64-byte signature that says: nothing follows this head but its `close`."""
        return self._key.sign(_CLOSE_LABEL + _checked(head))


def _checked(head: bytes) -> bytes:
    if not isinstance(head, bytes):
        raise InvalidParameterError("head", type(head).__name__, "the hash of a record, in bytes")
    return head


class HeadVerifier:
    """Checks the signatures of one ledger.

    Args:
        public_key: the 32 bytes of the header.
        record: the header's number, for the error.

    Raises:
        BadRecordError: the bytes are no public key.
    """

    __slots__ = ("_key",)

    def __init__(self, public_key: bytes, record: int) -> None:
        refusal = BadRecordError(record, Fault.SIGNATURE, "the key in the header is no Ed25519 key")
        if not _sound_point(public_key):
            raise refusal
        try:
            self._key = Ed25519PublicKey.from_public_bytes(public_key)
        except ValueError:
            raise refusal from None

    def check(self, head: bytes, *, signature: bytes, record: int, closing: bool = False) -> None:
        """Checks the signature over a head.

        Args:
            head: the hash of the record before.
            signature: 64 bytes.
            record: the number of the record that holds it, for the error.
            closing: whether it is that of a `close`.

        Raises:
            BadRecordError: it does not verify.
        """
        refusal = BadRecordError(record, Fault.SIGNATURE, "the signature over the records up to here does not verify")
        if not _sound_point(signature[:_POINT_BYTES]):
            raise refusal
        try:
            self._key.verify(signature, (_CLOSE_LABEL if closing else _HEAD_LABEL) + head)
        except InvalidSignature:
            raise refusal from None


def _sound_point(encoded: bytes) -> bool:
    """Whether these are 32 bytes of a canonical y-coordinate, and not of a point of small order."""
    y = int.from_bytes(encoded, "little") % 2**255
    return len(encoded) == _POINT_BYTES and y < _PRIME and y not in _SMALL_ORDER
