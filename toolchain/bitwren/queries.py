"""What a query must be, in the same words on host and chip (firmware/bitwren/messages.py; a test compares them)."""

from __future__ import annotations

from .encoder import Encoder
from .errors import QueryError

MAX_QUERY_BYTES = 4096


def check_query(text: str) -> None:
    """Refuse a query that cannot be searched for.

    :raises QueryError: when it is empty or too long.
    """
    data = text.encode("utf-8", "surrogatepass")
    size = len(data)
    if size > MAX_QUERY_BYTES:
        raise QueryError(f"the query is {size} bytes long; at most {MAX_QUERY_BYTES} are possible: shorten it")
    if not data.strip():  # bytes, so that white space is ASCII's, as on the chip
        raise QueryError("the query is empty: type a few words")


def check_words(encoder: Encoder, text: str) -> None:
    """Refuse a query without words.

    :raises QueryError: when the encoder finds no token in it.
    """
    if not encoder.tokens(text):
        raise QueryError("the query has no words, only punctuation: type a few words")


def check_effort(effort: int) -> None:
    """Refuse a share of the table to read that is none.

    :raises QueryError: when it is not 1 to 100 percent.
    """
    if not 1 <= effort <= 100:
        raise QueryError("effort must be a whole number from 1 to 100, percent of the table to read")


def check_k(k: int, documents: int) -> None:
    """Refuse a number of results that the table cannot give.

    :raises QueryError: when k is below 1 or above the number of documents, or there are none.
    """
    if not documents:
        raise QueryError("the table holds no documents, all of them are deleted: append some, or build it again")
    if k < 1:
        raise QueryError("k must be at least 1")
    if k > documents:
        raise QueryError(f"k is {k} but the table holds {documents} documents: ask for 1 to {documents}")
