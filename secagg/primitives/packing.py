"""Vectors of m-bit words as dense bit strings: the form in which a masked vector travels.

Word i occupies the bits i*m to i*m + m - 1 of the string; bit j of the string is bit j % 8, counted
from the least significant, of byte j // 8. So the string is the little-endian integer
sum(word_i << (i * m)), cut to whole bytes, and the bits that fill the last byte are zero: a vector has
exactly one encoding.

In memory a word has the smallest of 8, 16, 32 and 64 bits that holds m, here W. The work is vectorised
over groups of W words, which are exactly m units of W bits: word i of every group starts in the same
unit at the same shift. Transposed, all the units of one place in the group lie in one row, and a
whole row shares its shift. A shift by W or more gives 0 in numpy, which is used on purpose below.

Rules of this file: no byte is used before `check_packed`; no error text holds a word.
"""

from collections.abc import Iterator
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from secagg.errors import InvalidInputError, InvalidParameterError
from secagg.primitives.prg import WordDtype, word_dtype

__all__ = ["add_packed", "check_packed", "pack", "packed_size", "unpack", "word_dtype"]

Words: TypeAlias = npt.NDArray[np.unsignedinteger[Any]]

_GROUPS_AT_ONCE: Final = 2000
"""Groups in one block: enough to hide the cost of a numpy call, and few enough for the L2 cache. Not
a power of two, or the rows would lie a multiple of 4096 bytes apart and share cache sets: 1024 takes
twice as long as 1000."""

_WORDS_AT_ONCE: Final = 1 << 15
"""As many as stay in a core's own cache."""


def packed_size(length: int, *, modulus_bits: int) -> int:
    """Returns the bytes that `length` words take when packed: ceil(length * modulus_bits / 8).

    Raises:
        InvalidParameterError: `length` is negative or `modulus_bits` is not 1 to 64.
    """
    word_dtype(modulus_bits)
    if length < 0:
        raise InvalidParameterError("length", length, "at least 0")
    return (length * modulus_bits + 7) // 8


def check_packed(data: bytes | memoryview, *, length: int, modulus_bits: int) -> None:
    """Checks that `data` is the encoding of some `length` words, without decoding it.

    Args:
        data: the packed bytes.
        length: words expected.
        modulus_bits: bits of a word, 1 to 64.

    Raises:
        InvalidInputError: the length is not `packed_size(length, modulus_bits)` bytes, a padding bit
            in the last byte is set, or a memoryview is not contiguous.
        InvalidParameterError: `length` or `modulus_bits` is out of its range.
    """
    expected = packed_size(length, modulus_bits=modulus_bits)
    view = memoryview(data)
    if not view.c_contiguous:
        raise InvalidInputError("packed words", "a view with gaps", "contiguous bytes")
    if view.nbytes != expected:
        raise InvalidInputError("packed words", f"{view.nbytes} bytes", f"{expected} bytes")
    used_bits = length * modulus_bits % 8
    if used_bits and view.cast("B")[-1] >> used_bits:
        raise InvalidInputError("packed words", "a padding bit is set", "zero past the last word")


def pack(words: Words, modulus_bits: int) -> bytes:
    """Packs words into a dense bit string.

    Args:
        words: shape (length,), dtype `word_dtype(modulus_bits)`, every word below 2**modulus_bits.
        modulus_bits: bits of a word, 1 to 64.

    Returns:
        `packed_size(length, modulus_bits)` bytes.

    Raises:
        InvalidInputError: the shape or dtype is another, or a word is too large.
        InvalidParameterError: `modulus_bits` is not 1 to 64.
    """
    dtype = word_dtype(modulus_bits)
    _check_words("words", words, dtype)
    if words.size and int(words.max()) >> modulus_bits:
        raise InvalidInputError("words", "a word is too large", f"below 2**{modulus_bits}")
    item_bits = 8 * dtype.itemsize
    if modulus_bits == item_bits:
        return words.tobytes()
    length = words.shape[0]
    whole_groups, rest = divmod(length, item_bits)
    parts = _parts_of_units(modulus_bits, item_bits, dtype)
    units = np.empty((whole_groups + (rest > 0), modulus_bits), dtype)
    for first in range(0, whole_groups, _GROUPS_AT_ONCE):
        last = min(first + _GROUPS_AT_ONCE, whole_groups)
        rows = np.ascontiguousarray(words[first * item_bits : last * item_bits].reshape(-1, item_bits).T)
        units[first:last] = _pack_rows(rows, parts).T
    if rest:
        rows = np.zeros((item_bits, 1), dtype)
        rows[:rest, 0] = words[length - rest :]
        units[-1] = _pack_rows(rows, parts)[:, 0]
    return units.tobytes()[: packed_size(length, modulus_bits=modulus_bits)]


