"""The exceptions that a user meets. Each message is a sentence that says what is wrong and, where it can, what to do."""

from __future__ import annotations


class BitwrenError(Exception):
    """Base of every error that is the user's to mend; its text is shown without a traceback."""


class CorpusError(BitwrenError):
    """A corpus or query file that cannot be used."""


class FormatError(BitwrenError):
    """A ``.bwe``, ``.bwt`` or encoder folder that is damaged, truncated or of another version."""


class UnsupportedModel(BitwrenError):
    """An encoder head whose operators or types the chip cannot run."""


class EncoderMismatch(BitwrenError):
    """A table opened with another encoder than the one that made its codes."""


class QueryError(BitwrenError):
    """A query, or a number of results, that cannot be searched for."""


class VectorError(BitwrenError):
    """Embeddings, or codes from elsewhere, that cannot be used."""


class NoEncoder(BitwrenError):
    """Text given to a table of codes from elsewhere; in the chip's words (firmware/bitwren/messages.py; a test compares)."""

    def __init__(self) -> None:
        super().__init__(
            "this table's codes are from elsewhere, and it has no encoder for text: search it by code (search_code, or bitwren "
            "search --vector); to add to it, import it again (bitwren import)"
        )
