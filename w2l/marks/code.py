"""The 64 bits of a mark, and the error-correcting code that carries them.

Record id (40 bits), check (20), version (4), then a convolutional code of rate 1/3 and constraint length 9 that ends in
the state it began in (tail-biting), so that no energy goes into bits known beforehand. Everything derives from bytes by
hashing, so that marks written by one version of NumPy are read by another.
"""

import hashlib
import zlib
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from w2l.core.arrays import Floats

Bits = NDArray[np.uint8]

VERSION = 3
"""Of the layout of the bits and of the pattern; a reader refuses others."""
VERSION_BITS, ID_BITS, CHECK_BITS = 4, 40, 20
N_BITS = VERSION_BITS + ID_BITS + CHECK_BITS
MEMORY = 8
"""Bits that a coded bit depends on, besides its own."""
GENERATORS = (0o557, 0o663, 0o711)
"""Which of them enter each coded bit; the best code of that rate and length (Larsen, 1973)."""
N_CODED = N_BITS * len(GENERATORS)
N_STATES = 2**MEMORY
N_STARTS = 2
"""Likeliest states to begin in that several words are sought from."""
IMPOSSIBLE = -1e30
"""Gain of a path that does not begin in the state assumed."""


def record_id(text: str) -> str:
    """Return the id of a record: ten hexadecimal digits of the SHA-256 of what it claims."""
    return hashlib.sha256(text.encode()).hexdigest()[: ID_BITS // 4]


def bits_of(record: str) -> Bits:
    """Return the bits (64,) of a mark with that record id, ten hexadecimal digits."""
    body = _as_bits(_number(record), ID_BITS)
    return np.array(body + _as_bits(_check(body), CHECK_BITS) + _as_bits(VERSION, VERSION_BITS), dtype=np.uint8)


def record_of(bits: Bits) -> str | None:
    """Return the record id in the bits (64,) of a mark; None where the check or the version does not fit."""
    body, check, version = (part.tolist() for part in np.split(bits, [ID_BITS, ID_BITS + CHECK_BITS]))
    if check != _as_bits(_check(body), CHECK_BITS) or version != _as_bits(VERSION, VERSION_BITS):
        return None
    return f"{int(''.join(map(str, body)), 2):0{ID_BITS // 4}x}"


def encoded(bits: Bits) -> NDArray[np.int8]:
    """Return the code word (192,) of -1 and 1 for the bits (64,); it ends in the state it began in."""
    word, state = [], _state_after(bits[-MEMORY:].tolist())
    for bit in bits.tolist():
        window = (bit << MEMORY) | state
        word += [1 - 2 * ((window & taps).bit_count() % 2) for taps in GENERATORS]
        state = window >> 1
    return np.array(word, dtype=np.int8)


def decoded(soft: Floats) -> Bits:
    """Return the bits (64,) of this version whose code word agrees best with soft values (192,)."""
    return likeliest(soft, 1)[0]


def best_agreements(soft: Floats) -> Floats:
    """Return, for each state that this version allows to begin in (16,), the best agreement of a word with soft values.

    The agreement is the sum of the soft values (192,) times the coded bits as -1 and 1.
    """
    before, _ = _trellis()
    at = np.arange(len(_starts()))
    gains = np.full((len(at), N_STATES), IMPOSSIBLE)
    gains[at, _starts()] = 0.0
    for step in _steps(soft):
        gains = np.maximum(gains[:, before[:, 0]] + step[:, 0], gains[:, before[:, 1]] + step[:, 1])
    return np.asarray(gains[at, _starts()])


def likeliest(soft: Floats, count: int) -> list[Bits]:
    """Return the bits (64,) of this version whose code words agree best with soft values (192,), the best first.

    The Viterbi algorithm from each state that the version allows to begin in, then the list Viterbi algorithm from the
    likeliest of them: `count` paths are kept into each state, in falling order.
    """
    starts = _starts()[(-best_agreements(soft)).argsort()[:N_STARTS]]
    words = [one for start in starts for one in _words_from(int(start), soft, count)]
    return [bits for _, bits in sorted(words, key=lambda one: -one[0])[:count]]


def _words_from(start: int, soft: Floats, count: int) -> list[tuple[float, Bits]]:
    """Return agreement and bits of the `count` likeliest words that begin and end in a state."""
    before, _ = _trellis()
    gains = np.full((N_STATES, count), IMPOSSIBLE)
    gains[start, 0] = 0.0
    choices = []
    for step in _steps(soft):
        paths = (gains[before] + step[..., None]).reshape(N_STATES, 2 * count)
        best = (-paths).argsort(axis=1, kind="stable")[:, :count]  # column = branch * count + rank
        gains = np.take_along_axis(paths, best, axis=1)
        choices.append(best)
    return [(float(gains[start, rank]), _traced(choices, start, rank)) for rank in range(count)]


def _steps(soft: Floats) -> NDArray[np.float64]:
    """Return what each step into each state gains, (64, 256, 2)."""
    _, signs = _trellis()
    return np.moveaxis(signs @ np.asarray(soft, dtype=np.float64).reshape(-1, len(GENERATORS)).T, -1, 0)


@cache
def _starts() -> NDArray[np.int64]:
    """Return the states (16,) that words of this version begin and end in."""
    unknown = MEMORY - VERSION_BITS
    return _state_after([0] * unknown + _as_bits(VERSION, VERSION_BITS)) + np.arange(2**unknown)


def _traced(choices: list[NDArray[np.int64]], state: int, rank: int) -> Bits:
    """Return the bits (64,) of the path of that rank into a state, from the choices (states, ranks) of each step."""
    before, _ = _trellis()
    count, bits = choices[0].shape[1], []
    for choice in choices[::-1]:
        bits.append(state >> (MEMORY - 1))
        branch, rank = divmod(int(choice[state, rank]), count)
        state = int(before[state, branch])
    return np.array(bits[::-1], dtype=np.uint8)


@cache
def _trellis() -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the two states before each state (256, 2), and the coded bits of the steps (256, 2, 3) as -1 and 1."""
    states = np.arange(N_STATES)
    bit = states >> (MEMORY - 1)
    before = ((states << 1) & (N_STATES - 1))[:, None] | np.array([0, 1])
    windows = (bit[:, None] << MEMORY) | before
    signs = [[[1.0 - 2.0 * ((int(w) & taps).bit_count() % 2) for taps in GENERATORS] for w in row] for row in windows]
    return before, np.array(signs)


def _state_after(bits: list[Any]) -> int:
    """Return the state after the bits (8,), the last one in its highest place."""
    return sum(bit << place for place, bit in enumerate(bits))


def _as_bits(number: int, count: int) -> list[int]:
    """Return the lowest `count` bits of a number, the highest first."""
    return [number >> place & 1 for place in range(count - 1, -1, -1)]


def _check(body: list[Any]) -> int:
    """Return the check of an id: the upper bits of a CRC-32 of it and the version."""
    return zlib.crc32(bytes([*body, VERSION])) >> (32 - CHECK_BITS)


def _number(record: str) -> int:
    if len(record) != ID_BITS // 4 or not set(record) <= set("0123456789abcdef"):
        raise ValueError(f"a record id is {ID_BITS // 4} hexadecimal digits, not {record!r}")
    return int(record, 16)
