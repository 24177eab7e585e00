"""Tokenizing against a recursive oracle, and the packed vocabulary."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitwren.errors import FormatError
from bitwren.tokenizer import MAX_PIECE_BYTES, Vocabulary

pieces = st.sets(st.text("abc", min_size=1, max_size=5).map(str.encode), max_size=60).map(sorted)


def oracle(word: bytes, starts: list[bytes], continuations: list[bytes], begun: bool = False) -> list[bytes]:
    """The longest piece by looking at all of them, marked ## when it continues a word."""
    if not word:
        return []
    fitting = [piece for piece in (continuations if begun else starts) if word.startswith(piece)]
    if not fitting:
        return oracle(word[1:], starts, continuations, begun)
    longest = max(fitting, key=len)
    return [b"##" * begun + longest, *oracle(word[len(longest) :], starts, continuations, True)]


@given(pieces, pieces, st.lists(st.text("abcd", min_size=1, max_size=12).map(str.encode), max_size=5))
def test_against_oracle(starts: list[bytes], continuations: list[bytes], words: list[bytes]) -> None:
    vocabulary = Vocabulary(starts, continuations)
    names = starts + [b"##" + piece for piece in continuations]
    expected = [name for word in words for name in oracle(word, starts, continuations)]
    assert [names[token] for token in vocabulary.tokens(words)] == expected


@given(pieces, pieces)
def test_pack_and_unpack(starts: list[bytes], continuations: list[bytes]) -> None:
    again = Vocabulary.unpack(Vocabulary(starts, continuations).pack() + b"rest")
    assert (again.starts, again.continuations) == (starts, continuations)


@given(st.sets(st.binary(min_size=1, max_size=MAX_PIECE_BYTES), max_size=300).map(sorted))
def test_pack_any_bytes(starts: list[bytes]) -> None:
    assert Vocabulary.unpack(Vocabulary(starts, []).pack()).starts == starts


@given(st.binary(max_size=80))
def test_unpack_hostile_bytes(data: bytes) -> None:
    with contextlib.suppress(FormatError):
        Vocabulary.unpack(data)


def test_text_file(tmp_path) -> None:  # type: ignore[no-untyped-def]
    vocabulary = Vocabulary([b"a", "é".encode()], [b"b"])
    (tmp_path / "vocabulary.txt").write_bytes(vocabulary.text())
    again = Vocabulary.read(tmp_path / "vocabulary.txt")
    assert (again.starts, again.continuations) == (vocabulary.starts, vocabulary.continuations)


@pytest.mark.parametrize("starts", [[b"b", b"a"], [b"a", b"a"], [b""], [b"x" * 17]])
def test_refuses_bad_lists(starts: list[bytes]) -> None:
    with pytest.raises(FormatError):
        Vocabulary(starts, [])


def test_refuses_a_vocabulary_past_16_bit_offsets() -> None:
    random_looking = sorted({bytes([a, b, c]) * 5 for a in range(64) for b in range(16) for c in range(8)})
    with pytest.raises(FormatError, match="fewer pieces"):
        Vocabulary(random_looking, []).pack()
