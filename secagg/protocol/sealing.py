"""A pair of shares sealed to one peer: XChaCha20-Poly1305 (libsodium)."""

from typing import Final

from nacl.bindings import (
    crypto_aead_xchacha20poly1305_ietf_ABYTES,
    crypto_aead_xchacha20poly1305_ietf_decrypt,
    crypto_aead_xchacha20poly1305_ietf_encrypt,
    crypto_aead_xchacha20poly1305_ietf_NPUBBYTES,
)
from nacl.exceptions import CryptoError

from secagg.errors import ClientId
from secagg.primitives.prg import Suite
from secagg.protocol import labels
from secagg.protocol.transcript import derive_key, frame, u64

NONCE_BYTES: Final = crypto_aead_xchacha20poly1305_ietf_NPUBBYTES
SEAL_OVERHEAD_BYTES: Final = NONCE_BYTES + crypto_aead_xchacha20poly1305_ietf_ABYTES


class SealContext:
    """What a seal is bound to besides its key: suite, roster, sender and receiver."""

    __slots__ = ("_associated_data", "_fields", "_roster_ctx", "_suite")

    def __init__(
        self,
        suite: Suite,
        roster_ctx: bytes,
        *,
        sender: ClientId,
        receiver: ClientId,
        sender_key: bytes,
        receiver_key: bytes,
    ) -> None:
        pair = (u64(sender), u64(receiver))
        self._suite = suite
        self._roster_ctx = roster_ctx
        self._fields = (*pair, sender_key, receiver_key)
        self._associated_data = frame(labels.label(suite, labels.SEAL_ASSOCIATED_DATA), roster_ctx, *pair)

    def derive_key(self, shared_secret: bytes) -> bytes:
        """Returns the key of this direction of the pair; the other direction has another."""
        return derive_key(self._suite, shared_secret, *self._fields, salt=self._roster_ctx, use=labels.SEAL_KEY)

    def seal(self, key: bytes, *, nonce: bytes, plaintext: bytes) -> bytes:
        """Returns nonce and ciphertext; the nonce is random, 24 bytes, never used twice."""
        return nonce + crypto_aead_xchacha20poly1305_ietf_encrypt(plaintext, self._associated_data, nonce, key)

    def unseal(self, key: bytes, *, sealed: bytes) -> bytes | None:
        """Returns the plaintext, or None where the seal does not open.

        None is no error: a bad seal is reported to the server and the session goes on.
        """
        if len(sealed) < SEAL_OVERHEAD_BYTES:
            return None
        try:
            return crypto_aead_xchacha20poly1305_ietf_decrypt(
                sealed[NONCE_BYTES:], self._associated_data, sealed[:NONCE_BYTES], key
            )
        except CryptoError:
            return None
