"""The word index: terms and scores against a search through all texts, and its bytes there and back, whole or damaged."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitwren import lexical, postings
from bitwren.errors import FormatError
from bitwren.lexical import GAIN_ONE, Words

TEXTS = st.lists(st.text(st.sampled_from("abe ingsr é1-"), min_size=1, max_size=40), min_size=1, max_size=60)
NO_LIMIT = 1 << 40
SMALL = postings.pack(lexical.build(["one two three", "three four", "five ones"] * 20, NO_LIMIT, 8))


def test_terms() -> None:
    assert lexical.terms("Leaking a pump's") == [
        *(b"leak", b"#<le", b"#lea", b"#eak", b"#aki", b"#kin", b"#ing", b"#ng>"),
        *(b"a", b"#<a>"),
        *(b"pump", b"#<pu", b"#pum", b"#ump", b"#mps", b"#ps>"),
    ]


@pytest.mark.parametrize(
    ("word", "stem"),
    [
        (b"ring", b"ring"),
        (b"string", b"str"),
        (b"boxes", b"box"),
        (b"used", b"used"),
        (b"leds", b"led"),
        (b"bus", b"bus"),
        (b"", b""),
    ],
)
def test_stem(word: bytes, stem: bytes) -> None:
    assert lexical.stem(word) == stem


def test_bucket_is_fnv_1a() -> None:
    # FNV-1a of "foobar" is 0xbf9cf968, by the authors' test vectors.
    assert lexical.bucket(b"foobar", 16) == (0xBF9CF968 * 0x9E3779B1 % 2**32) >> 16


@settings(deadline=None)
@given(st.integers(1, 2**22), st.integers(0, 2**22))
def test_weight_is_a_logarithm(count: int, documents: int) -> None:
    documents = min(documents, count)
    assert abs(lexical.weight(documents, count) / 16 - math.log2((count + 1) / (documents + 0.5))) < 0.22
    assert 0 <= lexical.weight(documents, count) <= 368


@settings(deadline=None)
@given(TEXTS, st.text(st.sampled_from("abe ingsr é1-"), max_size=300), st.sampled_from([8, 10, 16]))
def test_scores_are_those_of_every_text_looked_at(texts: list[str], query: str, hash_bits: int) -> None:
    words = lexical.build(texts, NO_LIMIT, hash_bits)
    buckets = lexical.query_buckets(query, hash_bits)
    assert len(buckets) == len(set(buckets)) <= lexical.MAX_TERMS
    have = [{lexical.bucket(term, hash_bits) for term in lexical.terms(text)} for text in texts]
    found = Counter(bucket for each in have for bucket in each)
    sums, total = words.scores(buckets)
    assert total == sum(lexical.weight(found[bucket], len(texts)) for bucket in buckets)
    for index, each in enumerate(have):
        expected = sum(lexical.weight(found[bucket], len(texts)) for bucket in buckets if bucket in each)
        assert sums[index] == expected * int(words.gains[index])


def test_longer_documents_gain_less() -> None:
    words = lexical.build(["one two", "one two three four five six seven eight nine ten", "one two three four five"], NO_LIMIT)
    assert words.gains[0] > words.gains[2] > words.gains[1]
    assert abs(int(words.gains[2]) - GAIN_ONE) < 10


@settings(deadline=None, max_examples=50)
@given(TEXTS, st.sampled_from([8, 10, 13]), st.integers(0, 60))
def test_there_and_back(texts: list[str], hash_bits: int, most: int) -> None:
    words = lexical.without(lexical.build(texts, NO_LIMIT, hash_bits), most)
    data = postings.pack(words)
    assert len(data) == postings.size(words)
    same(postings.unpack(data, len(texts) + 5), words)


def test_long_lists_there_and_back() -> None:
    """Lists of more than 254 bytes, of numbers of documents that take two bytes, and of all documents."""
    random = np.random.default_rng(1)
    count = 30000
    lists = [np.arange(count), np.sort(random.choice(count, 5000, False)), np.array([count - 1]), np.arange(0, count, 7)]
    buckets = np.zeros(257, dtype=np.int64)
    for bucket, each in zip((3, 4, 200, 255), lists, strict=True):
        buckets[bucket + 1] = len(each)
    gains = random.integers(1, 256, count).astype(np.uint8)
    words = Words(8, gains, np.cumsum(buckets), np.concatenate(lists), np.zeros(256, dtype=bool), 77)
    data = postings.pack(words)
    assert len(data) == postings.size(words)
    same(postings.unpack(data, count), words)


def test_budget() -> None:
    texts = [f"the pump number {index} of the machine in hall {index % 7} leaks" for index in range(300)]
    whole = lexical.build(texts, NO_LIMIT, 12)
    budget = postings.size(whole) * 2 // 3
    fitted = lexical.build(texts, budget, 12)
    assert postings.size(fitted) <= budget
    assert fitted.dropped.any()
    kept, all_of_them = np.diff(fitted.starts), np.diff(whole.starts)
    # What is dropped is commoner than what is kept, and a little more would not have fitted.
    assert all_of_them[fitted.dropped].min() > kept.max()
    assert postings.size(lexical.without(whole, int(all_of_them[fitted.dropped].min()))) > budget
    assert np.array_equal(kept[~fitted.dropped], all_of_them[~fitted.dropped])
    dropped = int(np.flatnonzero(fitted.dropped)[0])
    assert fitted.scores([dropped])[1] == 0
    # Left to itself, the table of lists takes a sixth of the budget, and at least that of 256 buckets.
    for budget in (50_000, 6_000, 1_000):
        assert lexical.build(texts, budget).hash_bits == max(8, min(12, (budget // 6 * 8 // 9).bit_length() - 1))


@settings(deadline=None, max_examples=100)
@given(st.data())
def test_damaged_bytes_are_refused_or_harmless(data: st.DataObject) -> None:
    bad = bytearray(SMALL)
    for _ in range(data.draw(st.integers(1, 4))):
        bad[data.draw(st.integers(0, len(bad) - 1))] = data.draw(st.integers(0, 255))
    try:
        words = postings.unpack(bytes(bad[: data.draw(st.sampled_from([len(bad), len(bad) // 2, 11]))]), 60)
    except FormatError:
        return
    assert len(words) <= 60
    assert ((words.slots >= 0) & (words.slots < len(words))).all()


def same(found: Words, wanted: Words) -> None:
    assert (found.hash_bits, found.mean_length) == (wanted.hash_bits, wanted.mean_length)
    for name in ("gains", "starts", "slots", "dropped"):
        assert np.array_equal(getattr(found, name), getattr(wanted, name)), name
