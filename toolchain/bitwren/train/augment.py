"""Queries as people type them: words left out, letters mistyped. A handful of texts then stands for many."""

from __future__ import annotations

import string

import numpy as np

_EDITS = ("swap", "drop", "double", "replace")


def augment(text: str, random: np.random.Generator, drop: float, typo: float) -> str:
    """A text with some words left out and some mistyped; at least one word stays.

    :param drop: chance that a word is left out. :param typo: chance that a word has a slip of one letter.
    """
    words = text.split()
    if not words:
        return text
    kept = [word for word, chance in zip(words, random.random(len(words)), strict=True) if chance >= drop]
    kept = kept or [words[int(random.integers(len(words)))]]
    slips = random.random(len(kept)) < typo
    return " ".join(mistype(word, random) if slip else word for word, slip in zip(kept, slips, strict=True))


def mistype(word: str, random: np.random.Generator) -> str:
    """A word of four letters or more with two neighbours swapped, or a letter dropped, doubled or replaced, but not the first."""
    if len(word) < 4:
        return word
    place = int(random.integers(1, len(word) - 1))
    edit = _EDITS[int(random.integers(len(_EDITS)))]
    before, letter, after = word[:place], word[place], word[place + 1 :]
    if edit == "swap":
        return before + after[0] + letter + after[1:]
    if edit == "drop":
        return before + after
    if edit == "double":
        return before + letter * 2 + after
    return before + string.ascii_lowercase[int(random.integers(26))] + after
