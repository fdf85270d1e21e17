"""Ed25519 public keys that are nobody's, worked out anew from the curve, and one that is a point like any other."""

import hashlib

_PRIME = 2**255 - 19
_ORDER = 2**252 + 27742317777372353535851937790883648493
_D = -121665 * pow(121666, -1, _PRIME) % _PRIME

BASE_POINT = bytes([0x58]) + bytes([0x66]) * 31
"""y = 4/5: of the large prime order, as every honest key."""


def _encoded(y: int, sign: int) -> bytes:
    return (y + (sign << 255)).to_bytes(32, "little")


def _order_8() -> list[int]:
    """Returns the y of the points whose double has y = 0: there y^2 = -x^2, and -x^2 + y^2 = 1 + d x^2 y^2."""
    # With z = y^2: 2 z = 1 - d z^2, so z = (-1 +- sqrt(1 + d)) / d.
    root = _square_root((1 + _D) % _PRIME)
    squares = [(-1 + sign * root) * pow(_D, -1, _PRIME) % _PRIME for sign in (1, -1)]
    (z,) = [square for square in squares if pow(square, (_PRIME - 1) // 2, _PRIME) == 1]
    y = _square_root(z)
    return [y, _PRIME - y]


def _square_root(square: int) -> int:
    root = pow(square, (_PRIME + 3) // 8, _PRIME)
    if root * root % _PRIME != square:
        root = root * pow(2, (_PRIME - 1) // 4, _PRIME) % _PRIME
    assert root * root % _PRIME == square
    return root


SMALL_ORDER = [_encoded(y, sign) for y in (0, 1, _PRIME - 1, *_order_8()) for sign in (0, 1)]
"""The eight points whose order divides 8, and the second sign of the two whose x is 0."""

NON_CANONICAL = [_encoded(y, sign) for y in range(_PRIME, 2**255) for sign in (0, 1)]
"""Every encoding whose y is not reduced."""


def signed_with_no_nonce(seed: bytes, public_key: bytes, message: bytes) -> bytes:
    """Returns a signature whose R is the neutral point: OpenSSL takes it, libsodium does not."""
    secret = int.from_bytes(hashlib.sha512(seed).digest()[:32], "little") & (2**254 - 8) | 2**254
    neutral = _encoded(1, 0)
    challenge = int.from_bytes(hashlib.sha512(neutral + public_key + message).digest(), "little")
    return neutral + (challenge * secret % _ORDER).to_bytes(32, "little")
