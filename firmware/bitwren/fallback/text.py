"""UTF-8 to normalised words, a character at a time: docs/format.md, "Text to words"."""

from .check import FOLD_AT

MAX_TEXT = 4096
MAX_WORD = 48
_SEPARATOR, _VANISHES, _LETTER, _DIGIT, _ALONE = range(5)
_FOLD_FIRST, _FOLD_LAST = 0xA0, 0x17F
_PAIRS = {65: b"ae", 79: b"oe", 83: b"ss", 84: b"th", 73: b"ij"}
_BAD_CHARACTER = 0xFFFD


class Words:
    """Text being split; `word` holds the word of the last step."""

    def __init__(self, source, text):
        self._source, self._text = source, text
        self._position = 0
        self.word = bytearray(MAX_WORD)
        self._letters = bytearray(4)  # how the character just classified is spelled
        self._size = 0

    def step(self):
        """Go on to the next word; returns its length, 0 at the end of the text."""
        text, word, letters = self._text, self.word, self._letters
        position, end = self._position, len(text)
        length, word_kind = 0, _SEPARATOR
        while position < end:
            code, taken = text[position], 1
            if code >= 0x80:
                code, taken = self._decode(position)
            kind = self._classify(code)
            if length and kind != _VANISHES and (kind != word_kind or kind == _ALONE):
                break  # it belongs to the word after this one, and is read again there
            position += taken
            if kind <= _VANISHES:
                continue
            word_kind = kind
            size = self._size
            if length + size <= MAX_WORD:
                for index in range(size):
                    word[length + index] = letters[index]
                length += size
        self._position = position
        return length

    def _decode(self, position):
        """The code point of a sequence, and its length; a byte that begins none separates."""
        text = self._text
        lead = text[position]
        need = 2 if 0xC2 <= lead <= 0xDF else 3 if 0xE0 <= lead <= 0xEF else 4 if 0xF0 <= lead <= 0xF4 else 0
        if need == 0 or need > len(text) - position:
            return _BAD_CHARACTER, 1
        code = lead & 0x7F >> need
        for index in range(position + 1, position + need):
            byte = text[index]
            if byte & 0xC0 != 0x80:
                return _BAD_CHARACTER, 1
            code = code << 6 | byte & 0x3F
        # Overlong spellings of ASCII would otherwise be a second way to write a letter.
        return (code if code >= 0x80 else _BAD_CHARACTER), need

    def _classify(self, code):
        """The kind of a code point; its spelling goes to _letters and _size."""
        if 0xFF01 <= code <= 0xFF5E:
            code -= 0xFEE0  # full-width forms of ASCII
        if code < 0x80:
            lower = code | 0x20
            if 97 <= lower <= 122:
                return self._one(_LETTER, lower)
            if 48 <= code <= 57:
                return self._one(_DIGIT, code)
            return _VANISHES if code == 39 else _SEPARATOR
        if code < _FOLD_FIRST:
            return _SEPARATOR
        if code <= _FOLD_LAST:
            return self._fold(code)
        if _vanishes(code):
            return _VANISHES
        if _separates(code):
            return _SEPARATOR
        if 0x391 <= code <= 0x3A9 or 0x410 <= code <= 0x42F:
            code += 32  # Greek and Cyrillic capitals
        elif 0x400 <= code <= 0x40F:
            code += 80
        self._spell(code)
        return _ALONE if _stands_alone(code) else _LETTER

    def _one(self, kind, byte):
        self._letters[0] = byte
        self._size = 1
        return kind

    def _fold(self, code):
        source = self._source
        byte = source.need(FOLD_AT + code - _FOLD_FIRST, 1, _FOLD_LAST + 1 - code)[source.at]
        if byte == 32:
            return _SEPARATOR
        if byte == 45:
            return _VANISHES
        pair = _PAIRS.get(byte)
        if pair:
            self._letters[:2] = pair
            self._size = 2
            return _LETTER
        return self._one(_DIGIT if 48 <= byte <= 57 else _LETTER, byte)

    def _spell(self, code):
        """A code point from U+0180 up as its UTF-8."""
        letters = self._letters
        size = self._size = 2 if code < 0x800 else 3 if code < 0x10000 else 4
        for index in range(size - 1, 0, -1):
            letters[index] = 0x80 | code & 0x3F
            code >>= 6
        letters[0] = 0xF00 >> size & 0xFF | code


def _vanishes(code):
    return (
        0x300 <= code <= 0x36F
        or code == 0x2BC
        or 0xFE00 <= code <= 0xFE0F
        or 0x200B <= code <= 0x200D
        or 0x2018 <= code <= 0x2019
    )


def _separates(code):
    return (
        0x2000 <= code <= 0x2BFF
        or 0x3000 <= code <= 0x303F
        or 0xD800 <= code <= 0xF8FF
        or 0xFFF0 <= code <= 0xFFFF
        or 0x1F000 <= code <= 0x1FAFF
        or code > 0x10FFFF
    )


def _stands_alone(code):
    return 0x2E80 <= code <= 0x2FFF or 0x3040 <= code <= 0x9FFF or 0xF900 <= code <= 0xFAFF or 0x20000 <= code <= 0x3FFFF
