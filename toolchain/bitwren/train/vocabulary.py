"""A vocabulary of word pieces from training text.

Pieces are learnt by the merges of WordPiece's trainer in the ``tokenizers`` library. Merging leaves many steps on the way to
a longer piece (``##ti``, ``##tio``) that greedy longest match then hardly uses, so more pieces than wanted are learnt and the
least used are dropped: every row that stays in flash earns its place.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from .. import text
from ..tokenizer import MAX_PIECE_BYTES, Vocabulary
from . import need

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
    """Pieces in the order in which WordPiece's trainer found them; continuations begin with ``##``."""
    tokenizers = need("tokenizers")
    model = tokenizers.Tokenizer(tokenizers.models.WordPiece(unk_token="[UNK]"))
    model.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    trainer = tokenizers.trainers.WordPieceTrainer(
        vocab_size=pieces, special_tokens=["[UNK]"], limit_alphabet=80, show_progress=False
    )
    # The trainer takes text, not counts: each word as often as it occurs, a thousand a line. Sorted, so that ties between
    # merges fall the same way in every run.
    ordered = sorted(counts.items())
    lines = (" ".join([word.decode()] * min(1000, count - done)) for word, count in ordered for done in range(0, count, 1000))
    model.train_from_iterator(lines, trainer)
    ranked = sorted(model.get_vocab().items(), key=lambda item: int(item[1]))
    return [piece for piece, _ in ranked if piece != "[UNK]"]


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
