"""X25519 key agreement (RFC 7748) that never yields the zero secret."""

from typing import Final, NoReturn

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from secagg.errors import AuthenticationError, Culprit, InvalidStateError

KEY_BYTES: Final = 32

_PRIME: Final = 2**255 - 19

# The canonical u-coordinates of order 1, 2, 4 and 8 on the curve and its twist: any of them makes the shared
# secret zero whatever the other side's key is, so a client that advertises one takes part without a secret.
_LOW_ORDER: Final = frozenset(
    u.to_bytes(KEY_BYTES, "little")
    for u in (
        0,
        1,
        _PRIME - 1,
        325606250916557431795983626356110631294008115727848805560023387167927233504,
        39382357235489614581723060781553021112529911719440698176882885853963445705823,
    )
)


class KeyPair:
    """An X25519 key pair for one purpose in one session.

    Security: the private half leaves only through `private_bytes`, which exists because the
    protocol shares it out; `repr` shows nothing.
    """

    __slots__ = ("_private", "public")

    def __init__(self, private: bytes) -> None:
        self._private = X25519PrivateKey.from_private_bytes(private)
        self.public = self._private.public_key().public_bytes_raw()

    def __repr__(self) -> str:
        return "<KeyPair>"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise InvalidStateError("a key pair is not copied or pickled: it is for one purpose in one session")

    def private_bytes(self) -> bytes:
        """Returns the 32-byte private key."""
        return self._private.private_bytes_raw()

    def shared_secret(self, public: bytes, owner: Culprit) -> bytes:
        """Returns the 32-byte X25519 secret with a peer's public key.

        Raises:
            AuthenticationError: the secret would be zero; `owner` is named.
        """
        try:
            return self._private.exchange(X25519PublicKey.from_public_bytes(public))
        except ValueError:
            raise AuthenticationError(owner, "key agreement gives the zero secret") from None


def check_public_key(public: bytes, owner: Culprit) -> None:
    """Refuses a public key that is not canonical or of low order.

    Raises:
        AuthenticationError: with the reason; `owner` is named.
    """
    if len(public) != KEY_BYTES or int.from_bytes(public, "little") >= _PRIME:
        raise AuthenticationError(owner, "a public key is not a canonical X25519 key")
    if public in _LOW_ORDER:
        raise AuthenticationError(owner, "a public key is a point of low order")
