"""Normalisation: the stated rules, an independent oracle for the fold table, and arbitrary input."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitwren.text import FOLD, FOLD_FIRST, FOLD_LAST, MAX_WORD_BYTES, PAIRS, words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Don't flash my ESP32-S3!", "dont flash my esp 32 s 3"),
        ("it\u2019s na\u00efve, Stra\u00dfe", "its naive strasse"),
        ("e\u0301clair 5\u00b5A", "eclair 5 ua"),
        ("\uff21\uff22\uff11", "ab 1"),
        ("\u041c\u043e\u0441\u043a\u0432\u0430 \u0391\u03b8", "\u043c\u043e\u0441\u043a\u0432\u0430 \u03b1\u03b8"),
        ("\u65e5\u672cX", "\u65e5 \u672c x"),
        ("?!... \U0001f600 \u2014", ""),
        ("", ""),
        ("zero\u200bwidth", "zerowidth"),
    ],
)
def test_examples(text: str, expected: str) -> None:
    assert words(text) == [word.encode() for word in expected.split()]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"a\xffb", [b"a", b"b"]),  # a byte that starts nothing separates
        (b"a\xc0\x80b", [b"a", b"b"]),  # C0 starts nothing
        (b"a\xe0\x80\xa7b", [b"a", b"b"]),  # an overlong apostrophe is no apostrophe
        (b"ab\xe2\x82", [b"ab"]),  # cut off in the middle
        (b"a\x00b", [b"a", b"b"]),
        (b"a\xf4\x90\x80\x80b", [b"a", b"b"]),  # beyond Unicode
    ],
)
def test_hostile_bytes(data: bytes, expected: list[bytes]) -> None:
    assert words(data) == expected


def test_long_words_are_cut() -> None:
    assert words("x" * 100) == [b"x" * MAX_WORD_BYTES]
    # A character that does not fit is dropped; a shorter one after it still fits.
    assert words("x" * 47 + "\u0101\u03b1y") == [b"x" * 47 + b"a"]
    assert words("x" * 47 + "\u03b1y") == [b"x" * 47 + b"y"]


def test_fold_table_against_unicode() -> None:
    """Where compatibility decomposition gives an ASCII letter or digit, the table must give the same."""
    assert len(FOLD) == FOLD_LAST - FOLD_FIRST + 1
    for offset, entry in enumerate(FOLD):
        char = chr(FOLD_FIRST + offset)
        base = "".join(c for c in unicodedata.normalize("NFKD", char).lower() if not unicodedata.combining(c))
        replacement = PAIRS[entry].decode() if entry in PAIRS else entry
        if base.isascii() and base.isalnum():
            assert replacement == base, hex(ord(char))
        elif not char.isalnum():
            assert entry in " -", hex(ord(char))
        else:
            assert replacement.isalnum() or char in "\u00bc\u00bd\u00be", hex(ord(char))


@given(st.text())
def test_text_and_its_bytes_are_the_same(text: str) -> None:
    assert words(text) == words(text.encode("utf-8", "surrogatepass"))


@given(st.binary())
def test_any_bytes(data: bytes) -> None:
    for word in words(data):
        assert 1 <= len(word) <= MAX_WORD_BYTES
        assert words(word) == [word]  # normalising again changes nothing


@given(st.text(st.characters(max_codepoint=127)))
def test_ascii_oracle(text: str) -> None:
    import re

    assert words(text) == [word.encode() for word in re.findall("[a-z]+|[0-9]+", text.lower().replace("'", ""))] or any(
        len(word) > MAX_WORD_BYTES for word in re.findall("[a-z]+|[0-9]+", text.lower().replace("'", ""))
    )
