"""Words beside codes: a small postings index of hashed stems and character trigrams, scored by BM25.

BM25 (Robertson & Zaragoza 2009, "The Probabilistic Relevance Framework") with k1 = 0.9 and b = 0.4 (Trotman et al. 2014), in
integers, and with two simplifications that short texts allow: a term counts once in a document, and a document's length makes one
factor for all its terms. A score is divided by what the query's terms could give at most, so that it lies between 0 and about 1.2
and adds to a cosine; terms that no document has count there too. Trigrams find what is misspelt.

A term's bucket is a hash of 8 to 16 bits: no dictionary is stored. Postings are gaps in Rice code (Rice & Plaunt 1971). Terms of
very many documents say little and cost most, so the commonest are dropped until the index fits its budget.
docs/format.md specifies the bytes and every rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .text import words as split

HASH_BITS = range(8, 17)
MAX_TERMS = 128
"""Distinct buckets of a query that count, the first ones; the chip has room for no more."""
K1, B = 0.9, 0.4
GAIN_ONE = 128
"""A document's factor of 1."""
_SUFFIXES = (b"ing", b"ed", b"es", b"s")
_LOG_STEPS = 4  # bits of a logarithm's fraction


@dataclass(frozen=True)
class Words:
    """An index of the first N slots.

    :ivar hash_bits: of a bucket's number, one of :data:`HASH_BITS`.
    :ivar gains: uint8 [N], 1 .. 255: each document's factor, :data:`GAIN_ONE` for a document of average length.
    :ivar starts: int64 [2**hash_bits + 1]: bucket b's documents are ``slots[starts[b]:starts[b + 1]]``.
    :ivar slots: int64, ascending in each bucket.
    :ivar dropped: bool [2**hash_bits]: terms of too many documents, which count nowhere.
    :ivar mean_length: terms of the average document, in sixteenths; for documents that are appended.
    """

    hash_bits: int
    gains: NDArray[np.uint8]
    starts: NDArray[np.int64]
    slots: NDArray[np.int64]
    dropped: NDArray[np.bool_]
    mean_length: int

    def __len__(self) -> int:
        return len(self.gains)

    def scores(self, buckets: Sequence[int]) -> tuple[NDArray[np.int64], int]:
        """What a query's terms add up to in each document, times its gain: int64 [N]; and the most they could be without gain.

        :param buckets: distinct, as :func:`query_buckets` gives them.
        """
        sums = np.zeros(len(self.gains), dtype=np.int64)
        total = 0
        for bucket in buckets:
            if self.dropped[bucket]:
                continue
            found = self.slots[self.starts[bucket] : self.starts[bucket + 1]]
            rarity = weight(len(found), len(self.gains))
            total += rarity
            sums[found] += rarity
        return sums * self.gains, total


def terms(text: str | bytes) -> list[bytes]:
    """Stems of a text's words, each followed by the trigrams of ``<word>``; a trigram begins with ``#``."""
    found: list[bytes] = []
    for word in split(text):
        found.append(stem(word))
        framed = b"<" + word + b">"
        found += [b"#" + framed[at : at + 3] for at in range(len(framed) - 2)]
    return found


def stem(word: bytes) -> bytes:
    """A word without the first of ``ing``, ``ed``, ``es``, ``s`` that it ends in, if three bytes are left."""
    for suffix in _SUFFIXES:
        if word.endswith(suffix) and len(word) - len(suffix) >= 3:
            return word[: -len(suffix)]
    return word


def bucket(term: bytes, hash_bits: int) -> int:
    """FNV-1a of 32 bits (Fowler, Noll & Vo), its highest bits after one more product with 2**32 / golden ratio."""
    value = 0x811C9DC5
    for byte in term:
        value = (value ^ byte) * 0x01000193 & 0xFFFFFFFF
    return (value * 0x9E3779B1 & 0xFFFFFFFF) >> 32 - hash_bits


def query_buckets(text: str | bytes, hash_bits: int) -> list[int]:
    """Distinct buckets of a text's terms in order of appearance, at most :data:`MAX_TERMS`."""
    return list(dict.fromkeys(bucket(term, hash_bits) for term in terms(text)))[:MAX_TERMS]


