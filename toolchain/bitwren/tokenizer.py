"""Words to token ids: greedy longest match over a vocabulary of pieces.

The split is WordPiece's (Wu et al. 2016, "Google's Neural Machine Translation System"): a word's first piece comes from the
*starts*, each later one from the *continuations*, always the longest that matches. What differs: a byte that no piece matches
is passed over instead of turning the whole word into an unknown token, so that one odd character does not cost a word.

Both lists are sorted bytewise and an id is a position (starts first), so no id map is stored. On the chip a longest match is a
predecessor search in front-coded buckets; :meth:`Vocabulary.pack` writes them and docs/format.md specifies them.
"""

from __future__ import annotations

import itertools
import os
import struct
from collections.abc import Iterable, Sequence

from .errors import FormatError

MAX_PIECE_BYTES = 16
BUCKET_PIECES = 16
_HEADER = struct.Struct("<HHHH")  # starts, continuations, buckets of starts, buckets of continuations


class Vocabulary:
    """The pieces of an encoder.

    :param starts: pieces that may begin a word, bytewise sorted, unique, 1 to 16 bytes each.
    :param continuations: pieces that may follow another, likewise.
    :raises FormatError: when a list is not sorted, repeats a piece or holds one of a wrong length.
    """

    def __init__(self, starts: Sequence[bytes], continuations: Sequence[bytes]) -> None:
        for name, pieces in (("starts", starts), ("continuations", continuations)):
            if any(not 1 <= len(piece) <= MAX_PIECE_BYTES for piece in pieces):
                raise FormatError(f"vocabulary {name}: every piece must have 1 to {MAX_PIECE_BYTES} bytes")
            if any(a >= b for a, b in itertools.pairwise(pieces)):
                raise FormatError(f"vocabulary {name}: pieces must be sorted bytewise and unique")
        self.starts = list(starts)
        self.continuations = list(continuations)
        self._start_ids = {piece: index for index, piece in enumerate(self.starts)}
        self._continuation_ids = {piece: len(self.starts) + i for i, piece in enumerate(self.continuations)}

    def __len__(self) -> int:
        return len(self.starts) + len(self.continuations)

    def tokens(self, words: Iterable[bytes]) -> list[int]:
        """Token ids of normalised words (see :func:`bitwren.text.words`), in order; each id in ``0 .. len(self) - 1``."""
        ids: list[int] = []
        for word in words:
            table, position = self._start_ids, 0
            while position < len(word):
                for end in range(min(len(word), position + MAX_PIECE_BYTES), position, -1):
                    found = table.get(word[position:end])
                    if found is not None:
                        ids.append(found)
                        table, position = self._continuation_ids, end
                        break
                else:
                    position += 1
        return ids

    def pack(self) -> bytes:
        """The vocabulary as the chip reads it (section ``VOCB`` of an encoder file).

        :raises FormatError: when the pieces need more than the 64 KB that 16-bit offsets reach.
        """
        offsets: list[int] = []
        pool = bytearray()
        counts: list[int] = []
        for pieces in (self.starts, self.continuations):
            before = len(offsets)
            for first in range(0, len(pieces), BUCKET_PIECES):
                offsets.append(len(pool))
                pool += _front_code(pieces[first : first + BUCKET_PIECES])
            counts.append(len(offsets) - before)
        offsets.append(len(pool))
        if len(pool) > 0xFFFF:
            raise FormatError(f"vocabulary needs {len(pool)} bytes of pieces, more than 65535; use fewer pieces")
        head = _HEADER.pack(len(self.starts), len(self.continuations), *counts)
        return head + struct.pack(f"<{len(offsets)}H", *offsets) + bytes(pool)

    @classmethod
    def unpack(cls, data: bytes) -> Vocabulary:
        """Read what :meth:`pack` wrote; bytes after it are ignored.

        :raises FormatError: when the bytes are not a packed vocabulary.
        """
        try:
            start_count, continuation_count, start_buckets, continuation_buckets = _HEADER.unpack_from(data)
            total = start_buckets + continuation_buckets
            offsets = struct.unpack_from(f"<{total + 1}H", data, _HEADER.size)
            pool = data[_HEADER.size + 2 * (total + 1) :]
            pieces = [piece for bucket in range(total) for piece in _front_decode(pool[offsets[bucket] : offsets[bucket + 1]])]
        except (struct.error, IndexError) as error:
            raise FormatError("the encoder's vocabulary is damaged") from error
        if len(pieces) != start_count + continuation_count:
            raise FormatError("the encoder's vocabulary is damaged: its piece counts disagree")
        return cls(pieces[:start_count], pieces[start_count:])

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Vocabulary:
        """Read ``vocabulary.txt`` of an encoder folder: UTF-8, one piece a line in id order, ``##`` before continuations."""
        with open(path, "rb") as file:
            lines = file.read().splitlines()
        starts = [line for line in lines if not line.startswith(b"##")]
        return cls(starts, [line[2:] for line in lines if line.startswith(b"##")])

    def text(self) -> bytes:
        """The contents of ``vocabulary.txt``, as :meth:`read` takes it."""
        return b"".join(piece + b"\n" for piece in self.starts) + b"".join(b"##" + piece + b"\n" for piece in self.continuations)


def _front_code(pieces: Sequence[bytes]) -> bytes:
    """Each piece as one byte (shared prefix length << 4 | suffix length - 1) and its suffix."""
    out = bytearray()
    previous = b""
    for piece in pieces:
        shared = 0
        while shared < min(len(previous), len(piece) - 1) and previous[shared] == piece[shared]:
            shared += 1
        out.append(shared << 4 | len(piece) - shared - 1)
        out += piece[shared:]
        previous = piece
    return bytes(out)


def _front_decode(bucket: bytes) -> list[bytes]:
    pieces: list[bytes] = []
    previous = b""
    position = 0
    while position < len(bucket):
        shared, suffix = bucket[position] >> 4, (bucket[position] & 15) + 1
        previous = previous[:shared] + bucket[position + 1 : position + 1 + suffix]
        pieces.append(previous)
        position += 1 + suffix
    return pieces
