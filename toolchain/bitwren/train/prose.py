"""Sentences of manuals: reStructuredText, Markdown and HTML with their marks, code and tables taken out.

Nothing is parsed in full. What does not look like a sentence is left out, which costs little: a manual has enough of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

MIN_WORDS, MAX_WORDS = 3, 45
_BLOCKS = {"p", "li", "dd", "dt", "td", "h1", "h2", "h3", "h4", "div", "pre", "br", "title"}
_CODE = {"pre", "script", "style"}


def sentences(path: Path) -> Iterator[str]:
    """Sentences of a manual's file, in order, told by its name to be HTML or (.rst, .txt, .md) light markup."""
    text = path.read_text("utf-8", "replace")
    for paragraph in _html(text) if path.suffix in (".html", ".htm") else _markup(text):
        for sentence in re.split(r'(?<=[.!?;:])\s+(?=[A-Z"(])', paragraph):
            words = re.findall(r"[A-Za-z]{2,}", sentence)
            mostly_letters = len("".join(words)) > 0.6 * len(sentence.replace(" ", ""))
            if MIN_WORDS <= len(words) <= MAX_WORDS and mostly_letters:
                yield sentence.strip()


def _markup(text: str) -> Iterator[str]:
    """Paragraphs of reStructuredText or Markdown as plain text, code and directives left out."""
    for paragraph in re.split(r"\n\s*\n", text):
        lines = [line for line in paragraph.splitlines() if not re.match(r'\s*(\.\.|>>>|\$|:[a-z]+:|[=\-~^"`#*+]{3,})', line)]
        indented = all(line.startswith("    ") for line in lines)
        if not lines or (indented and re.search(r"[=(){};]", paragraph)):
            continue
        plain = " ".join(line.strip() for line in lines)
        plain = re.sub(r"(:[\w:.+-]+:)?`~?\.?([^`<]*?)(\s*<[^>]*>)?`_*", r"\2", plain)  # roles and links: their text
        plain = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", plain)
        plain = re.sub(r"[`*|]+|^([-*#•]+|\d+\.)\s+|:$", "", plain)
        yield " ".join(plain.split())


class _Text(HTMLParser):
    """Text of a page by block element, code left out."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks: list[str] = []
        self._pieces: list[str] = []
        self._code = 0

    def flush(self) -> None:
        text = " ".join("".join(self._pieces).split())
        self._pieces.clear()
        if text:
            self.blocks.append(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _BLOCKS:
            self.flush()
        self._code += tag in _CODE

    def handle_endtag(self, tag: str) -> None:
        if tag in _BLOCKS:
            self.flush()
        self._code = max(0, self._code - (tag in _CODE))

    def handle_data(self, data: str) -> None:
        if not self._code:
            self._pieces.append(data)


def _html(text: str) -> list[str]:
    parser = _Text()
    parser.feed(text)
    parser.flush()
    return parser.blocks
