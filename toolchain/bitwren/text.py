"""Text to normalised words: the first step of the text front end, host and chip alike.

The rules are few enough to run on a microcontroller and are defined here once. The table :data:`FOLD` travels inside every
encoder file, so the chip reads it from there. docs/format.md states the same rules for implementers.

A *word* is a maximal run of letters or a maximal run of digits; everything else separates, but apostrophes vanish:
``"Don't flash my ESP32!"`` gives ``dont flash my esp 32``.
"""

from __future__ import annotations

MAX_WORD_BYTES = 48
"""Characters that would make a word longer than this many UTF-8 bytes are dropped from it."""

FOLD_FIRST, FOLD_LAST = 0xA0, 0x17F
# One character for each code point from U+00A0 to U+017F: a letter or digit to put in its place; a capital letter for two
# letters (PAIRS); a space for a separator; '-' for a character that vanishes.
FOLD = (
    "          a  -    23 u   1o     "  # U+00A0-00BF: only ª, soft hyphen, ², ³, µ, ¹, º are more than separators
    "aaaaaaAceeeeiiii"  # U+00C0
    "dnooooo ouuuuyTS"  # U+00D0
    "aaaaaaAceeeeiiii"  # U+00E0
    "dnooooo ouuuuyTy"  # U+00F0
    "aaaaaaccccccccdd"  # U+0100
    "ddeeeeeeeeeegggg"  # U+0110
    "gggghhhhiiiiiiii"  # U+0120
    "iiIIjjkkklllllll"  # U+0130
    "lllnnnnnnnnnoooo"  # U+0140
    "ooOOrrrrrrssssss"  # U+0150
    "ssttttttuuuuuuuu"  # U+0160
    "uuuuwwyyyzzzzzzs"  # U+0170
)
PAIRS = {"A": b"ae", "O": b"oe", "S": b"ss", "T": b"th", "I": b"ij"}

_SEPARATOR, _VANISHES, _LETTER, _DIGIT, _ALONE = range(5)


def words(text: str | bytes) -> list[bytes]:
    """Split text into normalised words.

    :param text: text, or its UTF-8 bytes. Bytes that are not UTF-8 separate words; nothing raises.
    :return: words of 1 to :data:`MAX_WORD_BYTES` bytes of UTF-8 each, in order. Empty when the text has no letter or digit.
    """
    data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else bytes(text)
    found: list[bytes] = []
    word = b""
    word_kind = _SEPARATOR
    position = 0
    while position < len(data):
        code_point, length = _decode(data, position)
        position += length
        kind, piece = _classify(code_point)
        if kind == _VANISHES:
            continue
        if kind != word_kind or kind in (_ALONE, _SEPARATOR):
            if word:
                found.append(word)
            word, word_kind = b"", kind
        if kind != _SEPARATOR and len(word) + len(piece) <= MAX_WORD_BYTES:
            word += piece
    if word:
        found.append(word)
    return found


def _decode(data: bytes, position: int) -> tuple[int, int]:
    """Code point and length at a position; a byte that starts no valid sequence is U+FFFD (a separator) of length 1."""
    lead = data[position]
    if lead < 0x80:
        return lead, 1
    length = 2 if 0xC2 <= lead <= 0xDF else 3 if 0xE0 <= lead <= 0xEF else 4 if 0xF0 <= lead <= 0xF4 else 0
    tail = data[position + 1 : position + length]
    if length == 0 or len(tail) != length - 1 or any(byte & 0xC0 != 0x80 for byte in tail):
        return 0xFFFD, 1
    code_point = lead & (0x7F >> length)
    for byte in tail:
        code_point = code_point << 6 | byte & 0x3F
    # Overlong spellings of ASCII would otherwise be a second way to write a letter.
    return (code_point if code_point >= 0x80 else 0xFFFD), length


def _classify(code_point: int) -> tuple[int, bytes]:
    """Kind of a code point and the UTF-8 bytes that stand for it in a word."""
    if 0xFF01 <= code_point <= 0xFF5E:  # full-width forms of ASCII
        code_point -= 0xFEE0
    if code_point < 0x80:
        char = bytes((code_point,)).lower()
        if b"a" <= char <= b"z":
            return _LETTER, char
        if b"0" <= char <= b"9":
            return _DIGIT, char
        return (_VANISHES if char == b"'" else _SEPARATOR), b""
    if code_point < FOLD_FIRST:
        return _SEPARATOR, b""
    if code_point <= FOLD_LAST:
        return _classify_folded(FOLD[code_point - FOLD_FIRST])
    if 0x300 <= code_point <= 0x36F or code_point == 0x2BC or 0xFE00 <= code_point <= 0xFE0F:
        return _VANISHES, b""  # combining marks, modifier apostrophe, variation selectors
    if 0x2000 <= code_point <= 0x2BFF:
        vanishes = 0x200B <= code_point <= 0x200D or code_point in (0x2018, 0x2019)
        return (_VANISHES if vanishes else _SEPARATOR), b""
    if (
        0x3000 <= code_point <= 0x303F
        or 0xD800 <= code_point <= 0xF8FF
        or 0xFFF0 <= code_point <= 0xFFFF
        or 0x1F000 <= code_point <= 0x1FAFF
        or code_point > 0x10FFFF
    ):
        return _SEPARATOR, b""  # CJK punctuation, surrogates and private use, specials, emoji
    if 0x391 <= code_point <= 0x3A9 or 0x410 <= code_point <= 0x42F:
        code_point += 32  # Greek and Cyrillic capitals
    elif 0x400 <= code_point <= 0x40F:
        code_point += 80
    alone = (
        0x2E80 <= code_point <= 0x2FFF
        or 0x3040 <= code_point <= 0x9FFF
        or 0xF900 <= code_point <= 0xFAFF
        or 0x20000 <= code_point <= 0x3FFFF
    )
    return (_ALONE if alone else _LETTER), _encode(code_point)


def _classify_folded(char: str) -> tuple[int, bytes]:
    if char in " -":
        return (_VANISHES if char == "-" else _SEPARATOR), b""
    return (_DIGIT if char in "0123456789" else _LETTER), PAIRS.get(char, char.encode())


def _encode(code_point: int) -> bytes:
    """UTF-8 of a code point from U+0180 up."""
    if code_point < 0x800:
        return bytes((0xC0 | code_point >> 6, 0x80 | code_point & 0x3F))
    if code_point < 0x10000:
        return bytes((0xE0 | code_point >> 12, 0x80 | code_point >> 6 & 0x3F, 0x80 | code_point & 0x3F))
    return bytes(
        (
            0xF0 | code_point >> 18,
            0x80 | code_point >> 12 & 0x3F,
            0x80 | code_point >> 6 & 0x3F,
            0x80 | code_point & 0x3F,
        )
    )
