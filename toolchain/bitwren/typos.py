"""One typing mistake in a text, the same one every time: how a search copes with what people really type."""

from __future__ import annotations

import hashlib
import re
import string

_WORD = re.compile(r"[^\W\d_]{4,}")
_KINDS = ("swap", "drop", "replace")


def with_typo(text: str, seed: int) -> str:
    """The text with one mistake in one of its words of more than three letters; as it is where there is no such word.

    Two different letters that are neighbours change places, a letter is left out, or another one stands in its place, each as
    often. Seed and text alone decide, by a hash: no generator whose sequence another release of Python might change.
    """
    words = list(_WORD.finditer(text))
    if not words:
        return text
    drawn = hashlib.blake2b(f"{seed}\0{text}".encode("utf-8", "surrogatepass")).digest()
    numbers = [int.from_bytes(drawn[at : at + 8], "little") for at in range(0, 32, 8)]
    word = words[numbers[0] % len(words)]
    letters, kind = list(word.group()), _KINDS[numbers[1] % len(_KINDS)]
    unequal = [at for at in range(len(letters) - 1) if letters[at] != letters[at + 1]]
    at = numbers[2] % len(letters)
    if kind == "swap" and unequal:
        at = unequal[numbers[2] % len(unequal)]
        letters[at : at + 2] = letters[at + 1], letters[at]
    elif kind == "drop":
        del letters[at]
    else:
        others = [letter for letter in string.ascii_lowercase if letter != letters[at].lower()]
        letters[at] = others[numbers[3] % len(others)]
    return text[: word.start()] + "".join(letters) + text[word.end() :]