def weight(documents: int, count: int) -> int:
    """Rarity of a term of so many of ``count`` documents, BM25's idf in sixteenths of a bit: log2((N + 1) / (n + 1/2)).

    The logarithms have straight lines between powers of two.
    """
    return _log2(2 * count + 2) - _log2(2 * documents + 1)


def _log2(value: int) -> int:
    whole = value.bit_length() - 1
    return (whole << _LOG_STEPS) + ((value << _LOG_STEPS >> whole) & (1 << _LOG_STEPS) - 1)


def gain(length: float, mean: float) -> int:
    """Factor of a document of ``length`` terms."""
    factor = (K1 + 1) / (1 + K1 * (1 - B + B * length / max(mean, 1.0)))
    return max(1, min(255, round(GAIN_ONE * factor)))


def build(texts: Sequence[str], budget: int, hash_bits: int | None = None) -> Words:
    """Index texts.

    :param budget: bytes that :func:`bitwren.postings.pack` may take. :param hash_bits: None: by texts and budget.
    """
    from .postings import size  # it needs Words

    bits = hash_bits or min(max(len(texts).bit_length() + 3, 10), HASH_BITS[-1])
    while hash_bits is None and bits > HASH_BITS[0] and (9 << bits) // 8 > budget // 6:
        bits -= 1  # the lists' lengths take 9/8 bytes a bucket: no more than a sixth of all
    known: dict[bytes, int] = {}
    lengths, pairs = [], []
    for slot, each in enumerate(texts):
        found = terms(each)
        lengths.append(len(found))
        for term in found:
            if term not in known:
                known[term] = bucket(term, bits)
        pairs.append(np.unique(np.array([known[term] for term in found], dtype=np.int64) * len(texts) + slot))
    mean = float(np.mean(lengths))
    gains = np.array([gain(length, mean) for length in lengths], dtype=np.uint8)
    ordered = np.sort(np.concatenate(pairs))
    counts = np.bincount(ordered // len(texts), minlength=1 << bits)
    slots = ordered % len(texts)
    nothing = np.zeros(1 << bits, dtype=bool)
    whole = Words(bits, gains, np.concatenate([[0], np.cumsum(counts)]), slots, nothing, round(16 * mean))
    low, high = 0, int(counts.max(initial=0))  # the most documents that a term may have: all up to `high`, none above `low`
    if size(whole) <= budget:
        return whole
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if size(without(whole, middle)) <= budget else (low, middle)
    return without(whole, low)


def extend(words: Words, texts: Sequence[str]) -> Words:
    """The index with more documents, in the slots behind those that it has.

    Their factors are by the mean length that it was built with, and terms that were dropped stay dropped.
    """
    count = len(words)
    gains, buckets, slots = [words.gains], [np.repeat(np.arange(len(words.dropped)), np.diff(words.starts))], [words.slots]
    for slot, text in enumerate(texts, count):
        found = terms(text)
        gains.append(np.array([gain(len(found), words.mean_length / 16)], dtype=np.uint8))
        its = np.unique(np.array([bucket(term, words.hash_bits) for term in found], dtype=np.int64))
        its = its[~words.dropped[its]]
        buckets.append(its)
        slots.append(np.full(len(its), slot, dtype=np.int64))
    of_all = np.concatenate(buckets)
    counts = np.bincount(of_all, minlength=len(words.dropped))
    order = np.argsort(of_all, kind="stable")  # so that slots ascend in each bucket
    starts = np.concatenate([[0], np.cumsum(counts)])
    return Words(words.hash_bits, np.concatenate(gains), starts, np.concatenate(slots)[order], words.dropped, words.mean_length)


def without(words: Words, most: int) -> Words:
    """The index without terms of more than ``most`` documents."""
    counts = np.diff(words.starts)
    dropped = words.dropped | (counts > most)
    kept = np.repeat(~dropped, counts)
    starts = np.concatenate([[0], np.cumsum(np.where(dropped, 0, counts))])
    return Words(words.hash_bits, words.gains, starts, words.slots[kept], dropped, words.mean_length)
