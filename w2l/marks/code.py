"""The 64 bits of a mark, and the error-correcting code that carries them.

Version (4 bits), record id (40), check (20), then a convolutional code of rate 1/3 and constraint length 9. Everything
derives from bytes by hashing, so that marks written by one version of NumPy are read by another.
"""

import hashlib
import zlib
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from w2l.core.arrays import Floats

Bits = NDArray[np.uint8]

VERSION = 2
"""Of the layout of the bits and of the pattern; a reader refuses others."""
VERSION_BITS, ID_BITS, CHECK_BITS = 4, 40, 20
N_BITS = VERSION_BITS + ID_BITS + CHECK_BITS
MEMORY = 8
"""Bits that a coded bit depends on, besides its own."""
GENERATORS = (0o557, 0o663, 0o711)
"""Which of them enter each coded bit; the best code of that rate and length (Larsen, 1973)."""
N_CODED = (N_BITS + MEMORY) * len(GENERATORS)
N_STATES = 2**MEMORY
IMPOSSIBLE = -1e30
"""Gain of a path that does not begin in state 0."""


def record_id(text: str) -> str:
    """Return the id of a record: ten hexadecimal digits of the SHA-256 of what it claims."""
    return hashlib.sha256(text.encode()).hexdigest()[: ID_BITS // 4]


def bits_of(record: str) -> Bits:
    """Return the bits (64,) of a mark with that record id, ten hexadecimal digits."""
    body = _as_bits(VERSION, VERSION_BITS) + _as_bits(_number(record), ID_BITS)
    return np.array(body + _as_bits(_check(body), CHECK_BITS), dtype=np.uint8)


def record_of(bits: Bits) -> str | None:
    """Return the record id in the bits (64,) of a mark; None where the check or the version does not fit."""
    body, check = bits[: VERSION_BITS + ID_BITS].tolist(), bits[VERSION_BITS + ID_BITS :].tolist()
    if check != _as_bits(_check(body), CHECK_BITS) or body[:VERSION_BITS] != _as_bits(VERSION, VERSION_BITS):
        return None
    return f"{int(''.join(map(str, body[VERSION_BITS:])), 2):0{ID_BITS // 4}x}"


def encoded(bits: Bits) -> NDArray[np.int8]:
    """Return the code word (216,) of -1 and 1 for the bits (64,); it ends in the state it began in."""
    word, state = [], 0
    for bit in [*bits.tolist(), *[0] * MEMORY]:
        window = (bit << MEMORY) | state
        word += [1 - 2 * ((window & taps).bit_count() % 2) for taps in GENERATORS]
        state = window >> 1
    return np.array(word, dtype=np.int8)


def decoded(soft: Floats) -> Bits:
    """Return the bits (64,) whose code word agrees best with soft values (216,), by the Viterbi algorithm."""
    return likeliest(soft, 1)[0]


def likeliest(soft: Floats, count: int) -> list[Bits]:
    """Return the bits (64,) of the `count` code words that agree best with soft values (216,), the best first.

    The list Viterbi algorithm: `count` paths are kept into each state, in falling order.
    """
    before, signs = _trellis()
    gains = np.full((N_STATES, count), IMPOSSIBLE)
    gains[0, 0] = 0.0
    choices = []
    for values in np.asarray(soft, dtype=np.float64).reshape(-1, len(GENERATORS)):
        paths = (gains[before] + (signs @ values)[..., None]).reshape(N_STATES, 2 * count)
        best = (-paths).argsort(axis=1, kind="stable")[:, :count]  # column = branch * count + rank
        gains = np.take_along_axis(paths, best, axis=1)
        choices.append(best)
    return [_traced(choices, rank) for rank in range(count)]


def _traced(choices: list[NDArray[np.int64]], rank: int) -> Bits:
    """Return the bits (64,) of the path of that rank into state 0, from the choices (states, ranks) of each step."""
    before, _ = _trellis()
    count, state, bits = choices[0].shape[1], 0, []
    for choice in choices[::-1]:
        bits.append(state >> (MEMORY - 1))
        branch, rank = divmod(int(choice[state, rank]), count)
        state = int(before[state, branch])
    return np.array(bits[::-1][:N_BITS], dtype=np.uint8)


@cache
def _trellis() -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the two states before each state (256, 2), and the coded bits of the steps (256, 2, 3) as -1 and 1."""
    states = np.arange(N_STATES)
    bit = states >> (MEMORY - 1)
    before = ((states << 1) & (N_STATES - 1))[:, None] | np.array([0, 1])
    windows = (bit[:, None] << MEMORY) | before
    signs = [[[1.0 - 2.0 * ((int(w) & taps).bit_count() % 2) for taps in GENERATORS] for w in row] for row in windows]
    return before, np.array(signs)


def _as_bits(number: int, count: int) -> list[int]:
    """Return the lowest `count` bits of a number, the highest first."""
    return [number >> place & 1 for place in range(count - 1, -1, -1)]


def _check(body: list[Any]) -> int:
    """Return the check of version and id: the upper bits of their CRC-32."""
    return zlib.crc32(bytes(body)) >> (32 - CHECK_BITS)


def _number(record: str) -> int:
    if len(record) != ID_BITS // 4 or not set(record) <= set("0123456789abcdef"):
        raise ValueError(f"a record id is {ID_BITS // 4} hexadecimal digits, not {record!r}")
    return int(record, 16)
