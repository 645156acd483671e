"""The 64 bits of a mark and their code: what is written is read, errors are mended, and chance is refused."""

import numpy as np
import pytest

from w2l.marks.code import (
    N_BITS,
    N_CODED,
    VERSION_BITS,
    best_agreements,
    bits_of,
    decoded,
    encoded,
    likeliest,
    record_id,
    record_of,
)

RECORDS = ("0000000000", "ffffffffff", "0123456789", record_id("a"))


@pytest.mark.parametrize("record", RECORDS)
def test_bits_and_code_word_give_the_record_back(record: str) -> None:
    bits = bits_of(record)
    assert bits.shape == (N_BITS,)
    assert record_of(bits) == record
    word = encoded(bits)
    assert word.shape == (N_CODED,)
    assert set(np.unique(word)) <= {-1, 1}
    np.testing.assert_array_equal(decoded(word.astype(float)), bits)


def test_known_id_and_bits_stay_as_they_are() -> None:
    """A change here makes old marks unreadable: raise VERSION with it."""
    assert record_id("a") == "ca978112ca"
    assert "".join(map(str, bits_of("0123456789"))) == (
        "0000000100100011010001010110011110001001" "11001110000110101000" "0011"
    )  # fmt: skip


def test_noise_as_strong_as_the_signal_is_mended() -> None:
    random = np.random.default_rng(0)
    read = 0
    for record in [record_id(str(number)) for number in range(20)]:
        noisy = encoded(bits_of(record)) + random.normal(size=N_CODED)
        assert 0.08 < (noisy * encoded(bits_of(record)) < 0).mean() < 0.25  # of the coded bits are wrong
        read += record_of(decoded(noisy)) == record
    assert read >= 19


def test_the_likeliest_words_are_in_order_unlike_and_hold_the_one_that_noise_hides() -> None:
    random = np.random.default_rng(4)
    first = among = 0
    for record in [record_id(str(number)) for number in range(20)]:
        noisy = encoded(bits_of(record)) + random.normal(0, 1.5, N_CODED)
        words = likeliest(noisy, 8)
        agreements = [float(encoded(word) @ noisy) for word in words]
        assert agreements == sorted(agreements, reverse=True)
        assert len({word.tobytes() for word in words}) == 8
        first += record_of(words[0]) == record
        among += record in [record_of(word) for word in words]
    assert first < among


def test_only_words_of_this_version_are_tried() -> None:
    other = bits_of(RECORDS[2])
    other[-1] ^= 1
    assert record_of(other) is None
    words = likeliest(encoded(other).astype(float), 8)
    assert {word[-VERSION_BITS:].tobytes() for word in words} == {bits_of(RECORDS[0])[-VERSION_BITS:].tobytes()}


def test_the_best_agreement_is_that_of_the_likeliest_word() -> None:
    noisy = encoded(bits_of(RECORDS[3])) + np.random.default_rng(2).normal(size=N_CODED)
    agreements = best_agreements(noisy)
    assert agreements.shape == (16,)
    assert agreements.max() == pytest.approx(float(encoded(decoded(noisy)) @ noisy))


@pytest.mark.parametrize("shift", [1, 8, 40])
def test_the_word_turns_with_its_bits(shift: int) -> None:
    """The code has no beginning: each bit is as well protected as the others."""
    bits = bits_of(RECORDS[3])
    np.testing.assert_array_equal(encoded(np.roll(bits, shift)), np.roll(encoded(bits), 3 * shift))


def test_noise_alone_gives_no_record() -> None:
    random = np.random.default_rng(0)
    assert [record_of(decoded(random.normal(size=N_CODED))) for _ in range(100)] == [None] * 100


@pytest.mark.parametrize("place", range(0, N_BITS, 7))
def test_one_wrong_bit_is_refused(place: int) -> None:
    bits = bits_of(RECORDS[3])
    bits[place] ^= 1
    assert record_of(bits) is None


@pytest.mark.parametrize("record", ["", "012345678", "01234567890", "012345678G", "0123 56789", "ABCDEF0123"])
def test_other_texts_are_no_ids(record: str) -> None:
    with pytest.raises(ValueError, match="10 hexadecimal digits"):
        bits_of(record)
