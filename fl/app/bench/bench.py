"""What the library costs on this machine, next to what the machine allows: `secagg bench`.

Figures are CPU time, except those of two threads, and each is the best of many short timings: whatever else the
machine does can only add to it. What is compared with a limit is timed in turns with it, so that both see the same
machine in the same second. Every result is checked: a fast wrong answer is an error, not a figure.
"""

import hmac
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from fl.app.bench.timing import best_in_turns, many
from secagg import SERVER, AdversaryModel, AuthenticationError, Identity, SessionParams, Suite, simulate
from secagg.primitives import (
    KeyPair,
    add_packed,
    apply_masks,
    keystream,
    limbs_to_secret,
    open_keystream,
    pack,
    reconstruct,
    split,
    unpack,
    verify,
)
from secagg.protocol import derive_key, frame, label

Words = npt.NDArray[np.unsignedinteger]

_KEYS: Final = tuple(number.to_bytes(2, "big") * 16 for number in range(16))
_ADDED: Final = 10
_MASKED_WORDS: Final = 10**6
"""Four shards of 1 MiB: fewer are nothing to share out among threads."""

_LIMIT_BUFFER_BYTES: Final = 1 << 17
_PACKED_WORDS: Final = 10**6
_WIDTH_BITS: Final = 20
"""No whole number of bytes, as the width of a sum of quantised vectors usually is."""

_HOLDERS: Final = 1000
_WORTH_THREADS: Final = 1.2
"""A second thread that gains less than a fifth is better spent on another session."""

_QUIET: Final = 0.9


@dataclass(frozen=True, slots=True)
class Effort:
    """How much to measure: seconds for each figure, the sessions' clients and words, whether to ask `openssl`."""

    figure_s: float = 1.0
    clients: int = 20
    length: int = 10**5
    openssl: bool = True


