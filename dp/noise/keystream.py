"""Uniform words for the samplers: the keystream of AES-128 in counter mode, under a key that is used once.

A seed is 32 bytes: the 16-byte AES key, then the 16-byte initial counter block, big-endian; the counter adds modulo
2**128 (NIST SP 800-38A §6.5). Words are 64 bits, little-endian.
"""

import secrets
import sys
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from dp.errors import InvalidParameterError

__all__ = ["SEED_BYTES", "Keystream", "WordSource", "Words"]

SEED_BYTES: Final = 32
"""The length of a seed."""

_KEY_BYTES: Final = 16
_ZEROS: Final = memoryview(bytes(1 << 16))
"""What is encrypted: the keystream itself comes out. As long as one step of `Keystream.fill`."""

Words = npt.NDArray[np.uint64]


class WordSource(Protocol):
    """Where samplers take their words from; tests have one that returns chosen words."""

    def fill(self, words: Words) -> None:
        """Overwrites `words`, one-dimensional and contiguous, with the next words of the source."""


class Keystream:
    """The words of one AES-128-CTR keystream, each of them handed out once.

    Args:
        seed: 32 secret bytes.

    Raises:
        InvalidParameterError: the seed has another length.

    Security:
        The words are as good as uniform to anybody who cannot break AES. One stream is for one call of a sampler: the
        permutation of a block cipher can be told from uniform words with an advantage of at most n**2 / 2**129 after
        n blocks of two words each, 2**-91 for a vector of 2**20 words. The seed is not kept, and nothing prints it.
    """

    __slots__ = ("_update_into",)

    def __init__(self, seed: bytes) -> None:
        if not isinstance(seed, bytes) or len(seed) != SEED_BYTES:
            # Never the seed itself: errors are logged.
            raise InvalidParameterError("seed", type(seed).__name__, f"{SEED_BYTES} bytes")
        cipher = Cipher(algorithms.AES128(seed[:_KEY_BYTES]), modes.CTR(seed[_KEY_BYTES:]))
        self._update_into = cipher.encryptor().update_into

    @classmethod
    def fresh(cls) -> "Keystream":
        """Returns a keystream that nobody else has: its seed is the operating system's."""
        return cls(secrets.token_bytes(SEED_BYTES))

    def fill(self, words: Words) -> None:
        """Overwrites `words`, one-dimensional and contiguous, with the next words of the stream."""
        if not words.size:
            return
        out = words.view(np.uint8).data
        for start in range(0, len(out), len(_ZEROS)):
            part = out[start : start + len(_ZEROS)]
            self._update_into(_ZEROS[: len(part)], part)
        if sys.byteorder == "big":  # pragma: no cover - no such machine runs the tests
            words.byteswap(inplace=True)
