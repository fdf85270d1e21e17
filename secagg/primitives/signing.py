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
        """Returns the 64-byte signature over a digest of `transcript`."""
        return self._key.sign(digest).signature


def verify(public_key: bytes, *, digest: bytes, signature: bytes, signer: Culprit, what: str) -> None:
    """Checks a signature.

    Raises:
        AuthenticationError: it does not verify; `signer` is named, `what` says what was signed.
    """
    try:
        VerifyKey(public_key).verify(digest, signature)
    except (BadSignatureError, ValueError):
        raise AuthenticationError(signer, f"the signature over {what} does not verify") from None