def unpack(data: bytes | memoryview, *, length: int, modulus_bits: int) -> Words:
    """Unpacks a dense bit string into words.

    Args:
        data: exactly `packed_size(length, modulus_bits)` bytes with zero padding bits.
        length: words expected.
        modulus_bits: bits of a word, 1 to 64.

    Returns:
        A fresh array of shape (length,) and dtype `word_dtype(modulus_bits)`.

    Raises:
        InvalidInputError: as `check_packed`.
        InvalidParameterError: as `check_packed`.
    """
    check_packed(data, length=length, modulus_bits=modulus_bits)
    words: Words = np.empty(length, word_dtype(modulus_bits))
    for place, block in _unpacked_blocks(data, length, modulus_bits):
        words[place].reshape(block.shape)[...] = block
    return words


def add_packed(accumulator: Words, data: bytes | memoryview, modulus_bits: int) -> None:
    """Unpacks a dense bit string block by block and adds it to `accumulator` in place.

    The whole unpacked vector never exists. Everything is checked before the first addition.

    Args:
        accumulator: shape (length,), dtype `word_dtype(modulus_bits)`, contiguous and writable.
            Additions wrap at the width of the dtype, not at 2**modulus_bits.
        data: the encoding of `length` words.
        modulus_bits: bits of a word, 1 to 64.

    Raises:
        InvalidInputError: `accumulator` has another shape or dtype, or as `check_packed`.
        InvalidParameterError: `modulus_bits` is not 1 to 64.
    """
    _check_words("accumulator", accumulator, word_dtype(modulus_bits))
    if not accumulator.flags.writeable:
        raise InvalidInputError("accumulator", "it is read-only", "writable")
    length = accumulator.shape[0]
    check_packed(data, length=length, modulus_bits=modulus_bits)
    for place, block in _unpacked_blocks(data, length, modulus_bits):
        target = accumulator[place].reshape(block.shape)
        np.add(target, block, out=target)


def unpacked_blocks(data: bytes | memoryview, *, length: int, modulus_bits: int) -> Iterator[tuple[slice, Words]]:
    """Yields a dense bit string in parts of at most some hundred kilobytes: where each lies, and its words.

    Args:
        data: as of `unpack`.
        length: words expected.
        modulus_bits: bits of a word, 1 to 64.

    Yields:
        A slice of the vector, and the words there, in any shape of as many.

    Raises:
        InvalidInputError: as `check_packed`.
        InvalidParameterError: as `check_packed`.
    """
    check_packed(data, length=length, modulus_bits=modulus_bits)
    for place, block in _unpacked_blocks(data, length, modulus_bits):
        if block.ndim != 1:
            yield place, block
            continue
        # Words of the whole width of their dtype come as one view of the data.
        for start in range(0, len(block), _WORDS_AT_ONCE):
            part = block[start : start + _WORDS_AT_ONCE]
            yield slice(place.start + start, place.start + start + len(part)), part