QUICK: Final = Effort(figure_s=0.1, clients=8, length=10**4, openssl=False)


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure.

    Args:
        name: what it is called in JSON.
        title: what it is called in the table.
        value: the figure.
        unit: GB/s, ms, µs or x, a ratio.
        right: whether the result that was timed is right.
        limit: what the machine allows, in the same unit; None where nothing is known.
    """

    name: str
    title: str
    value: float
    unit: str
    right: bool
    limit: float | None = None

    @property
    def part_of_limit(self) -> float | None:
        """The figure as a part of the limit."""
        return None if self.limit is None else self.value / self.limit


@dataclass(frozen=True, slots=True)
class BenchResult:
    """All figures, and what follows from them."""

    figures: tuple[Figure, ...]
    advice: tuple[str, ...]

    @property
    def right(self) -> bool:
        """Whether every result was right."""
        return all(figure.right for figure in self.figures)

    def to_json(self) -> dict[str, Any]:
        """Returns plain data."""
        return {
            "right": self.right,
            "figures": {
                figure.name: {
                    "value": float(f"{figure.value:.4g}"),
                    "unit": figure.unit,
                    "right": figure.right,
                    "part_of_limit": None if figure.part_of_limit is None else round(figure.part_of_limit, 3),
                }
                for figure in self.figures
            },
            "advice": list(self.advice),
        }


Step = Callable[[Effort], Iterator[Figure]]


def run_bench(effort: Effort, progress: Callable[[str], None] = lambda _: None) -> BenchResult:
    """Measures everything.

    Args:
        effort: how much.
        progress: called with the title of each step of `STEPS` before it begins.
    """
    figures: list[Figure] = []
    for title, step in STEPS:
        progress(title)
        figures += step(effort)
    return BenchResult(tuple(figures), tuple(advise({figure.name: figure.value for figure in figures})))


def advise(values: dict[str, float]) -> Iterator[str]:
    """Yields a sentence for each choice that a user has.

    Args:
        values: figures by name: mask_one_thread, mask_chacha20, thread_gain and free_part.
    """
    aes, chacha = values["mask_one_thread"], values["mask_chacha20"]
    if chacha > 1.1 * aes:
        yield (
            f"Use suite=Suite.CHACHA20: it makes masks at {chacha:.1f} GB/s here and AES at {aes:.1f}. "
            "This machine has no AES instructions, or OpenSSL does not use them."
        )
    else:
        yield f"Stay with the default suite: AES makes masks at {aes:.1f} GB/s here, ChaCha20 at {chacha:.1f}."
    gain = values["thread_gain"]
    if gain >= _WORTH_THREADS:
        yield f"Threads pay: two are {gain:.1f} times one. Open an fl.thread_pool for each session."
    else:
        yield f"Threads do not pay here: two are {gain:.1f} times one. There is one core, or the others are busy."
    if values["free_part"] < _QUIET:
        yield f"Other programs took {1 - values['free_part']:.0%} of the core meanwhile: ask again when it is quiet."


def _masks(effort: Effort) -> Iterator[Figure]:
    words = np.zeros(_MASKED_WORDS, np.uint32)
    add, subtract = _KEYS[:_ADDED], _KEYS[_ADDED:]
    streamed = len(_KEYS) * words.nbytes

    def checked(suite: Suite) -> bool:
        words[:] = 0
        apply_masks(words, add=add, subtract=subtract, suite=suite)
        return all(int(words[place]) == _masked_word(suite, place) for place in (0, 1, words.size // 2, words.size - 1))

    right = checked(Suite.AES_128_CTR)

    def by_two_threads() -> None:
        # A pool of its own, as one session has: threads that have waited in a pool wake up on one processor.
        with ThreadPoolExecutor(2) as pool:
            apply_masks(words, add=add, subtract=subtract, suite=Suite.AES_128_CTR, executor=pool)

    one, two, alone = best_in_turns(
        effort.figure_s,
        lambda: apply_masks(words, add=add, subtract=subtract, suite=Suite.AES_128_CTR),
        by_two_threads,
        _cipher_alone(streamed),
    )
    limit = streamed / alone.cpu_s / 1e9
    program = _openssl_gigabytes() if effort.openssl else None
    yield Figure("cipher_limit", "AES-128-CTR alone, one thread", limit, "GB/s", right=True)
    if program is not None:
        yield Figure("openssl_speed", "AES-128-CTR by openssl speed, one core", program, "GB/s", right=True)
    yield Figure("mask_one_thread", "masks, one thread", streamed / one.cpu_s / 1e9, "GB/s", right, limit)
    yield Figure(
        "mask_two_threads", "masks, two threads, by the clock", streamed / two.wall_s / 1e9, "GB/s", right, limit
    )
    yield Figure("thread_gain", "two threads against one, by the clock", one.wall_s / two.wall_s, "x", right)
    yield Figure("free_part", "part of a core that was free", min(1.0, one.cpu_s / one.wall_s), "x", right=True)
    right = checked(Suite.CHACHA20)
    [chacha] = best_in_turns(
        effort.figure_s, lambda: apply_masks(words, add=add, subtract=subtract, suite=Suite.CHACHA20)
    )
    yield Figure("mask_chacha20", "masks by ChaCha20, one thread", streamed / chacha.cpu_s / 1e9, "GB/s", right)


def _packing(effort: Effort) -> Iterator[Figure]:
    words = _some_words(_PACKED_WORDS) % np.uint32(2**_WIDTH_BITS)
    packed = pack(words, _WIDTH_BITS)
    total = np.zeros_like(words)
    add_packed(total, packed, _WIDTH_BITS)
    right = bool(
        (unpack(packed, length=words.size, modulus_bits=_WIDTH_BITS) == words).all() and (total == words).all()
    )
    packing, unpacking, adding = best_in_turns(
        effort.figure_s,
        lambda: pack(words, _WIDTH_BITS),
        lambda: unpack(packed, length=words.size, modulus_bits=_WIDTH_BITS),
        lambda: add_packed(total, packed, _WIDTH_BITS),
    )
    for name, timing in (("pack", packing), ("unpack", unpacking), ("add_packed", adding)):
        yield Figure(name, f"{name}, a million words of {_WIDTH_BITS} bits", timing.cpu_s * 1e3, "ms", right)


def _sharing(effort: Effort) -> Iterator[Figure]:
    threshold, points = 2 * _HOLDERS // 3 + 1, np.arange(1, _HOLDERS + 1)
    secrets = [os.urandom(32) for _ in range(_HOLDERS)]
    seed = os.urandom(32)
    shares = split(secrets, threshold, points, seed, suite=Suite.AES_128_CTR)
    available = ~np.eye(_HOLDERS, dtype=np.bool_)
    rebuilt = reconstruct(shares, points=points, available=available, dealer_points=points, threshold=threshold)
    right = [limbs_to_secret(row) for row in rebuilt] == secrets
    splitting, rebuilding = best_in_turns(
        effort.figure_s,
        lambda: split(secrets[:1], threshold, points, seed, suite=Suite.AES_128_CTR),
        lambda: reconstruct(shares, points=points, available=available, dealer_points=points, threshold=threshold),
    )
    yield Figure(
        "shamir_split", f"split a secret among {_HOLDERS}, t = {threshold}", splitting.cpu_s * 1e3, "ms", right
    )
    yield Figure("shamir_rebuild", f"rebuild {_HOLDERS} of them", rebuilding.cpu_s * 1e3, "ms", right)


def _keys(effort: Effort) -> Iterator[Figure]:
    one, other = KeyPair(os.urandom(32)), KeyPair(os.urandom(32))
    secret, salt = one.shared_secret(other.public, SERVER), os.urandom(32)
    agreed = secret == other.shared_secret(one.public, SERVER)
    use, identity, digest = b"bench", Identity.generate(), os.urandom(32)
    # RFC 5869 by hand: extract, then expand to the one block that 32 bytes need.
    derived = derive_key(Suite.AES_128_CTR, secret, salt=salt, use=use)
    info = frame(label(Suite.AES_128_CTR, use))
    by_hand = hmac.digest(hmac.digest(salt, secret, "sha256"), info + b"\x01", "sha256")
    signature = identity.sign(digest)
    agreeing, deriving, verifying = best_in_turns(
        effort.figure_s,
        many(100, lambda: one.shared_secret(other.public, SERVER)),
        many(100, lambda: derive_key(Suite.AES_128_CTR, secret, salt=salt, use=use)),
        many(
            100, lambda: verify(identity.public_key, digest=digest, signature=signature, signer=SERVER, what="a digest")
        ),
    )
    yield Figure("x25519", "X25519 key agreement", agreeing.cpu_s * 1e4, "µs", agreed)
    yield Figure("hkdf", "HKDF-SHA256, 32 bytes", deriving.cpu_s * 1e4, "µs", derived == by_hand)
    right = _tells_apart(identity, digest=digest, signature=signature)
    yield Figure("ed25519_verify", "Ed25519 signature verified", verifying.cpu_s * 1e4, "µs", right)


def _sessions(effort: Effort) -> Iterator[Figure]:
    clients, length = effort.clients, effort.length
    base = _some_words(length)
    vectors = {client: np.roll(base, client) for client in range(clients)}
    leaving = range(clients // 10 + 1)
    # Words wrap at 32 bits as the session's modulus does.
    expected = np.sum([vectors[client] for client in vectors if client not in leaving], axis=0, dtype=np.uint32)
    for adversary in AdversaryModel:
        params = SessionParams.for_cohort(
            cohort_size=clients, vector_length=length, modulus_bits=32, adversary=adversary
        )
        sums: list[Words] = []

        def run(params: SessionParams = params, sums: list[Words] = sums) -> None:
            sums.append(simulate(vectors, params, dropouts={"masked_input": leaving}).sum)

        [timing] = best_in_turns(effort.figure_s, run)
        name = "active" if params.active else "curious"
        title = f"session, {name}, {clients} clients and server"
        right = all(bool((one == expected).all()) for one in sums)
        yield Figure(f"session_{name}", title, timing.cpu_s * 1e3, "ms", right)


STEPS: Final[tuple[tuple[str, Step], ...]] = (
    ("masks", _masks),
    ("packing", _packing),
    ("sharing secrets", _sharing),
    ("keys and signatures", _keys),
    ("whole sessions", _sessions),
)


def _cipher_alone(size: int) -> Callable[[], None]:
    """Returns a call that encrypts `size` bytes over one warm buffer: the most that any use of the cipher can reach."""
    plain, out = bytes(_LIMIT_BUFFER_BYTES), bytearray(_LIMIT_BUFFER_BYTES)

    def encrypt() -> None:
        update_into = open_keystream(Suite.AES_128_CTR, _KEYS[0], start=0, stop=size)
        for _ in range(size // _LIMIT_BUFFER_BYTES):
            update_into(plain, out)

    return encrypt


def _some_words(count: int) -> Words:
    return np.frombuffer(keystream(Suite.AES_128_CTR, _KEYS[1], length=4 * count), np.uint32)


def _tells_apart(identity: Identity, *, digest: bytes, signature: bytes) -> bool:
    """Returns whether a signature holds for its digest and for no other."""
    verify(identity.public_key, digest=digest, signature=signature, signer=SERVER, what="a digest")
    try:
        verify(
            identity.public_key, digest=bytes(len(digest)), signature=signature, signer=SERVER, what="another digest"
        )
    except AuthenticationError:
        return True
    return False


def _masked_word(suite: Suite, place: int) -> int:
    """Returns one word of the signed sum of masks, from one keystream block of each key."""
    total = 0
    for number, key in enumerate(_KEYS):
        block = keystream(suite, key, length=64, offset=4 * place // 64 * 64)
        word = int.from_bytes(block[4 * place % 64 :][:4], "little")
        total += word if number < _ADDED else -word
    return total % 2**32


def _openssl_gigabytes() -> float | None:
    """Returns what `openssl speed` reports for one core, or None without the program."""
    program = shutil.which("openssl")
    if program is None:
        return None
    arguments = ("speed", "-evp", "aes-128-ctr", "-bytes", "65536", "-seconds", "1")
    try:
        done = subprocess.run([program, *arguments], capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(r"^AES-128-CTR\s+([\d.]+)k", done.stdout, re.MULTILINE | re.IGNORECASE)
    return float(found[1]) / 1e6 if found else None
