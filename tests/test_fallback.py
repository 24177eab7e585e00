"""The fallback core in plain Python, under CPython: the reference's answers, and the C core's on damaged files."""

from __future__ import annotations

import numpy as np
import pytest
from fallback import Both, FallbackCore
from hypothesis import given, settings
from hypothesis import strategies as st
from native import KINDS, MAX_TEXT, TEXT, CoreError, NativeCore, Source
from test_native_encoder import Shape, shapes
from test_native_hostile import (
    TEXTS,
    an_encoder,
    crafted,
    extreme_fields,
    failing_reads,
    flipped,
    noise,
    truncated,
    vocabularies,
)
from test_native_search import COPIES, EDGES, expected, make_codes, make_query, make_table
from test_native_text import EDGES as CODE_POINTS
from test_native_text import NO_PIECES, encoder_file, random_vocabulary, texts

from bitwren import lower
from bitwren.hamming import WIDTHS
from bitwren.text import words

every_kind = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture(scope="module")
def core() -> FallbackCore:
    return FallbackCore()


@pytest.fixture(scope="module")
def both(core: FallbackCore, native_core: NativeCore) -> Both:
    return Both(native_core, core)


@settings(max_examples=300, deadline=None)
@given(text=texts, kind=st.sampled_from(list(KINDS)))
def test_words(core: FallbackCore, text: bytes, kind: str) -> None:
    assert core.words(KINDS[kind](NO_PIECES), text) == words(text)


@every_kind
def test_every_kind_of_character(core: FallbackCore, kind: str) -> None:
    characters = {code + step for code in CODE_POINTS for step in (-1, 0, 1)} - {0x110000}
    text = "".join(f"a{chr(code)}b{chr(code)}{chr(code)}1{chr(code)} " for code in sorted(characters))
    data = text.encode("utf-8", "surrogatepass")
    assert core.words(KINDS[kind](NO_PIECES), data) == words(data)


@settings(max_examples=200, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    starts=st.integers(0, 200),
    continuations=st.integers(0, 200),
    alphabet=st.sampled_from([b"ab", b"abc0", b"abcdefghij0123456789"]),
    longest=st.integers(1, 16),
    kind=st.sampled_from(list(KINDS)),
    text=st.one_of(texts, st.text("ab", max_size=100).map(str.encode), st.text("abcdefgh019 ", max_size=100).map(str.encode)),
)
def test_tokens(
    core: FallbackCore, seed: int, starts: int, continuations: int, alphabet: bytes, longest: int, kind: str, text: bytes
) -> None:
    vocabulary = random_vocabulary(seed, starts, continuations, alphabet, longest)
    source = KINDS[kind](encoder_file(vocabulary))
    ids = vocabulary.tokens(words(text))
    assert core.tokens(source, text) == ids
    assert core.tokens(source, text, 3) == ids[:3]


def test_text_that_is_too_long_is_refused(core: FallbackCore) -> None:
    source = Source.contiguous(an_encoder())
    core.tokens(source, b"a" * MAX_TEXT)
    with pytest.raises(CoreError) as error:
        core.encode(source, b"a" * (MAX_TEXT + 1))
    assert error.value.code == TEXT


@settings(max_examples=120, deadline=None)
@given(shape=shapes, text=texts, kind=st.sampled_from(list(KINDS)))
def test_codes(core: FallbackCore, shape: Shape, text: bytes, kind: str) -> None:
    encoder = shape.encoder()
    source = KINDS[kind](lower.write(encoder))
    assert core.encode(source, text).tolist() == encoder.encode([text])[0].tolist()


@settings(max_examples=200, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    bits=st.sampled_from(WIDTHS),
    count=st.one_of(st.sampled_from(EDGES), st.integers(1, 400)),
    copies=st.sampled_from(COPIES),
    alive=st.sampled_from([1.0, 0.9, 0.3, 0.0]),
    asked=st.sampled_from(["random", "one of them", "opposite", "zero"]),
    kind=st.sampled_from(list(KINDS)),
)
def test_hits(core: FallbackCore, seed: int, bits: int, count: int, copies: str, alive: float, asked: str, kind: str) -> None:
    random = np.random.default_rng(seed)
    codes = make_codes(random, count, bits, copies)
    live = random.random(count) < alive
    query = make_query(random, codes, asked)
    source = KINDS[kind](make_table(codes, live))
    assert core.check(source, b"BWT1") == 0
    for k in {1, 3, 32, count, count + 5}:
        assert core.search(source, query, k) == expected(query, codes, k, live)


@every_kind
def test_records(both: Both, kind: str) -> None:
    source = KINDS[kind](make_table(make_codes(np.random.default_rng(3), 70, 64, "none"), np.ones(70, bool)))
    for slot in range(70):
        both.record(source, slot)
    with pytest.raises(CoreError):
        both.record(source, 70)


def test_damaged_files_give_the_native_errors(both: Both, core: FallbackCore) -> None:
    random = np.random.default_rng(5)
    truncated(both)  # type: ignore[arg-type]
    extreme_fields(both)  # type: ignore[arg-type]
    crafted(both)  # type: ignore[arg-type]
    vocabularies(both, random, 40)  # type: ignore[arg-type]
    flipped(both, random, 60)  # type: ignore[arg-type]
    noise(both, random, 10)  # type: ignore[arg-type]
    failing_reads(core)  # type: ignore[arg-type]


@every_kind
def test_what_a_call_of_each_kind_gives(both: Both, kind: str) -> None:
    source = KINDS[kind](an_encoder())
    for text in TEXTS:
        both.encode(source, text)
        both.tokens(source, text)
