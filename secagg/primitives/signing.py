"""Long-term Ed25519 identities: they sign a session's keys and its survivor set, nothing else."""

import secrets
from typing import Final, NoReturn

from nacl.bindings import crypto_sign_seed_keypair
from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey, VerifyKey

from secagg.errors import AuthenticationError, Culprit, InvalidInputError, InvalidStateError

IDENTITY_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64
_SEED_BYTES: Final = 32

_PRIME: Final = 2**255 - 19
_SIGN_BIT: Final = 2**255

# The y-coordinates of the eight points whose order divides 8, from order 4, 1 and 2 to the two of order 8. Under such a
# key one signature fits every eighth message or more, so it says nothing about who signed.
_SMALL_ORDER: Final = frozenset(
    (
        0,
        1,
        _PRIME - 1,
        2707385501144840649318225287225658788936804267575313519463743609750303402022,
        55188659117513257062467267217118295137698188065244968500265048394206261417927,
    )
)


class Identity:
    """A client's long-term signing key.

    Security: never part of a snapshot; the host stores the seed where it stores its other keys.
    """

    __slots__ = ("_key", "public_key")

    def __init__(self, seed: bytes) -> None:
        if type(seed) is not bytes or len(seed) != _SEED_BYTES:
            raise InvalidInputError("seed", "wrong type or length", f"{_SEED_BYTES} bytes")
        self._key = SigningKey(seed)
        self.public_key: bytes = crypto_sign_seed_keypair(seed)[0]

    def __repr__(self) -> str:
        return f"<Identity {self.public_key.hex()[:16]}>"

    def __copy__(self) -> "Identity":
        return self

    def __deepcopy__(self, memo: object) -> "Identity":
        return self

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise InvalidStateError("an identity is not pickled: store its seed(), and make it again by Identity(seed)")

    @classmethod
    def generate(cls) -> "Identity":
        """Returns a fresh identity from the operating system's randomness."""
        return cls(secrets.token_bytes(_SEED_BYTES))

    def seed(self) -> bytes:
        """Returns the 32-byte secret seed, for the host's key store."""
        return bytes(self._key)

    def sign(self, digest: bytes) -> bytes:
        """Returns the 64-byte signature over a digest of `transcript`.

        Raises:
            InvalidInputError: the digest is not bytes.
        """
        if type(digest) is not bytes:
            raise InvalidInputError("digest", f"it is {type(digest).__name__}", "bytes")
        return self._key.sign(digest).signature


def identity_problem(public_key: object) -> str | None:
    """Returns why this can be nobody's identity key, or None: the rule of docs/protocol.md, which libsodium's is.

    OpenSSL accepts keys of small order, and so would a party that rests on it. Keys are public: this need not be
    constant-time.
    """
    if type(public_key) is not bytes or len(public_key) != IDENTITY_BYTES:
        return f"not {IDENTITY_BYTES} bytes"
    y = int.from_bytes(public_key, "little") % _SIGN_BIT
    if y >= _PRIME:
        return "no canonical encoding of an Ed25519 point"
    return "an Ed25519 point of small order" if y in _SMALL_ORDER else None


def verify(public_key: bytes, *, digest: bytes, signature: bytes, signer: Culprit, what: str) -> None:
    """Checks a signature.

    Raises:
        AuthenticationError: it does not verify, or the key can be nobody's; `signer` is named, `what` says what was
            signed.
    """
    refusal = AuthenticationError(signer, f"the signature over {what} does not verify")
    # Before the library sees the key, so that no build of it decides.
    if identity_problem(public_key) is not None:
        raise refusal
    try:
        VerifyKey(public_key).verify(digest, signature)
    except (BadSignatureError, ValueError):
        raise refusal from None