def _check_words(field: str, words: Words, dtype: WordDtype) -> None:
    if words.ndim != 1 or words.dtype != dtype:
        problem = f"{words.ndim} dimensions of {words.dtype}"
        raise InvalidInputError(field, problem, f"one dimension of {dtype}")
    if not words.flags.c_contiguous:
        raise InvalidInputError(field, "it has gaps", "contiguous")


def _unpacked_blocks(data: bytes | memoryview, length: int, modulus_bits: int) -> Iterator[tuple[slice, Words]]:
    """Yields checked `data` as (place in the vector, words of that place in any shape)."""
    dtype = word_dtype(modulus_bits)
    item_bits = 8 * dtype.itemsize
    if modulus_bits == item_bits:
        yield slice(0, length), np.frombuffer(data, dtype)
        return
    whole_groups, rest = divmod(length, item_bits)
    starts = np.arange(item_bits) * modulus_bits
    first_unit = starts // item_bits
    # A word that ends within its first unit gets no bits from a second one. Its shift for the second
    # unit is item_bits - start >= modulus_bits, so whatever is there lands above the word and is cut
    # off with it: no case distinction, only a clipped index for the last word.
    second_unit = np.minimum(first_unit + 1, modulus_bits - 1)
    down = (starts % item_bits).astype(dtype)[:, np.newaxis]
    up = (item_bits - starts % item_bits).astype(dtype)[:, np.newaxis]
    word_mask = dtype.type((1 << modulus_bits) - 1)

    def unpack_rows(rows: Words) -> Words:
        words = np.take(rows, first_unit, axis=0)
        np.right_shift(words, down, out=words)
        upper = np.take(rows, second_unit, axis=0)
        np.left_shift(upper, up, out=upper)
        np.bitwise_or(words, upper, out=words)
        return np.bitwise_and(words, word_mask, out=words)

    units = np.frombuffer(data, dtype, whole_groups * modulus_bits).reshape(whole_groups, modulus_bits)
    for first in range(0, whole_groups, _GROUPS_AT_ONCE):
        last = min(first + _GROUPS_AT_ONCE, whole_groups)
        words = unpack_rows(np.ascontiguousarray(units[first:last].T))
        yield slice(first * item_bits, last * item_bits), words.T
    if rest:
        last_group = np.zeros(modulus_bits * dtype.itemsize, np.uint8)
        last_bytes = np.frombuffer(data, np.uint8, offset=units.nbytes)
        last_group[: last_bytes.size] = last_bytes
        yield slice(length - rest, length), unpack_rows(last_group.view(dtype)[:, np.newaxis])[:rest, 0]


def _parts_of_units(modulus_bits: int, item_bits: int, dtype: WordDtype) -> list[tuple[npt.NDArray[np.intp], Words]]:
    """Says which words make up each unit of a group.

    Returns:
        A list of (word index, shift), each of shape (modulus_bits,) and (modulus_bits, 1). Entry 0
        holds the first word that reaches into each unit, shifted down by what lies in earlier units;
        entry r > 0 holds the r-th word after it, shifted up to its place.
    """
    unit_starts = np.arange(modulus_bits) * item_bits
    first_word = unit_starts // modulus_bits
    parts = [(first_word, (unit_starts - first_word * modulus_bits).astype(dtype)[:, np.newaxis])]
    for after in range(1, (item_bits - 1) // modulus_bits + 2):
        word = np.minimum(first_word + after, item_bits - 1)
        # A word that starts at or past the end of the unit, or does not exist, is shifted out.
        up = np.minimum((first_word + after) * modulus_bits - unit_starts, item_bits)
        parts.append((word, up.astype(dtype)[:, np.newaxis]))
    return parts


def _pack_rows(rows: Words, parts: list[tuple[npt.NDArray[np.intp], Words]]) -> Words:
    first_word, down = parts[0]
    units = np.take(rows, first_word, axis=0)
    np.right_shift(units, down, out=units)
    for word, up in parts[1:]:
        upper = np.take(rows, word, axis=0)
        np.left_shift(upper, up, out=upper)
        np.bitwise_or(units, upper, out=units)
    return units
