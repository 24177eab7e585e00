"""The C core splits text into the reference's words and tokens, from each kind of source."""

from __future__ import annotations

import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from native import KINDS, MAX_TEXT, TEXT, CoreError, NativeCore, Source

from bitwren import lower
from bitwren.encoder import Dense, Encoder
from bitwren.frontend import Rows
from bitwren.text import words
from bitwren.tokenizer import Vocabulary

kinds = pytest.mark.parametrize("kind", KINDS)
# Where classify() or decode() change their mind, with neighbours on both sides.
EDGES = [
    0x7F, 0x80, 0xA0, 0x17F, 0x2BC, 0x300, 0x36F, 0x391, 0x3A9, 0x400, 0x40F, 0x410, 0x42F, 0x7FF, 0x800, 0x2000, 0x200B,
    0x200D, 0x2018, 0x2019, 0x2BFF, 0x2E80, 0x2FFF, 0x3000, 0x303F, 0x3040, 0x9FFF, 0xD800, 0xF8FF, 0xF900, 0xFAFF, 0xFE00,
    0xFE0F, 0xFF01, 0xFF07, 0xFF10, 0xFF19, 0xFF21, 0xFF3A, 0xFF41, 0xFF5E, 0xFFF0, 0xFFFF, 0x10000, 0x1F000, 0x1FAFF,
    0x20000, 0x3FFFF, 0xFFFFF, 0x10FFFF,
]  # fmt: skip
# Bytes that begin, go on with, or never belong to UTF-8.
HOSTILE = st.sampled_from(
    [b"\xc0\x80", b"\xc1\xbf", b"\xe0\x80\x80", b"\xe0\x81\xa1", b"\xf0\x80\x81\xa1", b"\xf4\x90\x80\x80", b"\xed\xa0\x80"]
    + [bytes([byte]) for byte in (0x80, 0xBF, 0xC2, 0xDF, 0xE0, 0xEF, 0xF0, 0xF4, 0xF5, 0xFF)]
)
texts = st.one_of(
    st.binary(max_size=200),
    st.text(max_size=100).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.lists(st.one_of(HOSTILE, st.sampled_from([b"a", b"Z", b"9", b"'", b" ", "ß".encode(), "日".encode()])), max_size=80).map(
        b"".join
    ),
)


def encoder_file(vocabulary: Vocabulary) -> bytes:
    """A .bwe whose vocabulary is what matters."""
    count = len(vocabulary)
    rows = Rows(np.zeros((count, 8), np.uint8), np.ones(count, np.uint8), 2)
    layer = Dense(np.zeros((64, 32), np.int8), np.zeros(64, np.int32))
    return lower.write(Encoder(vocabulary, rows, (layer,), bytes(16), {}))


def random_vocabulary(seed: int, starts: int, continuations: int, alphabet: bytes, longest: int) -> Vocabulary:
    """Up to so many pieces each: a small alphabet makes prefixes of prefixes, as real pieces are."""
    random = np.random.default_rng(seed)

    def pieces(count: int) -> list[bytes]:
        lengths = random.integers(1, longest + 1, count)
        return sorted({bytes(random.choice(list(alphabet), length).astype(np.uint8)) for length in lengths})

    return Vocabulary(pieces(starts), pieces(continuations))


NO_PIECES = encoder_file(Vocabulary([], []))


@settings(max_examples=300, deadline=None)
@given(text=texts)
def test_words_equal_the_reference(native_core: NativeCore, text: bytes) -> None:
    assert native_core.words(Source.contiguous(NO_PIECES), text) == words(text)


@kinds
def test_every_kind_of_character(native_core: NativeCore, kind: str) -> None:
    code_points = {*range(0x3100), *(edge + near for edge in EDGES for near in (-1, 0, 1) if edge + near < 0x110000)}
    text = " ".join(f"x{chr(code)}y 1{chr(code)}{chr(code)}2" for code in sorted(code_points)).encode("utf-8", "surrogatepass")
    assert native_core.words(KINDS[kind](NO_PIECES), text) == words(text)


@settings(max_examples=100, deadline=None)
@given(
    letters=st.lists(st.sampled_from(["a", "é", "ß", "я", "ﬀ", "𐐷", "'", "日", "1"]), min_size=30, max_size=60),
)
def test_words_that_are_too_long(native_core: NativeCore, letters: list[str]) -> None:
    text = "".join(letters).encode()
    assert native_core.words(Source.contiguous(NO_PIECES), text) == words(text)


@settings(max_examples=400, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    starts=st.one_of(st.integers(0, 500), st.sampled_from([0, 1, 15, 16, 17, 31, 32, 33])),
    continuations=st.one_of(st.integers(0, 500), st.sampled_from([0, 1, 15, 16, 17, 31, 32, 33])),
    alphabet=st.sampled_from([b"a", b"ab", b"abc", "яб".encode(), b"abcdefghij", bytes(range(256))]),
    longest=st.integers(1, 16),
    kind=st.sampled_from(list(KINDS)),
)
def test_tokens_equal_the_reference(
    native_core: NativeCore, seed: int, starts: int, continuations: int, alphabet: bytes, longest: int, kind: str
) -> None:
    vocabulary = random_vocabulary(seed, starts, continuations, alphabet, longest)
    random = np.random.default_rng(seed)
    drawn = bytes(random.choice([*alphabet, *alphabet, 0x20, ord("z")], 300).astype(np.uint8))
    known = vocabulary.starts[::7] + vocabulary.continuations[::5]
    text = drawn + b"".join(piece + piece for piece in known)[: MAX_TEXT - len(drawn)]
    expected = vocabulary.tokens(words(text))
    source = KINDS[kind](encoder_file(vocabulary))
    assert native_core.tokens(source, text) == expected
    assert native_core.tokens(source, text, len(expected) // 2) == expected[: len(expected) // 2]


def test_text_that_is_too_long_is_refused(native_core: NativeCore) -> None:
    source = Source.contiguous(encoder_file(Vocabulary([b"a"], [b"a"])))
    assert len(native_core.tokens(source, b"a " * (MAX_TEXT // 2))) == MAX_TEXT // 2
    with pytest.raises(CoreError) as error:
        native_core.tokens(source, b"a" * (MAX_TEXT + 1))
    assert error.value.code == TEXT


@settings(max_examples=200, deadline=None)
@given(data=st.data(), size=st.integers(0, 3000), kind=st.sampled_from([*KINDS, "cut anywhere"]))
def test_fetches_and_checksums(native_core: NativeCore, data: st.DataObject, size: int, kind: str) -> None:
    content = np.random.default_rng(size).bytes(size)
    if kind == "cut anywhere":
        source = Source.extents(content or b"\0", data.draw(st.lists(st.integers(0, max(1, size)), max_size=40)))
        content = content or b"\0"
    else:
        source = KINDS[kind](content)
    for _ in range(10):
        offset, length = data.draw(st.integers(0, size + 5)), data.draw(st.integers(1, 513))
        ahead = data.draw(st.sampled_from([length, length + 1, length + 700, 2**32 - 1]))
        inside = offset + length <= len(content) and length + offset % 4 <= 512
        found = native_core.fetch(source, offset, length, ahead)
        assert found == (content[offset : offset + length] if inside else None)
    assert native_core.crc32(source, 0, len(content)) == zlib.crc32(content)


def test_a_streamed_source_reads_ahead(native_core: NativeCore) -> None:
    source = Source.streamed(bytes(8192), 2048)
    native_core.crc32(source, 0, 8192)
    assert source.reads == [(0, 2048), (2048, 2048), (4096, 2048), (6144, 2048)]
