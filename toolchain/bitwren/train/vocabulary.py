"""A vocabulary of word pieces from training text.

Pieces are learnt by merging frequent neighbours, as for WordPiece. Merging leaves many steps on the way to a longer piece
(``##ti``, ``##tio``) that greedy longest match then hardly uses, so more pieces than wanted are learnt and the least used are
dropped: every row that stays in flash earns its place.
"""

from __future__ import annotations

import heapq
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from .. import text
from ..tokenizer import MAX_PIECE_BYTES, Vocabulary

SURPLUS = 1.5
"""How many times the wanted pieces are learnt before the least used are dropped."""

_ROUNDS = 4  # dropping pieces moves their words to others, so counts are taken again
_SINGLES = [bytes([byte]) for byte in b"abcdefghijklmnopqrstuvwxyz0123456789"]


def count_words(texts: Iterable[str]) -> Counter[bytes]:
    """How often each normalised word occurs."""
    counts: Counter[bytes] = Counter()
    for each in texts:
        counts.update(text.words(each))
    return counts


def weighted_counts(parts: Sequence[Iterable[str]], weights: Sequence[float]) -> Counter[bytes]:
    """Word counts of several sources, each multiplied by the source's weight and rounded up."""
    total: Counter[bytes] = Counter()
    for part, weight in zip(parts, weights, strict=True):
        for word, count in count_words(part).items():
            total[word] += math.ceil(count * weight)
    return total


def train_vocabulary(counts: Mapping[bytes, int], pieces: int) -> Vocabulary:
    """Learn a vocabulary of at most ``pieces`` pieces from word counts."""
    return prune(learn_pieces(counts, round(pieces * SURPLUS)), counts, pieces)


def learn_pieces(counts: Mapping[bytes, int], pieces: int) -> list[str]:
    """Pieces in the order in which merging the most frequent neighbours finds them; continuations begin with ``##``.

    Byte-pair encoding (Sennrich et al. 2016, "Neural Machine Translation of Rare Words with Subword Units") on WordPiece's
    symbols. Equal counts merge in alphabetical order, so that every run learns the same pieces, which libraries do not promise.
    """
    frequencies: list[int] = []
    spellings: list[list[str]] = []  # each distinct word as the pieces it has so far
    for word, count in sorted(counts.items()):
        letters = word.decode()
        frequencies.append(count)
        spellings.append([letters[0], *(f"##{letter}" for letter in letters[1:])])
    learnt = dict.fromkeys(sorted({piece for spelling in spellings for piece in spelling}))
    pairs: Counter[tuple[str, str]] = Counter()
    places: defaultdict[tuple[str, str], set[int]] = defaultdict(set)
    for index, spelling in enumerate(spellings):
        for pair in pairwise(spelling):
            pairs[pair] += frequencies[index]
            places[pair].add(index)
    queue = [(-count, pair) for pair, count in pairs.items()]
    heapq.heapify(queue)
    while queue and len(learnt) < pieces:
        negative, pair = heapq.heappop(queue)
        if pairs[pair] != -negative or not negative:
            continue  # its count has changed since; the newer entry is in the queue as well
        merged = pair[0] + pair[1][2:]
        if len(merged.removeprefix("##").encode()) > MAX_PIECE_BYTES:
            continue
        learnt[merged] = None
        changed: set[tuple[str, str]] = set()
        for index in places.pop(pair):
            before, count = spellings[index], frequencies[index]
            spellings[index] = after = _merge(before, pair, merged)
            for old in pairwise(before):
                pairs[old] -= count
                changed.add(old)
            for new in pairwise(after):
                pairs[new] += count
                places[new].add(index)
                changed.add(new)
        for each in changed:
            heapq.heappush(queue, (-pairs[each], each))
    return list(learnt)


def _merge(spelling: Sequence[str], pair: tuple[str, str], merged: str) -> list[str]:
    out: list[str] = []
    for piece in spelling:
        if out and (out[-1], piece) == pair:
            out[-1] = merged
        else:
            out.append(piece)
    return out


def prune(learnt: Sequence[str], counts: Mapping[bytes, int], pieces: int) -> Vocabulary:
    """Keep the pieces that greedy longest match uses most, and every letter a-z and digit at both positions.

    :param learnt: pieces, continuations with ``##``; those longer than 16 bytes are left out.
    :param counts: how often each word occurs.
    :param pieces: the most pieces kept.
    """
    kept = _lists(learnt)
    for remaining in range(_ROUNDS, 0, -1):
        vocabulary = Vocabulary(*kept)
        surplus = len(vocabulary) - pieces
        if surplus <= 0:
            break
        used = np.zeros(len(vocabulary), dtype=np.int64)
        for word, count in counts.items():
            used[vocabulary.tokens([word])] += count
        everything = [*vocabulary.starts, *vocabulary.continuations]
        used[[len(piece) == 1 and piece in _SINGLES for piece in everything]] = np.iinfo(np.int64).max
        # A part of the surplus each round, all of it in the last; equal counts drop the longer piece.
        drop = surplus if remaining == 1 else -(-surplus // 2)
        lengths = np.array([len(piece) for piece in everything])
        gone = set(np.lexsort((-lengths, used))[:drop].tolist())
        middle = len(vocabulary.starts)
        kept = (
            [piece for index, piece in enumerate(vocabulary.starts) if index not in gone],
            [piece for index, piece in enumerate(vocabulary.continuations, middle) if index not in gone],
        )
    return Vocabulary(*kept)


def _lists(learnt: Sequence[str]) -> tuple[list[bytes], list[bytes]]:
    """Sorted starts and continuations, single letters and digits in both."""
    starts = {piece.encode() for piece in learnt if not piece.startswith("##")}
    continuations = {piece[2:].encode() for piece in learnt if piece.startswith("##")}
    return (
        sorted(piece for piece in starts.union(_SINGLES) if 0 < len(piece) <= MAX_PIECE_BYTES),
        sorted(piece for piece in continuations.union(_SINGLES) if 0 < len(piece) <= MAX_PIECE_BYTES),
    )


def tokenize(vocabulary: Vocabulary, texts: Iterable[str]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Token ids of many texts, one after the other.

    :return: ids int32 [all tokens], and offsets int64 [texts + 1]: text i has ``ids[offsets[i]:offsets[i + 1]]``.
    """
    known: dict[bytes, list[int]] = {}  # a corpus repeats its words; the match is worth remembering
    ids: list[int] = []
    offsets = [0]
    for each in texts:
        for word in text.words(each):
            tokens = known.get(word)
            if tokens is None:
                tokens = known[word] = vocabulary.tokens([word])
            ids += tokens
        offsets.append(len(ids))
    return np.array(ids, dtype=np.int32), np.array(offsets, dtype=np.int64)
